import { expect, it } from 'vitest';
import { findNearest } from '../../../src/inputs/nearest.ts';

const NAMES = ['namespace', 'no-hooks', 'wait', 'replace', 'timeout'];

it.each([
  ['namespcae', 'namespace'],
  ['name-space', 'namespace'],
  ['nohooks', 'no-hooks'],
  ['NO-HOOKS', 'no-hooks'],
  ['wiat', 'wait'],
  ['waits', 'wait'],
  ['time-out', 'timeout'],
])('takes %s for %s', (word, meant) => {
  expect(findNearest(word, NAMES)).toBe(meant);
});

it.each(['', 'xyz', 'wt', 'hooks-please', 'node-version'])('takes "%s" for nothing', (word) => {
  expect(findNearest(word, NAMES)).toBeUndefined();
});
