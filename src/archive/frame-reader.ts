import { availableParallelism } from 'node:os';
import { mapInOrder } from '../streams.ts';
import { damaged } from './damage.ts';
import type { FrameCodec, StoredFrame } from './frame-codec.ts';
import { cutPiece, type Frame, framesOf, lengthOf, type Piece } from './frames.ts';
import { allZeros } from './zeros.ts';

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
  for await (const { frame, piece } of mapInOrder(framesOf(frames, from, to), threads, unpack)) {
    const part = cutPiece(piece, at - frame.from, Math.min(to, frame.to) - frame.from);
    at += lengthOf(part);
    yield part;
  }
  if (at !== to) throw damaged(`The archive is cut: its tar ends after ${at} bytes.`);
}

async function unpackFrame(
  frame: PlacedFrame,
  codec: FrameCodec,
  read: RandomAccess['read'],
): Promise<{ frame: PlacedFrame; piece: Piece }> {
  const raw = frame.to - frame.from;
  if (frame.zeros === true) return { frame, piece: { zeros: raw } };
  const bytes = await codec.unpack(await read(frame.position, frame.length), raw, frame.blocks);
  if (bytes.byteLength !== raw) {
    throw damaged(`The frame at byte ${frame.position} of the archive does not hold ${raw} bytes.`);
  }
  return { frame, piece: allZeros(bytes) ? { zeros: raw } : bytes };
}
