import { TransshipError } from '../errors.ts';

/** The bytes of an entry: all at once when small, else a stream that yields exactly `size` bytes and is read once. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>;

/** One file of an archive; the one thing that flows through the program. */
export interface Entry {
  /** Relative, `/`-separated, without `.` or `..` segments. */
  readonly path: string;
  /** Length of the body in bytes. */
  readonly size: number;
  readonly body: Body;
}

/** An entry whose whole body is in memory, made from text (as UTF-8) or bytes. */
export function entryOf(path: string, content: string | Uint8Array): Entry {
  const body = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  return { path, size: body.byteLength, body };
}

/**
 * Reads a whole body into memory; for small entries only.
 *
 * @param limit - the most bytes to accept
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` when the body is larger than `limit`
 */
export async function readBody(entry: Entry, limit = 64 * 1024 * 1024): Promise<Buffer> {
  if (entry.body instanceof Uint8Array) {
    return Buffer.from(entry.body.buffer, entry.body.byteOffset, entry.body.byteLength);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of entry.body) {
    length += chunk.byteLength;
    if (length > limit) {
      throw new TransshipError(
        'ARCHIVE_UNSUPPORTED',
        `${entry.path} has more than ${limit} bytes, too many to hold in memory.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
