import { describe, expect, test } from 'vitest';
import { parseLabelSelector } from '../../../src/selection/label-selector.ts';

describe('a label selector', () => {
  const labels = { team: 'shop', 'example.com/tier': 'a', empty: '' };

  test.each([
    ['team=shop', true],
    ['team==shop', true],
    [' team = shop ', true],
    ['team=other', false],
    ['team!=other', true],
    ['team!=shop', false],
    ['missing!=x', true],
    ['missing=x', false],
    ['empty=', true],
    ['missing=', false],
    ['team', true],
    ['missing', false],
    ['!missing', true],
    ['!team', false],
    ['constructor', false],
    ['team in (a, shop)', true],
    ['team in (a,b)', false],
    ['team notin (a,b)', true],
    ['team notin (shop)', false],
    ['missing notin (a)', true],
    ['example.com/tier=a,team in (shop,b),!missing', true],
    ['example.com/tier=a,team in (x,b)', false],
  ])('reads %j as the server does', (selector, expected) => {
    expect(parseLabelSelector(selector)(labels)).toBe(expected);
  });

  test.each(['', 'a=b,', 'a in b', 'a in (b', '=b', 'a=b=c', 'a b', 'a>1', '-a=b', 'a=b c'])(
    'refuses %j',
    (selector) => {
      expect(() => parseLabelSelector(selector)).toThrow(`selector is "${selector}", of which "`);
    },
  );
});
