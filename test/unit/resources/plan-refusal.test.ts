import { describe, expect, test } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { readRefused } from '../../../src/resources/plan-refusal.ts';
import { objectOf } from './target-bed.ts';

const secret = objectOf('v1 Secret shop/key', {
  data: { token: Buffer.from('open-sesame').toString('base64') },
});

function said(status: number, message: string, causes: readonly object[] = []): ClusterError {
  return new ClusterError(status, '', message, { answer: { kind: 'Status', message, details: { causes } } });
}

function messageOf(message: string, field = 'spec.a'): string | undefined {
  return readRefused(said(422, 'is invalid', [{ field, message }]), secret)?.message;
}

describe('what the server says about an object', () => {
  test.each([
    ['Invalid value: "hunter22": must be even', 'spec.a: Invalid value: must be even'],
    ['Invalid value: "with \\"quotes\\": and colons": too bad', 'spec.a: Invalid value: too bad'],
    ['Invalid value: "hunter22"', 'spec.a: Invalid value'],
    [
      'Invalid value: 70000: must be between 1 and 65535, inclusive',
      'spec.a: Invalid value 70000: must be between 1 and 65535, inclusive',
    ],
    [
      'Unsupported value: "hunter22": supported values: "a", "b"',
      'spec.a: Unsupported value: supported values: "a", "b"',
    ],
    ['Invalid value: {"env":[{"value":"hunter22"}]}: field is immutable', 'spec.a: Invalid value: field is immutable'],
    ['Invalid value: core.PodSpec{Env:"hunter22"}', 'spec.a: Invalid value'],
    ['Required value', 'spec.a: Required value'],
    [
      'Forbidden: pod updates may not change this\n  core.PodSpec{\n- Value: "hunter22"',
      'spec.a: Forbidden: pod updates may not change this',
    ],
  ])('is told without what fields hold: %s', (given, told) => {
    expect(messageOf(given)).toBe(told);
  });

  test('is told without secrets of the object, in whatever words they come', () => {
    const message =
      'admission webhook "a.example.com" denied the request: token open-sesame (b3Blbi1zZXNhbWU=) is weak';
    expect(readRefused(said(403, message), secret)?.message).toBe(
      'admission webhook "a.example.com" denied the request: token (sensitive value) ((sensitive value)) is weak',
    );
  });

  test('is cut where it is very long', () => {
    const message = `admission webhook "a.example.com" denied the request: ${'no '.repeat(1000)}`;
    expect(readRefused(said(403, message), secret)?.message.length).toBeLessThan(410);
  });

  test('names the first causes of many', () => {
    const causes = ['a', 'b', 'c', 'd', 'e'].map((field) => ({ field, message: 'Required value' }));
    expect(readRefused(said(422, 'is invalid', causes), secret)?.message).toBe(
      'a: Required value; b: Required value; c: Required value; and 2 more',
    );
  });

  test.each([
    'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2',
    'pods "a" is forbidden: failed quota: small: must specify limits.cpu for: main',
    'pods "a" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
    'pods "a" is forbidden: memory max limit to request ratio per Pod is 2, but provided ratio is 4.000000',
  ])('is about quotas and limits: %s', (message) => {
    expect(readRefused(said(403, message), secret)?.kind).toBe('quota');
  });
});
