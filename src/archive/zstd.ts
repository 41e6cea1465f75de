import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { messageOf } from '../errors.ts';
import { type ByteReader, createByteReader } from './byte-reader.ts';
import { damaged, needsMemory } from './damage.ts';
import { type Bytes, coalesce, through } from './streams.ts';

/** What libzstd calls its default: the best ratio for its speed on what clusters hold. */
const LEVEL = 3;

/** Bytes that go in and out of the codec at once: each piece is one trip to the thread pool. */
const PIECE_BYTES = 256 * 1024;

/** What waits on either side of the codec, so that it and the rest of the work run at the same time. */
const BUFFER_BYTES = 2 * 1024 * 1024;

const OPTIONS = { chunkSize: PIECE_BYTES, highWaterMark: BUFFER_BYTES };

/** The decoder's own limit, which guards memory. */
const MAX_WINDOW_MEBIBYTES = 128;

const MAGIC = 0xfd2fb528;
const MAX_BLOCK_BYTES = 128 * 1024;

/**
 * Compresses as one frame with a content checksum, without which a flipped bit would decode unnoticed. Never with
 * `ZSTD_c_nbWorkers`: https://github.com/nodejs/node/issues/59899
 */
export function compressZstd(source: Bytes): Bytes {
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 };
  return through(source, createZstdCompress({ ...OPTIONS, params }), (error) => error);
}

/** Whether four bytes start a zstd stream: a frame, or one of those that decoders skip (pzstd starts with one). */
export function isZstd(head: Uint8Array): boolean {
  return head.byteLength >= 4 && (isFrame(head) || isSkippable(head));
}

/**
 * Decompresses any number of frames, such as pzstd or `cat a.zst b.zst` make them. node:zlib silently drops what
 * follows the first frame (https://github.com/nodejs/node/issues/64741), so each is cut out here and gets a decoder of
 * its own.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for a frame that is cut or damaged, or for anything else between or after them
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a frame that takes more than 128 MiB of memory
 */
export async function* decompressZstd(source: Bytes): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    const reader = createByteReader(iterator);
    for (;;) {
      const magic = await reader.take(4);
      if (magic.byteLength === 0) return;
      if (magic.byteLength < 4) throw damaged('The zstd stream is cut, or followed by something else.');
      if (isSkippable(magic)) {
        await skipFrame(reader);
      } else if (isFrame(magic)) {
        const decoder = createZstdDecompress(OPTIONS);
        yield* through(coalesce(readFrame(magic, reader), PIECE_BYTES), decoder, explain);
      } else {
        throw damaged('The zstd stream is damaged, or followed by something else.');
      }
    }
  } finally {
    await iterator.return?.();
  }
}

function explain(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ZSTD_error_frameParameter_windowTooLarge'
    ? needsMemory('zstd', MAX_WINDOW_MEBIBYTES, error)
    : damaged(`The zstd stream is damaged: ${messageOf(error)}.`, error);
}

/** Yields one frame: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1 */
async function* readFrame(magic: Uint8Array, reader: ByteReader): AsyncGenerator<Uint8Array> {
  const descriptor = await takeExactly(reader, 1);
  const flags = descriptor.readUInt8();
  const singleSegment = (flags & 0x20) !== 0;
  const hasChecksum = (flags & 0x04) !== 0;
  const window = singleSegment ? 0 : 1;
  const dictionaryId = [0, 1, 2, 4][flags & 0x03] ?? 0;
  const contentSize = [singleSegment ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0;
  yield Buffer.concat([magic, descriptor, await takeExactly(reader, window + dictionaryId + contentSize)]);
  for (let last = false; !last; ) {
    const header = await takeExactly(reader, 3);
    const value = header.readUIntLE(0, 3);
    last = (value & 1) === 1;
    const type = (value >> 1) & 3;
    const size = value >> 3;
    // Type 1 repeats one byte, type 3 is reserved.
    if (type === 3 || (type !== 1 && size > MAX_BLOCK_BYTES)) throw damaged('The zstd stream is damaged.');
    yield header;
    yield await takeExactly(reader, type === 1 ? 1 : size);
  }
  if (hasChecksum) yield await takeExactly(reader, 4);
}

/** https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2 */
async function skipFrame(reader: ByteReader): Promise<void> {
  let left = (await takeExactly(reader, 4)).readUInt32LE();
  while (left > 0) left -= (await takeExactly(reader, Math.min(left, PIECE_BYTES))).byteLength;
}

async function takeExactly(reader: ByteReader, count: number): Promise<Buffer> {
  const bytes = await reader.take(count);
  if (bytes.byteLength < count) throw damaged('The zstd stream is cut: it ends inside a frame.');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isFrame(magic: Uint8Array): boolean {
  return readMagic(magic) === MAGIC;
}

function isSkippable(magic: Uint8Array): boolean {
  return (readMagic(magic) & 0xfffffff0) >>> 0 === 0x184d2a50;
}

function readMagic(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}
