import { allZeros, zeros } from '../archive/zeros.ts';
import type { ByteRange } from './range-plan.ts';

/** Joins what comes of one range into pieces that the reader may keep. */
export interface Gatherer {
  /** Where the next byte belongs. */
  readonly position: number;
  /** Takes the next bytes, and copies them. */
  add(bytes: Uint8Array): void;
}

/** Memory that holds nothing any more. */
export type Spares = Uint8Array[];

/** As many bytes as the tar writer wants at once, so that it need not join them. */
export const PIECE_BYTES = 1024 * 1024;

/**
 * Pieces end where their offset in the disk is a multiple of 1 MiB. One of nothing but zeros is handed on in memory that all
 * such share.
 *
 * @param emit - told of each piece when it is whole, in order
 * @param spares - shared by the ranges of a disk
 */
export function gatherPieces(range: ByteRange, spares: Spares, emit: (piece: Uint8Array) => void): Gatherer {
  let position = range.start;
  let length = pieceAt(position);
  let filled = 0;
  // There is none as long as all that came is zeros: these are compared where they are, and not copied.
  let block: Uint8Array | undefined;

  function pieceAt(start: number): number {
    return Math.min(PIECE_BYTES - (start % PIECE_BYTES), range.end - start);
  }

  function begin(): Uint8Array {
    const memory = (length === PIECE_BYTES ? spares.pop() : undefined) ?? Buffer.allocUnsafeSlow(length);
    return memory.fill(0, 0, filled);
  }

  function endPiece(): void {
    if (block === undefined) for (const piece of zeros(length)) emit(piece);
    else emit(block);
    block = undefined;
    filled = 0;
    length = pieceAt(position);
  }

  return {
    get position() {
      return position;
    },
    add(bytes) {
      for (let at = 0; at < bytes.byteLength; ) {
        const left = length - filled;
        const part = bytes.byteLength - at <= left && at === 0 ? bytes : bytes.subarray(at, at + left);
        if (block === undefined && !allZeros(part)) block = begin();
        block?.set(part, filled);
        at += part.byteLength;
        filled += part.byteLength;
        position += part.byteLength;
        if (filled === length) endPiece();
      }
    },
  };
}
