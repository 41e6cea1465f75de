import { availableParallelism } from 'node:os';
import { mapInOrder } from '../streams.ts';
import { damaged } from './damage.ts';
import type { FrameCodec, StoredFrame } from './frame-codec.ts';
import { cutPiece, type Frame, framesOf, isZeros, lengthOf, type Piece } from './frames.ts';

/** Bytes that can be read from anywhere: a file, an object of S3. */
export interface RandomAccess {
  /** Bytes. */
  readonly size: number;
  /** Reads just so many bytes. */
  read(start: number, length: number): Promise<Buffer>;
}

/** A frame, and where its stored bytes are. */
export interface PlacedFrame extends Frame {
  /** Where its stored bytes start. */
  readonly position: number;
  readonly length: number;
  /** Whether its bytes are known to be zeros. */
  readonly zeros?: boolean | undefined;
  readonly blocks?: StoredFrame['blocks'];
}

/** Where frames are that are stored one behind the other. */
export function placeFrames(
  frames: readonly (StoredFrame & { readonly zeros?: boolean | undefined })[],
  head: number,
): PlacedFrame[] {
  let from = 0;
  let position = head;
  return frames.map(({ length, raw, zeros, blocks }) => {
    const placed = { from, to: from + raw, position, length, zeros, blocks };
    from += raw;
    position += length;
    return placed;
  });
}

/**
 * Reads the tar between two offsets: decompresses the frames that hold it side by side. Runs of zeros come as such.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for a frame that is not what was stored
 */
export async function* readFrames(
  frames: readonly PlacedFrame[],
  from: number,
  to: number,
  codec: FrameCodec,
  read: RandomAccess['read'],
): AsyncGenerator<Piece> {
  const threads = Math.min(availableParallelism(), 4);
  const unpack = (frame: PlacedFrame) => unpackFrame(frame, codec, read);
  let at = from;
  for await (const { frame, pieces } of mapInOrder(framesOf(frames, from, to), threads, unpack)) {
    let start = frame.from;
    for (const piece of pieces) {
      const end = start + lengthOf(piece);
      const part = cutPiece(piece, Math.max(at, start) - start, Math.max(at, start, Math.min(to, end)) - start);
      start = end;
      if (lengthOf(part) === 0) continue;
      at += lengthOf(part);
      yield part;
    }
  }
  if (at !== to) throw damaged(`The archive is cut: its tar ends after ${at} bytes.`);
}

async function unpackFrame(
  frame: PlacedFrame,
  codec: FrameCodec,
  read: RandomAccess['read'],
): Promise<{ frame: PlacedFrame; pieces: Piece[] }> {
  const expected = frame.to - frame.from;
  if (frame.zeros === true) return { frame, pieces: [{ zeros: expected }] };
  const pieces: Piece[] = [];
  let length = 0;
  for await (const piece of codec.unpack(await read(frame.position, frame.length), frame.blocks)) {
    length += piece.byteLength;
    if (length > expected) break;
    pieces.push(isZeros(piece) ? { zeros: piece.byteLength } : piece);
  }
  if (length !== expected) {
    throw damaged(`The frame at byte ${frame.position} of the archive does not hold ${expected} bytes.`);
  }
  return { frame, pieces };
}
