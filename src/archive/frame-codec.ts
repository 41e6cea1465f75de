import { promisify } from 'node:util';
import { gunzip, gzip, zstdDecompress } from 'node:zlib';
import { messageOf } from '../errors.ts';
import { damaged } from './damage.ts';
import { type PartCompression, partCompressions } from './part.ts';
import { joinPieces } from './streams.ts';
import { compressXz, decompressXz } from './xz.ts';
import { takeBlocks, type XzBlock, xzHeader, xzTail } from './xz-container.ts';
import { MAX_ZSTD_THREADS, type PackedFrame, packOnThread } from './zstd-threads.ts';

/** The compressions that are made in frames: all of them. */
export const frameCompressions = partCompressions;
export type FrameCompression = PartCompression;

/** What is known of a frame as it is stored. */
export interface StoredFrame {
  /** Stored bytes. */
  readonly length: number;
  /** Bytes of the tar. */
  readonly raw: number;
  /** Its blocks; for xz only, whose index at the end names them all. */
  readonly blocks?: readonly XzBlock[] | undefined;
}

/** What a compression makes of frames. */
export interface FrameCodec {
  /** Bytes of tar in each frame. Larger ones compress no better, and some of them are in memory at a time. */
  readonly frameBytes: number;
  /** How many frames are worth compressing at once, where there are as many cores. */
  readonly maxThreads: number;
  /** The bytes before the first frame. */
  readonly head: Uint8Array;
  /** Compresses one frame, in another thread. `release` gives its memory back, which must not be read any more then. */
  pack(chunk: Uint8Array): Promise<{ bytes: Buffer; blocks?: readonly XzBlock[]; release?(): void }>;
  /** The bytes after the last frame: where each frame starts, for readers that start anywhere. */
  tail(frames: readonly StoredFrame[]): Buffer;
  /**
   * Decompresses one frame, in the thread pool. It may come out shorter than `raw`, but never longer.
   *
   * @throws TransshipError `ARCHIVE_DAMAGED`
   */
  unpack(bytes: Buffer, raw: number, blocks: readonly XzBlock[] | undefined): Promise<Uint8Array>;
}

const MEBIBYTE = 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** libuv's pool has no more: https://docs.libuv.org/en/v1.x/threadpool.html */
const POOL_THREADS = 4;

export const frameCodecs: Readonly<Record<FrameCompression, FrameCodec>> = {
  zstd: {
    frameBytes: 4 * MEBIBYTE,
    maxThreads: MAX_ZSTD_THREADS,
    head: NOTHING,
    pack: packZstd,
    tail: seekTable,
    unpack: unpackZstd,
  },
  xz: {
    // One block of preset 1, as `xz -T0` cuts them.
    frameBytes: 3 * MEBIBYTE,
    // liblzma has threads of its own.
    maxThreads: 8,
    head: xzHeader(),
    pack: packXz,
    tail: (frames) => xzTail(frames.flatMap(blocksOf)),
    unpack: unpackXz,
  },
  gzip: {
    frameBytes: 4 * MEBIBYTE,
    maxThreads: POOL_THREADS,
    head: NOTHING,
    pack: packGzip,
    tail: () => NOTHING,
    unpack: unpackGzip,
  },
  none: {
    frameBytes: 4 * MEBIBYTE,
    maxThreads: POOL_THREADS,
    head: NOTHING,
    // A copy: the chunk's memory is used again.
    pack: async (chunk) => ({ bytes: Buffer.from(chunk) }),
    tail: () => NOTHING,
    unpack: async (bytes) => bytes,
  },
};

const LEVEL = 3;

/** The first of sixteen numbers that start a frame which decoders skip. */
const SKIPPABLE_MAGIC = 0x184d2a50;

/** https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md */
export const SEEK_FOOTER_BYTES = 9;
export const SEEK_FRAME_MAGIC = 0x184d2a5e;
export const SEEK_MAGIC = 0x8f92eab1;

function packZstd(chunk: Uint8Array): Promise<PackedFrame> {
  return packOnThread(chunk, LEVEL);
}

/** For all that can come out at once: one trip to the thread pool, and no copy. What is not used of it takes no memory. */
function roomFor({ byteLength }: Uint8Array): number {
  return byteLength + (byteLength >>> 6) + 4096;
}

const decompress = promisify<Uint8Array, object, Buffer>(zstdDecompress);

async function unpackZstd(bytes: Buffer, raw: number): Promise<Uint8Array> {
  // Other programs put some before their frames.
  let start = 0;
  while (bytes.byteLength - start >= 8 && (bytes.readUInt32LE(start) & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
    start += 8 + bytes.readUInt32LE(start + 4);
  }
  try {
    return await decompress(bytes.subarray(start), { chunkSize: Math.max(raw, 64), maxOutputLength: raw });
  } catch (error) {
    throw damaged(`A frame of the archive is damaged: ${messageOf(error)}.`, error);
  }
}

const compressMember = promisify<Uint8Array, object, Buffer>(gzip);
const decompressMember = promisify<Uint8Array, object, Buffer>(gunzip);

/** A member of its own: all readers of gzip take several behind each other. */
async function packGzip(chunk: Uint8Array): Promise<{ bytes: Buffer }> {
  return { bytes: await compressMember(chunk, { chunkSize: roomFor(chunk) }) };
}

async function unpackGzip(bytes: Buffer, raw: number): Promise<Uint8Array> {
  try {
    return await decompressMember(bytes, { chunkSize: Math.max(raw, 64), maxOutputLength: raw });
  } catch (error) {
    throw damaged(`A frame of the archive is damaged: ${messageOf(error)}.`, error);
  }
}

/** zstd's seekable format. */
function seekTable(frames: readonly StoredFrame[]): Buffer {
  const table = Buffer.alloc(8 + frames.length * 8 + SEEK_FOOTER_BYTES);
  table.writeUInt32LE(SEEK_FRAME_MAGIC, 0);
  table.writeUInt32LE(table.byteLength - 8, 4);
  let at = 8;
  for (const { length, raw } of frames) {
    at = table.writeUInt32LE(length, at);
    at = table.writeUInt32LE(raw, at);
  }
  at = table.writeUInt32LE(frames.length, at);
  table.writeUInt32LE(SEEK_MAGIC, at + 1);
  return table;
}

async function packXz(chunk: Uint8Array): Promise<{ bytes: Buffer; blocks: readonly XzBlock[] }> {
  const pieces: Uint8Array[] = [];
  for await (const piece of compressXz(only(chunk), undefined, 1)) pieces.push(piece);
  return takeBlocks(Buffer.concat(pieces));
}

async function unpackXz(bytes: Buffer, raw: number, blocks: readonly XzBlock[] = []): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of decompressXz(only(xzHeader(), bytes, xzTail(blocks)))) {
    length += piece.byteLength;
    if (length > raw) throw damaged(`A frame of the archive has more than ${raw} bytes.`);
    pieces.push(piece);
  }
  return joinPieces(pieces, length);
}

function blocksOf({ blocks }: StoredFrame): readonly XzBlock[] {
  return blocks ?? [];
}

async function* only(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
