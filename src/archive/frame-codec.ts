import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { Bytes } from './streams.ts';
import { compressXz, decompressXz } from './xz.ts';
import { takeBlocks, type XzBlock, xzHeader, xzTail } from './xz-container.ts';
import { decompressZstd } from './zstd.ts';

/** The compressions whose parts can stand on their own. */
export const frameCompressions = ['zstd', 'xz'] as const;
export type FrameCompression = (typeof frameCompressions)[number];

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
  /** The bytes before the first frame. */
  readonly head: Uint8Array;
  /** Compresses one frame, in the thread pool. */
  pack(chunk: Uint8Array): Promise<{ bytes: Buffer; blocks?: readonly XzBlock[] }>;
  /** The bytes after the last frame: where each frame starts, for readers that start anywhere. */
  tail(frames: readonly StoredFrame[]): Buffer;
  /** Decompresses what `pack` has made of one frame. */
  unpack(bytes: Uint8Array, blocks: readonly XzBlock[] | undefined): Bytes;
}

export const frameCodecs: Readonly<Record<FrameCompression, FrameCodec>> = {
  zstd: { head: Buffer.alloc(0), pack: packZstd, tail: seekTable, unpack: (bytes) => decompressZstd(only(bytes)) },
  xz: { head: xzHeader(), pack: packXz, tail: (frames) => xzTail(frames.flatMap(blocksOf)), unpack: unpackXz },
};

const LEVEL = 3;

/** pzstd's frame before each frame: how many bytes the next one has, so that a reader can take it at once. */
export const SIZE_FRAME_BYTES = 12;
const SIZE_FRAME_MAGIC = 0x184d2a50;

/** https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md */
export const SEEK_FOOTER_BYTES = 9;
export const SEEK_FRAME_MAGIC = 0x184d2a5e;
export const SEEK_MAGIC = 0x8f92eab1;

const compress = promisify<Uint8Array, object, Buffer>(zstdCompress);

async function packZstd(chunk: Uint8Array): Promise<{ bytes: Buffer }> {
  // One trip to the thread pool: all of it fits, what does not compress grows by less than a 256th.
  const chunkSize = 262144;
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 };
  const frame = await compress(chunk, { params, chunkSize, pledgedSrcSize: chunk.byteLength });
  const size = Buffer.alloc(SIZE_FRAME_BYTES);
  size.writeUInt32LE(SIZE_FRAME_MAGIC, 0);
  size.writeUInt32LE(4, 4);
  size.writeUInt32LE(frame.byteLength, 8);
  return { bytes: Buffer.concat([size, frame]) };
}

/** zstd's seekable format; frames that decoders skip are named as well. */
function seekTable(frames: readonly StoredFrame[]): Buffer {
  const table = Buffer.alloc(8 + frames.length * 16 + SEEK_FOOTER_BYTES);
  table.writeUInt32LE(SEEK_FRAME_MAGIC, 0);
  table.writeUInt32LE(table.byteLength - 8, 4);
  let at = 8;
  for (const { length, raw } of frames) {
    at = table.writeUInt32LE(SIZE_FRAME_BYTES, at);
    at = table.writeUInt32LE(0, at);
    at = table.writeUInt32LE(length - SIZE_FRAME_BYTES, at);
    at = table.writeUInt32LE(raw, at);
  }
  at = table.writeUInt32LE(frames.length * 2, at);
  table.writeUInt32LE(SEEK_MAGIC, at + 1);
  return table;
}

async function packXz(chunk: Uint8Array): Promise<{ bytes: Buffer; blocks: readonly XzBlock[] }> {
  const pieces: Uint8Array[] = [];
  for await (const piece of compressXz(only(chunk))) pieces.push(piece);
  return takeBlocks(Buffer.concat(pieces));
}

function unpackXz(bytes: Uint8Array, blocks: readonly XzBlock[] = []): Bytes {
  return decompressXz(only(xzHeader(), bytes, xzTail(blocks)));
}

function blocksOf({ blocks }: StoredFrame): readonly XzBlock[] {
  return blocks ?? [];
}

async function* only(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
