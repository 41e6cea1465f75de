import { expect, test } from 'vitest';
import { formatRange, parseContentRange, planRanges } from '../../../src/vms/range-plan.ts';

test('a disk is cut into ranges, the last as long as what is left', () => {
  expect([...planRanges(0, 25, 10)]).toEqual([
    { start: 0, end: 10 },
    { start: 10, end: 20 },
    { start: 20, end: 25 },
  ]);
});

test('reading from the middle begins there', () => {
  expect([...planRanges(15, 25, 10)]).toEqual([{ start: 15, end: 25 }]);
});

test('nothing is left at the end of a disk', () => {
  expect([...planRanges(25, 25, 10)]).toEqual([]);
});

test('the header names the last byte, not the end', () => {
  expect(formatRange({ start: 0, end: 1 })).toBe('bytes=0-0');
});

test.each([
  ['bytes 0-9/100', { range: { start: 0, end: 10 }, size: 100 }],
  ['Bytes 90-99/100', { range: { start: 90, end: 100 }, size: 100 }],
  ['bytes */100', { range: undefined, size: 100 }],
  ['bytes 0-9/*', undefined],
  ['bytes 9-0/100', undefined],
  ['bytes 95-100/100', undefined],
  ['items 0-9/100', undefined],
  ['bytes 0-9/100, bytes 20-29/100', undefined],
  [undefined, undefined],
])('Content-Range %s', (header, read) => {
  expect(parseContentRange(header)).toEqual(read);
});
