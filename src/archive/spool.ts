import type { FileHandle } from 'node:fs/promises';
import { damaged } from './damage.ts';
import type { Entry } from './entry.ts';
import { measure } from './measure.ts';
import { type OtherFormat, readArchive } from './read.ts';
import { type Bytes, joinPieces } from './streams.ts';
import { openTemporaryFile, type TemporaryFile } from './temporary-file.ts';
import { readTree } from './tree.ts';

/** How a snapshot is kept while it is used. */
export interface SpoolOptions {
  /** Where the temporary file goes; this user's alone. */
  readonly directory: string;
  /** `sha256:<hex>` that {@link Spool.digest} must be. */
  readonly digest?: string | undefined;
  /** age's secret keys, for a snapshot that is encrypted. */
  readonly identities?: readonly string[] | undefined;
  /** What the file may hold besides a tar. */
  readonly other?: OtherFormat | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Opens an empty file, for reading and writing, by its path. Replaced in tests. */
  readonly openFile?: ((path: string) => Promise<FileHandle>) | undefined;
}

/** A snapshot that was read and verified whole; its files can be read in any order, any number of times. */
export interface Spool {
  /** `sha256:<hex>` of the stored archive, or of a tree's `manifest`. */
  readonly digest: string;
  /** Bytes as stored; of a tree, those of all files. */
  readonly size: number;
  /** How many files there are, and their bytes; the index and the manifest are not counted. */
  readonly files: number;
  readonly bytes: number;
  /** All paths, in the order they were read. */
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

const PURPOSE = {
  verb: 'unpack the snapshot',
  done: "The snapshot can't be unpacked",
  need: 'It needs room for the snapshot uncompressed',
};

/**
 * Reads an archive once, verifies all of it, and keeps its files in one temporary file: digests stand at the end of an
 * archive, and nothing may be done with its entries before. Nothing is left of the file however the process ends.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` when it is encrypted and none of the identities opens it
 * @throws TransshipError `ARCHIVE_DAMAGED` for an archive that is not what was written, or has another digest
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another format, or one of a newer Transship
 * @throws TransshipError `BACKEND` when the disk is full or the directory can't be written
 */
export function spoolArchive(source: Bytes, options: SpoolOptions): Promise<Spool> {
  const { bytes, result } = measure(source);
  return spool(readArchive(bytes, options.signal, options.identities, options.other), result, options);
}

/**
 * Does for a tree what {@link spoolArchive} does for an archive. Its digest is that of the file `manifest`, its size
 * that of all files.
 *
 * @param entries - all files of the tree, `_index.json` and `manifest` last
 * @throws TransshipError as {@link spoolArchive} does
 */
export function spoolEntries(entries: AsyncIterable<Entry>, options: SpoolOptions): Promise<Spool> {
  const { entries: verified, result } = readTree(entries, options.signal, options.identities);
  return spool(verified, result, options);
}

/** @param result - what was read; asked for after the last entry */
async function spool(
  entries: AsyncIterable<Entry>,
  result: () => { size: number; digest: string },
  { directory, digest: expected, openFile }: SpoolOptions,
): Promise<Spool> {
  const file = await openTemporaryFile({ directory, purpose: PURPOSE, openFile });
  try {
    const places = await writeAll(entries, file);
    const { size, digest } = result();
    if (expected !== undefined && digest !== expected) {
      throw damaged(`The snapshot is not the expected one: its digest is ${digest}, expected is ${expected}.`);
    }
    const bytes = [...places.values()].reduce((sum, place) => sum + place.size, 0);
    return { digest, size, files: places.size, bytes, ...createAccess(file, places), close: file.close };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes all bodies one after the other, small ones together. */
async function writeAll(entries: AsyncIterable<Entry>, file: TemporaryFile): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let position = 0;
  let pieces: Uint8Array[] = [];
  let waiting = 0;
  let writing = Promise.resolve();
  // The next bytes are read while these are written.
  const flush = async () => {
    await writing;
    writing = file.write(joinPieces(pieces, waiting), position);
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

function createAccess(file: TemporaryFile, places: ReadonlyMap<string, Place>) {
  const find = (path: string) => {
    const place = places.get(path);
    if (place === undefined) throw damaged(`The snapshot has no ${path}.`);
    return place;
  };
  async function* stream({ start, size }: Place): AsyncGenerator<Uint8Array> {
    for (let done = 0; done < size; done += PIECE_BYTES) {
      yield await file.read(start + done, Math.min(PIECE_BYTES, size - done));
    }
  }
  return {
    paths: () => [...places.keys()],
    has: (path: string) => places.has(path),
    read: async (path: string) => {
      const { start, size } = find(path);
      return file.read(start, size);
    },
    entry: (path: string): Entry => {
      const place = find(path);
      return { path, size: place.size, body: { [Symbol.asyncIterator]: () => stream(place) } };
    },
  };
}
