import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import type { Entry } from './entry.ts';
import { readArchive } from './read.ts';
import { type Bytes, joinPieces } from './streams.ts';

/** How an archive is kept while it is used. */
export interface SpoolOptions {
  /** Where the temporary file goes; this user's alone. */
  readonly directory: string;
  /** `sha256:<hex>` that the stored bytes must have. */
  readonly digest?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Opens an empty file, for reading and writing, by its path. Replaced in tests. */
  readonly openFile?: ((path: string) => Promise<FileHandle>) | undefined;
}

/** An archive that was read and verified whole; its files can be read in any order, any number of times. */
export interface Spool {
  /** `sha256:<hex>` of the stored bytes. */
  readonly digest: string;
  /** Bytes as stored. */
  readonly size: number;
  /** How many files there are, and their bytes; the index and the manifest are not counted. */
  readonly files: number;
  readonly bytes: number;
  /** All paths, in the order of the archive. */
  paths(): readonly string[];
  has(path: string): boolean;
  /** Reads a file whole, into memory. */
  read(path: string): Promise<Buffer>;
  /** The file as an entry whose body is a stream that can be read any number of times. */
  entry(path: string): Entry;
  /** Gives the disk space back. */
  close(): Promise<void>;
}

interface Place {
  readonly start: number;
  readonly size: number;
}

const PIECE_BYTES = 1024 * 1024;

/**
 * Reads an archive once, verifies all of it, and keeps its files in one temporary file: digests stand at the end of an
 * archive, and nothing may be done with its entries before. The file has mode 0600 and, but on Windows, no name, so that
 * nothing is left of it however the process ends.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_DAMAGED` for an archive that is not what was written, or has another digest
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another format, or one of a newer Transship
 * @throws TransshipError `BACKEND` when the disk is full or the directory can't be written
 */
export async function spoolArchive(source: Bytes, options: SpoolOptions): Promise<Spool> {
  const { directory, digest: expected, signal, openFile = openPrivate } = options;
  const sha256 = createHash('sha256');
  let size = 0;
  async function* measure() {
    for await (const piece of source) {
      sha256.update(piece);
      size += piece.byteLength;
      yield piece;
    }
  }
  const path = join(directory, `transship-${randomUUID()}.spool`);
  const file = await onDisk(directory, () => openFile(path));
  const named = await removeName(path);
  const close = async () => {
    await file.close();
    if (named) await unlink(path);
  };
  try {
    const places = await writeAll(readArchive(measure(), signal), file, directory);
    const digest = `sha256:${sha256.digest('hex')}`;
    if (expected !== undefined && digest !== expected) {
      throw damaged(`The archive is not the expected one: its digest is ${digest}, expected is ${expected}.`);
    }
    const bytes = [...places.values()].reduce((sum, place) => sum + place.size, 0);
    return { digest, size, files: places.size, bytes, ...createAccess(file, places), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Writes all bodies one after the other, small ones together. */
async function writeAll(
  entries: AsyncIterable<Entry>,
  file: FileHandle,
  directory: string,
): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let position = 0;
  let pieces: Uint8Array[] = [];
  let waiting = 0;
  let writing = Promise.resolve();
  const write = async (joined: Uint8Array, start: number) => {
    for (let done = 0; done < joined.byteLength; ) {
      const { bytesWritten } = await onDisk(directory, () => file.write(joined, done, undefined, start + done));
      done += bytesWritten;
    }
  };
  // The next bytes are read while these are written.
  const flush = async () => {
    await writing;
    writing = write(joinPieces(pieces, waiting), position);
    // It is awaited later; until then its failure has no one else to hear it.
    writing.catch(() => {});
    position += waiting;
    pieces = [];
    waiting = 0;
  };
  try {
    for await (const { path, size, body } of entries) {
      places.set(path, { start: position + waiting, size });
      for await (const piece of body instanceof Uint8Array ? [body] : body) {
        pieces.push(piece);
        waiting += piece.byteLength;
        if (waiting >= PIECE_BYTES) await flush();
      }
    }
    await flush();
  } finally {
    // The file is closed next.
    await writing;
  }
  return places;
}

function createAccess(file: FileHandle, places: ReadonlyMap<string, Place>) {
  const find = (path: string) => {
    const place = places.get(path);
    if (place === undefined) throw damaged(`The archive has no ${path}.`);
    return place;
  };
  const readAt = async (path: string, start: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await file.read(buffer, done, length - done, start + done);
      if (bytesRead === 0) throw new TransshipError('BACKEND', `The temporary file of ${path} was cut.`);
      done += bytesRead;
    }
    return buffer;
  };
  async function* stream(path: string, { start, size }: Place): AsyncGenerator<Uint8Array> {
    for (let done = 0; done < size; done += PIECE_BYTES) {
      yield await readAt(path, start + done, Math.min(PIECE_BYTES, size - done));
    }
  }
  return {
    paths: () => [...places.keys()],
    has: (path: string) => places.has(path),
    read: async (path: string) => {
      const { start, size } = find(path);
      return readAt(path, start, size);
    },
    entry: (path: string): Entry => {
      const place = find(path);
      return { path, size: place.size, body: { [Symbol.asyncIterator]: () => stream(path, place) } };
    },
  };
}

function openPrivate(path: string): Promise<FileHandle> {
  return open(path, 'wx+', 0o600);
}

/** Returns whether the file kept its name: Windows keeps it as long as the file is open. */
async function removeName(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return false;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ENOENT');
  }
}

async function onDisk<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
    throw full
      ? new TransshipError('BACKEND', `There is no room left in ${directory} to unpack the archive.`, {
          hint: 'It needs room for the archive uncompressed: free some, or point RUNNER_TEMP or TMPDIR at a larger disk.',
          cause: error,
        })
      : new TransshipError('BACKEND', `The archive can't be unpacked into ${directory}: ${messageOf(error)}.`, {
          cause: error,
        });
  }
}
