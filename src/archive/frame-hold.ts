import type { ByteRange } from './entry.ts';
import { wrongSize } from './frame-content.ts';
import type { FrameHasher } from './frame-hasher.ts';
import { cutPiece, lengthOf, type Piece } from './frames.ts';
import { giveMemory, takeMemory } from './shared-memory.ts';
import { otherRanges } from './tar-sparse.ts';
import { allZeros } from './zeros.ts';

/*
 * In a tar the map of a sparse file precedes its data, and a disk is read once. So what is not zeros is held in memory
 * as long as that is little: a disk that has no more becomes a sparse file, any other is written as it is.
 */

/** The most data that is held, in bytes. */
export const HELD_BYTES = 4 * 1024 * 1024;

/** Of a larger disk too much would be read again after an interruption: nothing of it is stored while it is held. */
const MAX_HELD_DISK = 64 * 1024 ** 3;

/** Data and holes start at multiples of it. */
const BLOCK_BYTES = 16 * 1024;
/** Whose memory is of one piece. */
const BLOCKS_AT_ONCE = 256;

/** Zeros that are digested at once, and blocks that wait for that. */
const ZEROS_AT_ONCE = 16 * 1024 * 1024;
const HASHES_AHEAD = 64;

/** The start of a disk, or all of it. It has been digested. */
export interface Held {
  /** Where its holes are, up to `end`. */
  readonly holes: readonly ByteRange[];
  /** How far it was read. */
  readonly end: number;
  /** What was read behind that; nothing when the disk was read to its end. */
  readonly rest: Piece | undefined;
  /** Its data, without the holes. */
  data(): Iterable<Uint8Array>;
  /** All of it, zeros as such. */
  pieces(): Iterable<Piece>;
  /** Gives its memory back. */
  release(): void;
}

/** Whether to hold a file of so many bytes. */
export function isWorthHolding(size: number, most: number): boolean {
  return size > most && size <= MAX_HELD_DISK;
}

/**
 * Reads a disk until there is more data in it than may be held, and digests what it reads.
 *
 * @param limit - bytes of data, which may change
 * @throws TransshipError `ARCHIVE_DAMAGED` when there is more or less of it than its size
 */
export async function holdDisk(
  pieces: AsyncIterator<Piece>,
  { path, size }: { readonly path: string; readonly size: number },
  limit: () => number,
  hasher: FrameHasher,
): Promise<Held> {
  const blocks: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  let block: Buffer | undefined;
  let position = 0;
  let zeros = 0;
  const waiting: Promise<void>[] = [];
  const memory: Buffer[] = [];
  let slab: Buffer = Buffer.alloc(0);
  const takeBlock = () => {
    const start = (blocks.length % BLOCKS_AT_ONCE) * BLOCK_BYTES;
    if (start === 0) {
      slab = takeMemory(BLOCKS_AT_ONCE * BLOCK_BYTES);
      memory.push(slab);
    }
    return slab.subarray(start, start + BLOCK_BYTES).fill(0);
  };
  const hash = async (piece: Piece) => {
    const adding = hasher.add(piece);
    adding.catch(() => {});
    waiting.push(adding);
    if (waiting.length > HASHES_AHEAD) await waiting.shift();
  };
  const hashZeros = async () => {
    if (zeros > 0) await hash({ zeros });
    zeros = 0;
  };
  // The block under way ends here: at its own end, or at the disk's.
  const endBlock = async () => {
    const length = position % BLOCK_BYTES || BLOCK_BYTES;
    if (block === undefined) {
      zeros += length;
      if (zeros >= ZEROS_AT_ONCE) await hashZeros();
      return;
    }
    await hashZeros();
    const bytes = block.subarray(0, length);
    blocks.push({ start: position - length, bytes });
    block = undefined;
    await hash(bytes);
  };
  const held = async (rest: Piece | undefined): Promise<Held> => {
    await hashZeros();
    await Promise.all(waiting);
    const end = position;
    const ranges = blocks.map(({ start, bytes }) => ({ start, length: bytes.byteLength }));
    return {
      holes: otherRanges(ranges, end),
      end,
      rest,
      data: () => blocks.map(({ bytes }) => bytes),
      release: () => memory.splice(0).forEach(giveMemory),
      *pieces() {
        let at = 0;
        for (const { start, bytes } of blocks) {
          if (start > at) yield { zeros: start - at };
          yield bytes;
          at = start + bytes.byteLength;
        }
        if (end > at) yield { zeros: end - at };
      },
    };
  };

  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    const { value } = next;
    if (position + lengthOf(value) > size) throw wrongSize(path, size, position + lengthOf(value));
    let rest: Piece = value instanceof Uint8Array && allZeros(value) ? { zeros: value.byteLength } : value;
    while (lengthOf(rest) > 0) {
      const at = position % BLOCK_BYTES;
      const isRun = !(rest instanceof Uint8Array) && at === 0 && rest.zeros >= BLOCK_BYTES;
      const most = isRun ? Math.floor(lengthOf(rest) / BLOCK_BYTES) * BLOCK_BYTES : BLOCK_BYTES - at;
      const part = cutPiece(rest, 0, Math.min(most, lengthOf(rest)));
      rest = cutPiece(rest, lengthOf(part), lengthOf(rest));
      position += lengthOf(part);
      if (isRun) {
        zeros += lengthOf(part);
        if (zeros >= ZEROS_AT_ONCE) await hashZeros();
        continue;
      }
      if (part instanceof Uint8Array && !allZeros(part)) {
        block ??= takeBlock();
        Buffer.from(part.buffer, part.byteOffset, part.byteLength).copy(block, at);
      }
      if (position % BLOCK_BYTES !== 0) continue;
      await endBlock();
      if (blocks.length * BLOCK_BYTES > limit()) return await held(rest);
    }
  }
  if (position < size) throw wrongSize(path, size, position);
  if (position % BLOCK_BYTES !== 0) await endBlock();
  return await held(undefined);
}
