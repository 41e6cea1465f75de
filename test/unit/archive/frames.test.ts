import { describe, expect, it } from 'vitest';
import { cutPiece, framesOf, lengthOf, placeFile } from '../../../src/archive/frames.ts';

describe('where a file stands in a tar', () => {
  it('has one block of header, and a body that is filled up to whole blocks', () => {
    expect(placeFile(1024, 'manifest', 513)).toEqual({ start: 1024, body: 1536, end: 2560 });
    expect(placeFile(0, 'manifest', 0)).toEqual({ start: 0, body: 512, end: 512 });
  });

  it('has two blocks more for a long name', () => {
    expect(placeFile(0, 'a'.repeat(101), 1)).toEqual({ start: 0, body: 1536, end: 2048 });
  });
});

describe('frames that hold a range', () => {
  const frames = [0, 10, 20, 30].map((from) => ({ from, to: from + 10 }));
  const starts = (from: number, to: number) => framesOf(frames, from, to).map((frame) => frame.from);

  it('are those that have at least one byte of it', () => {
    expect(starts(0, 40)).toEqual([0, 10, 20, 30]);
    expect(starts(9, 11)).toEqual([0, 10]);
    expect(starts(10, 20)).toEqual([10]);
    expect(starts(39, 40)).toEqual([30]);
  });

  it('are none for no bytes', () => {
    expect(starts(15, 15)).toEqual([]);
    expect(framesOf([], 0, 10)).toEqual([]);
  });
});

describe('pieces', () => {
  it('are cut alike, whether they are bytes or a number of zeros', () => {
    expect(cutPiece(Buffer.from('abcdef'), 1, 3)).toEqual(Buffer.from('bc'));
    expect(cutPiece({ zeros: 6 }, 1, 3)).toEqual({ zeros: 2 });
    expect(lengthOf({ zeros: 6 })).toBe(6);
  });
});
