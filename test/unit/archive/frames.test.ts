import { describe, expect, it } from 'vitest';
import { cutPiece, lengthOf } from '../../../src/archive/frames.ts';

describe('pieces', () => {
  it('are cut alike, whether they are bytes or a number of zeros', () => {
    expect(cutPiece(Buffer.from('abcdef'), 1, 3)).toEqual(Buffer.from('bc'));
    expect(cutPiece({ zeros: 6 }, 1, 3)).toEqual({ zeros: 2 });
    expect(lengthOf({ zeros: 6 })).toBe(6);
  });
});
