import { expect, it } from 'vitest';
import { cloneJson, hasManyDigits, parseJson } from '../../src/json.ts';

function roundTrip(text: string): string {
  return JSON.stringify(parseJson(text, Buffer.from(text)));
}

it.each([
  '{"a":9007199254740993}',
  '{"a":-9223372036854775808}',
  '[18446744073709551615,1]',
  '{"a":[1,{"b":12345678901234567890}],"c":"9007199254740993"}',
])('keeps every digit of %s', (text) => {
  expect(roundTrip(text)).toBe(text);
});

it('reads other numbers as numbers, wherever large ones stand', () => {
  expect(parseJson('{"a":9007199254740993,"b":7,"c":1.5}', Buffer.from('{"a":9007199254740993}'))).toMatchObject({
    b: 7,
    c: 1.5,
  });
});

it('leaves digits in texts alone', () => {
  const text = '{"a":"x: 12345678901234567890, y","b":[1]}';
  expect(parseJson(text, Buffer.from(text))).toEqual({ a: 'x: 12345678901234567890, y', b: [1] });
});

it('finds sixteen digits in a row wherever they begin, and no fewer', () => {
  for (let before = 0; before < 40; before++) {
    expect(hasManyDigits(Buffer.from(`${'x'.repeat(before)}${'7'.repeat(16)}y`))).toBe(true);
    expect(hasManyDigits(Buffer.from(`${'x'.repeat(before)}${'7'.repeat(15)}y`))).toBe(false);
  }
});

it('copies deeply, large numbers too', () => {
  const text = '{"a":[{"b":9007199254740993}],"c":null,"d":"x"}';
  const value = parseJson(text, Buffer.from(text));
  const copy = cloneJson(value);
  expect(JSON.stringify(copy)).toBe(text);
  expect(copy).not.toBe(value);
});
