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
 * such share; its own is used again.
 *
 * @param emit - told of each piece when it is whole, in order
 * @param spares - shared by the ranges of a disk
 */
export function gatherPieces(range: ByteRange, spares: Spares, emit: (piece: Uint8Array) => void): Gatherer {
  let position = range.start;
  let block: Uint8Array | undefined;
  let length = 0;
  let filled = 0;

  function begin(): Uint8Array {
    length = Math.min(PIECE_BYTES - (position % PIECE_BYTES), range.end - position);
    filled = 0;
    return (length === PIECE_BYTES ? spares.pop() : undefined) ?? Buffer.allocUnsafeSlow(length);
  }

  return {
    get position() {
      return position;
    },
    add(bytes) {
      for (let at = 0; at < bytes.byteLength; ) {
        block ??= begin();
        const part = bytes.subarray(at, at + length - filled);
        block.set(part, filled);
        at += part.byteLength;
        filled += part.byteLength;
        position += part.byteLength;
        if (filled < length) return;
        const whole = block;
        block = undefined;
        if (!allZeros(whole)) {
          emit(whole);
          continue;
        }
        if (length === PIECE_BYTES) spares.push(whole);
        for (const piece of zeros(length)) emit(piece);
      }
    },
  };
}
