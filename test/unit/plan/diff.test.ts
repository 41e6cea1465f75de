import { beforeAll, describe, expect, test } from 'vitest';
import { parseExactly } from '../../../src/json.ts';
import { type Differ, loadDiff } from '../../../src/plan/diff.ts';

let differ: Differ;
beforeAll(async () => {
  differ = await loadDiff();
});

function deployment(change: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop', ...metadata },
    spec: {
      minReadySeconds: 1,
      paused: false,
      replicas: 2,
      revisionHistoryLimit: 10,
      strategy: { type: 'Recreate' },
      ...change,
    },
  };
}

describe('a diff of objects', () => {
  test('is of YAML, with three lines around what differs and no file names', () => {
    expect(differ.objects(deployment(), deployment({ replicas: 3 }))).toBe(
      [
        '@@ -6,7 +6,7 @@',
        ' spec:',
        '   minReadySeconds: 1',
        '   paused: false',
        '-  replicas: 2',
        '+  replicas: 3',
        '   revisionHistoryLimit: 10',
        '   strategy:',
        '     type: Recreate',
        '',
      ].join('\n'),
    );
  });

  test('is empty when only the order of keys differs', () => {
    const { spec, ...rest } = deployment();
    expect(differ.objects(deployment(), { spec, ...rest })).toBe('');
  });

  test('is empty when only what the server keeps differs', () => {
    const kept = { uid: 'u', resourceVersion: '7', generation: 2, creationTimestamp: 't', managedFields: [{}] };
    expect(differ.objects({ ...deployment({}, kept), status: { replicas: 1 } }, deployment())).toBe('');
  });

  test('shows a redacted value that differs as a line of its own', () => {
    const secret = (value: string) => ({ apiVersion: 'v1', kind: 'Secret', data: { a: 'b', password: value } });
    expect(differ.objects(secret('cGxhbnRlZA=='), secret('b3RoZXI='))).toBe(
      [
        '@@ -1,5 +1,5 @@',
        ' apiVersion: v1',
        ' data:',
        '   a: (sensitive)',
        '-  password: (sensitive value)',
        '+  password: (sensitive value, differs)',
        ' kind: Secret',
        '',
      ].join('\n'),
    );
  });

  test('leaves what it compares as it is', () => {
    const object = deployment({}, { uid: 'u' });
    differ.objects(object, deployment());
    expect(object.metadata).toHaveProperty('uid', 'u');
  });

  test('shows files line by line, long lines whole and the same thing twice', () => {
    const labels = { app: 'web' };
    const before = { data: { 'a.conf': 'one\ntwo\n' }, labels, more: labels, long: 'x '.repeat(100) };
    expect(differ.objects(before, { ...before, data: { 'a.conf': 'one\n2\n' } })).toBe(
      ['@@ -1,7 +1,7 @@', ' data:', '   a.conf: |', '     one', '-    two', '+    2', ' labels:', '   app: web']
        .concat([` long: "${'x '.repeat(100)}"`, ''])
        .join('\n'),
    );
  });

  test('keeps every digit of large numbers', () => {
    const [before, after] = ['12345678901234567890', '12345678901234567891'].map((n) =>
      parseExactly<object>(`{"n":${n}}`),
    );
    expect(differ.objects(before ?? {}, after ?? {})).toBe(
      '@@ -1,1 +1,1 @@\n-n: 12345678901234567890\n+n: 12345678901234567891\n',
    );
  });
});

describe('a diff of values', () => {
  test('is empty when both are equal, or neither is there', () => {
    expect(differ.values({ a: 1 }, { a: 1 })).toBe('');
    expect(differ.values(undefined, undefined)).toBe('');
  });

  test('shows all of what was not there before', () => {
    expect(differ.values(undefined, { image: { tag: 'v2' }, password: 'planted' })).toBe(
      '@@ -0,0 +1,3 @@\n+image:\n+  tag: v2\n+password: (sensitive value)\n',
    );
  });

  test('keeps a status, which is no server field there', () => {
    expect(differ.values({ status: 'a' }, { status: 'b' })).toContain('+status: b');
  });
});

describe('a long diff', () => {
  const lines = (count: number, text: string) =>
    Array.from({ length: count }, (_, index) => `${text} ${index} ${'-'.repeat(70)}\n`).join('');

  test('ends after 64 KiB with a note', () => {
    const diff = differ.values(undefined, { file: lines(2000, 'a') });
    expect(Buffer.byteLength(diff)).toBeLessThan(64 * 1024 + 100);
    expect(diff).toMatch(/\n\+ {2}a \d+ -{70}\n\\ \d+ more lines are not shown\n$/);
  });

  test('shows some of both sides where nothing is the same', () => {
    const diff = differ.values({ a: 1, file: lines(20_000, 'old'), z: 1 }, { a: 1, file: lines(20_000, 'new'), z: 1 });
    expect(diff.split('\n')[0]).toBe('@@ -3,20000 +3,20000 @@');
    expect(diff).toContain('\n-  old 0 ');
    expect(diff).toContain('\n+  new 0 ');
    expect(Buffer.byteLength(diff)).toBeLessThan(64 * 1024 + 200);
  });

  test('of one endless line shows how it begins', () => {
    const diff = differ.values({ a: 'x'.repeat(100_000) }, { a: 'y'.repeat(100_000) });
    expect(diff).toBe(
      `@@ -1,1 +1,1 @@\n-a: ${'x'.repeat(1996)} … and 98004 more characters\n+a: ${'y'.repeat(1996)} … and 98004 more characters\n`,
    );
  });
});
