import { TransshipError } from '../errors.ts';
import type { Digests } from './digests.ts';

/** The bytes of an entry: all at once when small, else a stream that yields exactly `size` bytes and is read once. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>;

/** What stands in a file system besides plain files. */
export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink';

/** Part of a body, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

/** One file of an archive; the one thing that flows through the program. */
export interface Entry {
  /** Relative, `/`-separated, without `.` or `..` segments. */
  readonly path: string;
  /** Length of the body in bytes; 0 for all but files. */
  readonly size: number;
  readonly body: Body;
  /** Those of the body, where they are known already: it need not be read for them, and what is read must have them. */
  readonly digests?: Digests | undefined;
  /** What it is; a file when left out. Only files are in manifest and index. */
  readonly type?: EntryType | undefined;
  /** Of a symlink its text, of a hard link the path of an earlier entry. */
  readonly linkTarget?: string | undefined;
  /** Permissions with setuid, setgid and sticky bit. When left out, only the owner may read and write. */
  readonly mode?: number | undefined;
  /** Root when left out. */
  readonly owner?: Owner | undefined;
  /** When it was last changed, to the second; the archive's own time when left out. */
  readonly mtime?: Date | undefined;
  /**
   * Where the body is known to be zeros, in order and apart from each other: no space is needed for these. The body
   * yields the zeros all the same.
   */
  readonly holes?: readonly ByteRange[] | undefined;
}

/** Whom a file belongs to. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whether an entry is a file, which has a body and digests. */
export function isFile({ type }: Pick<Entry, 'type'>): boolean {
  return type === undefined || type === 'file';
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
