import { TransshipError } from '../errors.ts';
import type { ByteReader } from './byte-reader.ts';
import { damaged } from './damage.ts';
import { joinPieces } from './streams.ts';

/** What the names of encrypted files end with. */
export const AGE_SUFFIX = '.age';

/** The ending of a file's name when it is encrypted to somebody, and as it is when not. */
export function withAge(suffix: string, encryptTo: readonly string[] | undefined): string {
  return encryptTo === undefined ? suffix : `${suffix}${AGE_SUFFIX}`;
}

/** How an encrypted file begins: https://github.com/C2SP/C2SP/blob/main/age.md */
const FORMAT = 'age-encryption.org/';
const VERSION = 'v1';
/** The line with the header's own checksum is its last. */
const LAST_LINE = '\n--- ';
/** Far more than any list of recipients needs. */
const MAX_HEADER_BYTES = 1024 * 1024;
const FIRST_READ_BYTES = 512;

const NONCE_BYTES = 16;
const TAG_BYTES = 16;
const CHUNK_BYTES = 64 * 1024 + TAG_BYTES;

/** Whether bytes are the start of something encrypted; nineteen are enough to know. */
export function isEncrypted(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, FORMAT.length)).toString('latin1') === FORMAT;
}

/** The start of a stream. */
export interface Head {
  /** All that was read, which may be more than the header. */
  readonly bytes: Uint8Array;
  /** Bytes of the header with its last line's end; undefined when the stream is not encrypted. */
  readonly headerSize: number | undefined;
}

/**
 * Reads the start of a stream and, when that is encrypted, its header whole.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` when the header has no end
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another version of the format
 */
export async function takeHead(reader: ByteReader): Promise<Head> {
  let bytes = await reader.take(FIRST_READ_BYTES);
  if (!isEncrypted(bytes)) return { bytes, headerSize: undefined };
  checkVersion(bytes);
  for (;;) {
    const headerSize = findEnd(bytes);
    if (headerSize !== undefined) return { bytes, headerSize };
    if (bytes.byteLength > MAX_HEADER_BYTES) throw damaged('The header of the encrypted bytes has no end.');
    const more = await reader.take(bytes.byteLength);
    if (more.byteLength === 0) throw damaged('The encrypted bytes are cut: they end inside their header.');
    bytes = joinPieces([bytes, more], bytes.byteLength + more.byteLength);
  }
}

function checkVersion(bytes: Uint8Array): void {
  const line = Buffer.from(bytes).toString('latin1').split('\n', 1)[0] ?? '';
  const version = line.slice(FORMAT.length);
  if (version === VERSION) return;
  if (!/^v\d+$/.test(version)) throw damaged('The header of the encrypted bytes is damaged.');
  throw new TransshipError(
    'ARCHIVE_UNSUPPORTED',
    `It is encrypted in version ${version} of the age format; this Transship reads ${VERSION}.`,
    { hint: 'Use a newer Transship, or decrypt it with age first.' },
  );
}

function findEnd(bytes: Uint8Array): number | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lastLine = buffer.indexOf(LAST_LINE, 0, 'latin1');
  const end = lastLine === -1 ? -1 : buffer.indexOf('\n', lastLine + 1, 'latin1');
  return end === -1 ? undefined : end + 1;
}

/**
 * How many plain bytes are in so many encrypted ones.
 *
 * @param size - of the header and all behind it
 * @throws TransshipError `ARCHIVE_DAMAGED` when so many can't be whole
 */
export function plainSize(headerSize: number, size: number): number {
  const payload = size - headerSize - NONCE_BYTES;
  const chunks = Math.ceil(payload / CHUNK_BYTES);
  const last = payload - (chunks - 1) * CHUNK_BYTES;
  // Only the first chunk may hold nothing.
  if (payload < TAG_BYTES || last < TAG_BYTES || (last === TAG_BYTES && chunks > 1)) {
    throw damaged('The encrypted bytes are cut.');
  }
  return payload - chunks * TAG_BYTES;
}
