import { describe, expect, test } from 'vitest';
import { isGlob, matcherOf, nearestNames } from '../../../src/selection/name-patterns.ts';

describe('a pattern of names', () => {
  test.each([
    ['*', 'anything', true],
    ['*', 'a/b', false],
    ['team-*', 'team-a', true],
    ['team-*', 'my-team-a', false],
    ['team-?', 'team-ab', false],
    ['*-db', 'shop-db', true],
    ['a.b', 'axb', false],
    ['a.*', 'axb', false],
    ['*/redis', 'shop/redis', true],
    ['*/redis', 'redis', false],
    ['shop/**', 'shop/x', true],
  ])('%s against %s: %s', (pattern, name, expected) => {
    expect(matcherOf(pattern)(name)).toBe(expected);
  });

  test('is a glob when it can match more than one name', () => {
    expect(['a', 'a*', '?', 'a.b'].map(isGlob)).toEqual([false, true, true, false]);
  });
});

test('the nearest names are those that a slip could have meant, best first', () => {
  const names = ['kube-system', 'production', 'prod', 'staging', 'prod-eu', 'pord'];
  expect(nearestNames('prodd', names)).toEqual(['prod', 'pord']);
  expect(nearestNames('prod-', names)).toEqual(['prod', 'prod-eu']);
  expect(nearestNames('zzzz', names)).toEqual([]);
});
