import { TransshipError } from '../errors.ts';
import { createByteReader } from './byte-reader.ts';
import { damaged } from './damage.ts';
import { compressGzip, decompressGzip, isGzip } from './gzip.ts';
import { abortable, type Bytes } from './streams.ts';
import { compressXz, decompressXz, isXz } from './xz.ts';
import { compressZstd, decompressZstd, isZstd } from './zstd.ts';

/** How an archive can be compressed, the default first. */
export const compressions = ['zstd', 'xz', 'gzip', 'none'] as const;
export type Compression = (typeof compressions)[number];

/** What one format can do. */
interface Codec {
  readonly suffix: string;
  readonly detect: (head: Uint8Array) => boolean;
  readonly compress: (source: Bytes) => Bytes;
  readonly decompress: (source: Bytes) => Bytes;
}

const codecs: Readonly<Record<Compression, Codec>> = {
  zstd: { suffix: '.tar.zst', detect: isZstd, compress: compressZstd, decompress: decompressZstd },
  xz: { suffix: '.tar.xz', detect: isXz, compress: (source) => compressXz(source), decompress: (s) => decompressXz(s) },
  gzip: { suffix: '.tar.gz', detect: isGzip, compress: compressGzip, decompress: decompressGzip },
  none: { suffix: '.tar', detect: isTar, compress: (source) => source, decompress: (source) => source },
};

/** A tar's header is one block long; every other format is known by less. */
const HEAD_BYTES = 512;

/** The ending of an archive's file name, such as `.tar.zst`. */
export function suffixOf(compression: Compression): string {
  return codecs[compression].suffix;
}

/**
 * Compresses a tar.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for xz where it can't be written
 */
export function compress(source: Bytes, compression: Compression, signal?: AbortSignal): Bytes {
  return codecs[compression].compress(abortable(source, signal));
}

/**
 * Decompresses a tar of any format, which is told by its first bytes, never by a name.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is empty, cut, damaged or followed by something else
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another format
 */
export async function* decompress(source: Bytes, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator: AsyncIterator<Uint8Array> = abortable(source, signal);
  try {
    const reader = createByteReader(iterator);
    const head = await reader.take(HEAD_BYTES);
    const codec = codecs[detectCompression(head)];
    yield* codec.decompress(prepend(head, reader.rest()));
  } finally {
    await iterator.return?.();
  }
}

/**
 * Tells the format by the first bytes.
 *
 * @param head - the first 512 bytes, or all where there are fewer
 */
export function detectCompression(head: Uint8Array): Compression {
  if (head.byteLength === 0) throw damaged('The archive is empty.');
  const found = compressions.find((name) => codecs[name].detect(head));
  if (found !== undefined) return found;
  throw new TransshipError('ARCHIVE_UNSUPPORTED', 'This is no archive: neither zstd, xz, gzip nor tar.', {
    hint: 'Give the file that an export has written, or one that tar has.',
  });
}

/** A header with the mark that POSIX and GNU share, or the zeros that end an empty tar. */
function isTar(head: Uint8Array): boolean {
  if (head.byteLength < HEAD_BYTES) return false;
  return Buffer.from(head.subarray(257, 262)).toString('latin1') === 'ustar' || head.every((byte) => byte === 0);
}

async function* prepend(head: Uint8Array, rest: Bytes): AsyncGenerator<Uint8Array> {
  yield head;
  yield* rest;
}
