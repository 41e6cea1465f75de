import { describe, expect, it } from 'vitest';
import { evenFrames, placeFrames } from '../../../src/archive/frame-table.ts';

describe('a table of frames', () => {
  const frames = [
    { length: 5, raw: 10, blocks: [[4, 10]] as const },
    { length: 6, raw: 10, zeros: true },
    {
      length: 7,
      raw: 10,
      blocks: [
        [3, 6],
        [2, 4],
      ] as const,
    },
    { length: 8, raw: 3 },
  ];
  const table = placeFrames(frames, 100);
  const starts = (from: number, to: number) => [...table.between(from, to)].map((frame) => frame.from);

  it('tells where each is in the tar and in the archive, and what was known of it', () => {
    expect([...table.between(0, 33)]).toEqual([
      { from: 0, to: 10, position: 100, length: 5, zeros: false, blocks: [[4, 10]] },
      { from: 10, to: 20, position: 105, length: 6, zeros: true, blocks: undefined },
      { from: 20, to: 30, position: 111, length: 7, zeros: false, blocks: frames[2]?.blocks },
      { from: 30, to: 33, position: 118, length: 8, zeros: false, blocks: undefined },
    ]);
    expect(table.raw).toBe(33);
  });

  it('finds those that have at least one byte of a range', () => {
    expect(starts(9, 11)).toEqual([0, 10]);
    expect(starts(10, 20)).toEqual([10]);
    expect(starts(32, 33)).toEqual([30]);
    expect(starts(30, 99)).toEqual([30]);
  });

  it('finds none for no bytes, and behind the last', () => {
    expect(starts(15, 15)).toEqual([]);
    expect(starts(33, 40)).toEqual([]);
    expect([...placeFrames([], 12).between(0, 10)]).toEqual([]);
  });
});

describe('frames of one length', () => {
  it('stand where they are stored, and the last one is shorter', () => {
    const even = evenFrames(0, 25, 10);
    expect([...even.between(12, 99)].map(({ position, length }) => [position, length])).toEqual([
      [10, 10],
      [20, 5],
    ]);
    expect([...even.between(25, 99), ...even.between(3, 3)]).toEqual([]);
    expect([...evenFrames(7, 25, 10).between(18, 19)].map(({ from, to }) => [from, to])).toEqual([[17, 25]]);
  });
});
