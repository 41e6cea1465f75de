import { describe, expect, it } from 'vitest';
import { checkRegex, findLiteral } from '../../../src/transforms/check-regex.ts';

describe('a regular expression', () => {
  it.each([
    'stage\\.example\\.com',
    '([a-z0-9-]+\\.)+example',
    '(?:\\.\\w+)*x',
    '(?:a|b)+c',
    'v\\d+(?:\\.\\d+){1,2}',
    '^https?://([^/]+)/',
    '[(+*]+x',
    '\\(a+\\)+',
    '(?<host>[a-z]+)\\.stage',
    '(?:ab){2,}c',
  ])('like %s can be used', (source) => {
    expect(checkRegex(source, '')).toBeUndefined();
  });

  it.each([
    ['(a+)+b', 0, 'it repeats what repeats itself, which can take for ever'],
    ['x(a*)*b', 1, 'it repeats what repeats itself, which can take for ever'],
    ['(a?a?)*b', 0, 'it repeats what repeats itself, which can take for ever'],
    ['(?:a{1,20})+b', 0, 'it repeats what repeats itself, which can take for ever'],
    ['([a-z]+x)+!', 0, 'it repeats what repeats itself, which can take for ever'],
    ['y((?:a|b)+)*z', 1, 'it repeats what repeats itself, which can take for ever'],
    ['(a|a)*b', 0, 'it repeats alternatives that may begin alike, which can take for ever'],
    ['(\\w|x)+!', 0, 'it repeats alternatives that may begin alike, which can take for ever'],
    ['(a)\\1', 3, 'it refers back to a group, which can take for ever'],
  ])('like %s is refused at character %i', (source, at, problem) => {
    expect(checkRegex(source, '')).toEqual({ at, problem });
  });

  it.each([
    ['ab(c', 2, 'Unterminated group'],
    ['a)', 1, "Unmatched ')'"],
    ['a|*b', 2, 'Nothing to repeat'],
    ['x[a-', 1, 'Unterminated character class'],
  ])('that is none, like %s, is refused at character %i', (source, at, why) => {
    expect(checkRegex(source, '')).toEqual({ at, problem: `it is no regular expression: ${why}` });
  });

  it('that matches an empty text is refused', () => {
    expect(checkRegex('a*', '')).toMatchObject({ problem: expect.stringContaining('empty text') });
  });
});

describe('the text that every match of a regular expression has', () => {
  it.each([
    ['([a-z0-9-]+\\.)+stage\\.example', '', 'stage.example'],
    ['ab?c+de{2}f', '', 'a'],
    ['ab?c+de{1}f', '', 'def'],
    ['x(abc)yz', '', 'yz'],
    ['^abc$', '', 'abc'],
    ['a\\dbc\\n', '', 'bc'],
    ['abc|abd', '', ''],
    ['abc', 'i', ''],
    ['(?!abc)x', '', 'x'],
  ])('%s with flags "%s" is "%s"', (source, flags, text) => {
    expect(findLiteral(source, flags)).toBe(text);
  });
});
