import { createGunzip, createGzip } from 'node:zlib';
import { messageOf } from '../errors.ts';
import { damaged } from './damage.ts';
import { type Bytes, through } from './streams.ts';

/** As for zstd: few trips to the thread pool, and enough waiting on either side to keep it busy. */
const OPTIONS = { chunkSize: 256 * 1024, highWaterMark: 2 * 1024 * 1024 };

/** Compresses as one gzip member, at zlib's default level. */
export function compressGzip(source: Bytes): Bytes {
  return through(source, createGzip(OPTIONS), (error) => error);
}

/** Whether two bytes start a gzip stream. */
export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/**
 * Decompresses any number of gzip members. Zeros may follow them, as on tapes; node:zlib stops looking at the first of
 * those, so that what comes after is checked here.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for a member that is cut or damaged, or for anything else after them
 */
export async function* decompressGzip(source: Bytes): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip(OPTIONS);
  let length = 0;
  let zerosAtEnd = 0;
  async function* watch() {
    for await (const piece of source) {
      const used = piece.findLastIndex((byte) => byte !== 0) + 1;
      zerosAtEnd = (used === 0 ? zerosAtEnd : 0) + piece.byteLength - used;
      length += piece.byteLength;
      yield piece;
    }
  }
  yield* through(watch(), gunzip, explain);
  if (length - gunzip.bytesWritten > zerosAtEnd) throw damaged('The gzip stream is followed by something else.');
}

function explain(error: unknown): Error {
  const message = messageOf(error);
  return message === 'unexpected end of file'
    ? damaged('The gzip stream is cut: it ends too early.', error)
    : damaged(`The gzip stream is damaged: ${message}.`, error);
}
