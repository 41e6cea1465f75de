import { describe, expect, test } from 'vitest';
import {
  FROZEN_ANNOTATION,
  frozenMark,
  installMark,
  isUnfinished,
  upgradeMark,
  withMark,
} from '../../../src/releases/frozen-mark.ts';
import { decodeRecord, parseRelease } from '../../../src/releases/record.ts';
import { makeObject } from './make-record.ts';

const ofHelm = { frozen: undefined, isOurs: false };
const ofImport = { frozen: undefined, isOurs: true };
const frozen = { frozen: 'install:abc', isOurs: false };

describe('isUnfinished', () => {
  test.each([
    ['nothing but what Helm wrote for a frozen chart', [frozen]],
    ['several tries of Helm', [frozen, frozen]],
    ['a frozen record among originals that were put', [ofImport, frozen, ofImport]],
    ['a history that is marked itself', [ofImport, { frozen: 'install:abc', isOurs: true }]],
  ])('is true of %s', (_, revisions) => {
    expect(isUnfinished(revisions)).toBe(true);
  });

  test.each([
    ['a release of somebody', [ofHelm]],
    ['one that an import has finished', [ofImport, ofImport]],
    ['one that was upgraded by hand after an import was cut short', [frozen, ofHelm]],
    ['one whose replacement was cut short', [ofHelm, { frozen: 'upgrade:abc', isOurs: false }]],
    ['nothing', []],
  ])('is false of %s', (_, revisions) => {
    expect(isUnfinished(revisions)).toBe(false);
  });
});

describe('a mark', () => {
  test('tells one original from another, and an install from an upgrade', async () => {
    const one = await decodeRecord(makeObject({ manifest: 'a' }));
    const other = await decodeRecord(makeObject({ manifest: 'b' }));
    expect(installMark(one)).toMatch(/^install:[0-9a-f]{64}$/);
    expect(installMark(one)).toBe(installMark({ ...one }));
    expect(new Set([installMark(one), installMark(other), upgradeMark(one), upgradeMark(other)]).size).toBe(4);
  });

  test('is read from the chart that Helm has stored', async () => {
    const chart = { metadata: { name: 'app', annotations: { a: 'b', [FROZEN_ANNOTATION]: 'install:abc' } } };
    expect(frozenMark(parseRelease(await decodeRecord(makeObject({ chart }))))).toBe('install:abc');
    expect(frozenMark(parseRelease(await decodeRecord(makeObject())))).toBeUndefined();
  });

  test('on a record changes nothing of the release', async () => {
    const original = { ...(await decodeRecord(makeObject())), annotations: { a: 'b' } };
    expect(withMark(original)).toEqual({
      ...original,
      annotations: { a: 'b', [FROZEN_ANNOTATION]: installMark(original) },
    });
  });
});
