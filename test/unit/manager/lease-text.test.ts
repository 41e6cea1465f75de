import { describe, expect, it } from 'vitest';
import { describeLease, formatLease, isLive, type LeaseText, parseLease } from '../../../src/manager/lease-text.ts';

const lease: LeaseText = {
  manager: { cluster: 'c1', namespace: 'ops', release: 'transship', path: 's3://b/p' },
  holder: { id: '0123', host: 'pod', pid: 1 },
  acquired: new Date('2026-01-31T12:00:00Z'),
  renewed: new Date('2026-01-31T12:00:20Z'),
  renewals: 1,
  duration: 60_000,
};

it('comes back as it was written', () => {
  expect(parseLease(formatLease(lease))).toEqual(lease);
  const released = { ...lease, released: new Date('2026-01-31T12:01:00Z') };
  expect(parseLease(formatLease(released))).toEqual(released);
});

it.each(['', 'null', '{', '{"formatVersion":1}', formatLease({ ...lease, duration: 0 })])(
  'what can not be read is none: %j',
  (text) => {
    expect(parseLease(text)).toBeUndefined();
  },
);

it('what a later version adds is passed over', () => {
  expect(parseLease(JSON.stringify({ ...JSON.parse(formatLease(lease)), more: true }))).toEqual(lease);
});

it('is described by who has it, where and since when', () => {
  expect(describeLease(lease)).toBe(
    'release transship in namespace ops of cluster c1, on pod, since 2026-01-31 12:00:00 UTC',
  );
});

describe('isLive', () => {
  it.each([
    ['young', formatLease(lease), 60_000, true],
    ['old', formatLease(lease), 60_001, false],
    ['of a storage whose clock went back', formatLease(lease), -1, true],
    ['given back', formatLease({ ...lease, released: new Date() }), 0, false],
    ['not readable and young', '{}', 1000, true],
    ['not readable and old', '{}', 90_000, false],
  ])('%s', (_, text, age, live) => {
    expect(isLive(text, age, 60_000)).toBe(live);
  });
});
