import { hash } from 'node:crypto';
import { pack } from 'tar-stream';
import { TransshipError } from '../errors.ts';
import { mapInOrder } from '../streams.ts';
import { damaged } from './damage.ts';
import { formatManifest, MANIFEST_PATH } from './digests.ts';
import { entryOf } from './entry.ts';
import { type Chunk, type Chunker, createChunker } from './frame-chunks.ts';
import type { FrameHasher } from './frame-hasher.ts';
import type { JournalFile } from './frame-journal.ts';
import { cutPiece, type FramedEntry, lengthOf, type Piece, placeFile } from './frames.ts';
import { createPathGuard } from './paths.ts';
import { abortable } from './streams.ts';

/** What an earlier run has stored of the same archive. */
export interface StoredTar {
  /** Bytes of tar. */
  readonly raw: number;
  readonly files: readonly JournalFile[];
  readonly open: JournalFile | undefined;
  /** Reads what is stored, between two offsets of the tar: digests can't be saved half-way, so a part is read again. */
  read(from: number, to: number): AsyncIterable<Piece>;
}

export interface TarOptions {
  /** Bytes of each chunk but the last. */
  readonly frameBytes: number;
  readonly mtime: Date;
  readonly hasher: FrameHasher;
  readonly stored?: StoredTar | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The files are others than those that an earlier run has stored: what it has stored is of no use. */
export class SourceChangedError extends Error {}

const END_BYTES = 1024;

/** The latest time that tar-stream writes right, in seconds. */
const MAX_MTIME = 0x7fffffff;

/** Pieces that wait for the thread that digests. */
const HASHES_AHEAD = 4;

/**
 * The tar that `packTar` would write of the entries, followed by `manifest` of all of them, in chunks, from where the
 * earlier run stopped.
 *
 * @throws SourceChangedError before the first chunk
 * @throws TransshipError `CANCELLED`, `ARCHIVE_UNSUPPORTED` and `ARCHIVE_DAMAGED` as `packTar` does
 */
export async function* tarChunks(
  entries: AsyncIterable<FramedEntry>,
  { frameBytes, mtime, hasher, stored, signal }: TarOptions,
): AsyncGenerator<Chunk> {
  const chunker = createChunker(frameBytes, hasher);
  const checkPath = createPathGuard();
  const seconds = Math.min(Math.floor(mtime.getTime() / 1000), MAX_MTIME);
  const skip = stored?.raw ?? 0;
  const digests: (readonly [path: string, sha1: Promise<string>])[] = [];
  let offset = 0;

  async function* write(entry: FramedEntry): AsyncGenerator<Chunk> {
    const { path, size, body } = entry;
    checkPath(path);
    const place = placeFile(offset, path, size);
    const inMemory = body instanceof Uint8Array ? { sha1: hash('sha1', body) } : {};
    const file: JournalFile = { path, size, ...inMemory };
    const done = stored?.files[digests.length];
    compareFiles(file, done, place.start < skip ? stored?.open : undefined, place.start < skip);
    if (done?.sha1 === undefined) chunker.begin(file);
    if (place.body > skip) yield* put(chunker, cutTo(await tarHeader(path, size, seconds), skip - place.start), false);
    if (done?.sha1 !== undefined) {
      digests.push([path, Promise.resolve(done.sha1)]);
    } else {
      const from = Math.max(0, skip - place.body);
      if (body instanceof Uint8Array) {
        if (body.byteLength !== size) throw wrongSize(path, size, body.byteLength);
        yield* put(chunker, body.subarray(from), false);
      } else {
        if (stored !== undefined && from > 0) await digestAgain(stored.read(place.body, place.body + from), hasher);
        if (from < size) yield* putBody(chunker, abortable(body(from), signal), path, size, from);
      }
      digests.push([path, chunker.end(file)]);
    }
    const padding = place.body + size;
    yield* put(chunker, cutTo({ zeros: place.end - padding }, skip - padding), false);
    offset = place.end;
  }

  for await (const entry of abortable(entries, signal)) {
    if (entry.path === MANIFEST_PATH) {
      throw new TransshipError('ARCHIVE_UNSUPPORTED', `${MANIFEST_PATH} is written by the archive itself.`);
    }
    yield* write(entry);
  }
  const lines = await Promise.all(digests.map(async ([path, sha1]) => [path, await sha1] as const));
  const { path, size, body } = entryOf(MANIFEST_PATH, formatManifest(lines));
  if (!(body instanceof Uint8Array)) throw new Error('The manifest is in memory.');
  yield* write({ path, size, body });
  yield* put(chunker, cutTo({ zeros: END_BYTES }, skip - offset), false);
  const last = chunker.take();
  if (last !== undefined) yield last;
}

function compareFiles(file: JournalFile, done: JournalFile | undefined, open: JournalFile | undefined, begun: boolean) {
  const then = done ?? open;
  if (!begun && then === undefined) return;
  if (then?.path !== file.path) {
    throw new SourceChangedError(`Where ${then?.path ?? 'nothing'} was exported then, there is ${file.path} now.`);
  }
  if (then.size !== file.size) {
    throw new SourceChangedError(`${file.path} had ${then.size} bytes then, and has ${file.size} now.`);
  }
  if (file.sha1 !== undefined && then.sha1 !== file.sha1) throw new SourceChangedError(`${file.path} has changed.`);
}

/** Hands out each chunk as it becomes full. */
function* put(chunker: Chunker, piece: Piece, isBody: boolean): Generator<Chunk> {
  for (let rest = piece; lengthOf(rest) > 0; ) {
    rest = cutPiece(rest, chunker.add(rest, isBody), lengthOf(rest));
    const chunk = chunker.isFull() ? chunker.take() : undefined;
    if (chunk !== undefined) yield chunk;
  }
}

async function* putBody(
  chunker: Chunker,
  pieces: AsyncIterable<Piece>,
  path: string,
  size: number,
  from: number,
): AsyncGenerator<Chunk> {
  let at = from;
  for await (const piece of pieces) {
    at += lengthOf(piece);
    if (at > size) throw wrongSize(path, size, at);
    yield* put(chunker, piece, true);
  }
  if (at < size) throw wrongSize(path, size, at);
}

async function digestAgain(pieces: AsyncIterable<Piece>, hasher: FrameHasher): Promise<void> {
  for await (const _ of mapInOrder(pieces, HASHES_AHEAD, hasher.add));
}

/** A piece without its first bytes; all of it where there are none to leave out. */
function cutTo(piece: Piece, from: number): Piece {
  return cutPiece(piece, Math.min(Math.max(0, from), lengthOf(piece)), lengthOf(piece));
}

/** The header alone: what tar-stream writes before it gets any content. */
async function tarHeader(path: string, size: number, seconds: number): Promise<Buffer> {
  const { body: length } = placeFile(0, path, size);
  const pax = length > 512 ? { pax: {} } : {};
  const tar = pack();
  tar.on('error', () => {});
  const time = new Date(seconds * 1000);
  const sink = tar.entry({ name: path, size, mode: 0o600, mtime: time, type: 'file', ...pax }, () => {});
  sink.on('error', () => {});
  const pieces: Uint8Array[] = [];
  let left = length;
  try {
    for await (const piece of tar) {
      if (!(piece instanceof Uint8Array)) throw new Error('tar-stream yields something that is not bytes.');
      pieces.push(piece);
      left -= piece.byteLength;
      if (left <= 0) break;
    }
  } finally {
    tar.destroy();
  }
  const header = Buffer.concat(pieces);
  if (header.byteLength !== length) throw new Error(`The header of ${path} has ${header.byteLength} bytes.`);
  return header;
}

function wrongSize(path: string, size: number, actual: number): Error {
  return damaged(
    actual > size
      ? `The body of ${path} has more than the ${size} bytes it should have.`
      : `The body of ${path} ended after ${actual} of ${size} bytes.`,
  );
}
