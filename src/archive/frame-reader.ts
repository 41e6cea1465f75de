import { availableParallelism } from 'node:os';
import { mapInOrder } from '../streams.ts';
import { damaged } from './damage.ts';
import type { FrameCodec } from './frame-codec.ts';
import type { FrameTable, PlacedFrame } from './frame-table.ts';
import { cutPiece, lengthOf, type Piece } from './frames.ts';
import { allZeros } from './zeros.ts';

/** Bytes that can be read from anywhere: a file, an object of S3. */
export interface RandomAccess {
  /** Bytes. */
  readonly size: number;
  /** Reads just so many bytes. */
  read(start: number, length: number): Promise<Buffer>;
}

/** Of the tar, in memory at once. */
const AHEAD_BYTES = 64 * 1024 * 1024;
const MAX_THREADS = 4;

/** How many are read at this moment: disks that go somewhere side by side share the cores, and with them the memory. */
let readers = 0;

/** A frame of zeros is some hundred bytes; one that is longer is not remembered. */
const MAX_ZERO_FRAME_BYTES = 64 * 1024;

/** Reads the tar between two of its offsets; runs of zeros come as such. */
export type ReadTar = (from: number, to: number) => AsyncGenerator<Piece>;

/**
 * Reads the tar between two offsets: decompresses the frames that hold it side by side. Runs of zeros come as such.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for a frame that is not what was stored
 */
export async function* readFrames(
  table: FrameTable,
  from: number,
  to: number,
  codec: FrameCodec,
  read: RandomAccess['read'],
): AsyncGenerator<Piece> {
  const [first] = table.between(from, to);
  const most = first === undefined ? 1 : Math.floor(AHEAD_BYTES / (first.to - first.from));
  readers += 1;
  const threads = Math.max(1, Math.min(Math.floor(availableParallelism() / readers), MAX_THREADS, most));
  const unpack = unpacker(codec, read);
  let at = from;
  try {
    for await (const { frame, piece } of mapInOrder(table.between(from, to), threads, unpack)) {
      const part = cutPiece(piece, at - frame.from, Math.min(to, frame.to) - frame.from);
      at += lengthOf(part);
      yield part;
    }
  } finally {
    readers -= 1;
  }
  if (at !== to) throw damaged(`The archive is cut: its tar ends after ${at} bytes.`);
}

function unpacker(codec: FrameCodec, read: RandomAccess['read']) {
  // All runs of zeros are the same frame, so that one has to be decompressed.
  let zeros: { readonly raw: number; readonly bytes: Buffer } | undefined;
  return async (frame: PlacedFrame): Promise<{ frame: PlacedFrame; piece: Piece }> => {
    const raw = frame.to - frame.from;
    if (frame.zeros) return { frame, piece: { zeros: raw } };
    const stored = await read(frame.position, frame.length);
    if (stored.byteLength !== frame.length) throw damaged('The archive is cut.');
    if (zeros?.raw === raw && zeros.bytes.equals(stored)) return { frame, piece: { zeros: raw } };
    const bytes = await codec.unpack(stored, raw, frame.blocks);
    if (bytes.byteLength !== raw) {
      throw damaged(`The frame at byte ${frame.position} of the archive does not hold ${raw} bytes.`);
    }
    if (!allZeros(bytes)) return { frame, piece: bytes };
    if (stored.byteLength <= MAX_ZERO_FRAME_BYTES) zeros = { raw, bytes: Buffer.from(stored) };
    return { frame, piece: { zeros: raw } };
  };
}
