import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { TransshipError } from '../errors.ts';
import { mapInOrder } from '../streams.ts';
import { formatManifest, MANIFEST_PATH } from './digests.ts';
import { entryOf, isFile } from './entry.ts';
import { type Chunk, type Chunker, createChunker } from './frame-chunks.ts';
import { type Content, fillHoles, placeInFile, splitContent, wrongSize } from './frame-content.ts';
import type { FrameHasher } from './frame-hasher.ts';
import { holdDisk, isWorthHolding } from './frame-hold.ts';
import type { JournalFile } from './frame-journal.ts';
import { cutPiece, type FramedEntry, lengthOf, type Piece } from './frames.ts';
import { createPathGuard } from './paths.ts';
import { abortable } from './streams.ts';
import { packHeader } from './tar.ts';
import { padded } from './tar-header.ts';
import { alignHoles, otherRanges } from './tar-sparse.ts';

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
  /** How much data of a disk is held to see whether it has more: see frame-hold.ts. */
  readonly heldBytes: () => number;
  readonly mtime: Date;
  readonly hasher: FrameHasher;
  readonly stored?: StoredTar | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The files are others than those that an earlier run has stored: what it has stored is of no use. */
export class SourceChangedError extends Error {}

const END_BYTES = 1024;

/** Pieces that wait for the thread that digests. */
const HASHES_AHEAD = 4;

/**
 * The tar that `packTar` would write of the entries, followed by `manifest` of the files among them, in chunks, from
 * where the earlier run stopped. Disks that are all but empty become sparse files.
 *
 * @throws SourceChangedError before the first chunk
 * @throws TransshipError `CANCELLED`, `ARCHIVE_UNSUPPORTED` and `ARCHIVE_DAMAGED` as `packTar` does
 */
export async function* tarChunks(
  entries: AsyncIterable<FramedEntry>,
  { frameBytes, heldBytes, mtime, hasher, stored, signal }: TarOptions,
): AsyncGenerator<Chunk> {
  const chunker = createChunker(frameBytes, hasher);
  const checkPath = createPathGuard();
  const skip = stored?.raw ?? 0;
  const digests: (readonly [path: string, sha1: Promise<string | undefined>])[] = [];
  let count = 0;
  let offset = 0;

  /** Writes an entry whose holes are known. */
  async function* put({ entry, file, head, data, sha1, content }: Writing, then: Then): AsyncGenerator<Chunk> {
    const length = data.reduce((sum, range) => sum + range.length, 0);
    const start = offset + head.byteLength;
    offset = start + padded(length);
    if (then.isDone) {
      digests.push([entry.path, Promise.resolve(then.file?.sha1)]);
    } else {
      chunker.begin(file);
      yield* putPiece(chunker, cutFrom(head, skip - (start - head.byteLength)), false);
      for await (const { piece, isStored, isDigested } of content(Math.max(0, skip - start), start)) {
        if (isStored) yield* putPiece(chunker, piece, !isDigested);
        else chunker.leaveOut(lengthOf(piece));
      }
      const digest = isFile(entry) && sha1 === undefined ? chunker.digest() : Promise.resolve(sha1);
      chunker.end(file, digest);
      digests.push([entry.path, digest]);
    }
    yield* putPiece(chunker, cutFrom({ zeros: offset - start - length }, skip - start - length), false);
  }

  async function* write(entry: FramedEntry): AsyncGenerator<Chunk> {
    checkPath(entry.path, entry);
    const then = whatWas(entry, stored, count, offset < skip);
    count += 1;
    const { body, size, holes } = entry;
    if (body instanceof Uint8Array || holes !== undefined || !isWorthHolding(size, heldBytes())) {
      yield* put(check(await prepare(entry), then), then);
    } else if (then.file !== undefined && (then.isDone || then.file.holes === undefined)) {
      const holes = then.file.holes?.map(([start, length]) => ({ start, length }));
      yield* put(check(await prepare({ ...entry, holes }), then), then);
    } else {
      yield* hold(entry, body, then);
    }
  }

  /** Writes an entry whose holes are yet to be found; when that was begun before, its data is held again. */
  async function* hold(entry: FramedEntry, body: Opens, then: Then): AsyncGenerator<Chunk> {
    const pieces = abortable(body(0), signal);
    let release = () => {};
    try {
      const held = await holdDisk(pieces, entry, heldBytes, hasher);
      release = held.release;
      const holes = held.rest === undefined && held.holes.length > 0 ? held.holes : undefined;
      const writing = await prepare({ ...entry, holes }, holes);
      const first = holes === undefined ? held.pieces() : held.data();
      async function* content(from: number): AsyncGenerator<Step> {
        let left = from;
        for (const piece of first) {
          yield { piece: cutFrom(piece, left), isStored: true, isDigested: true };
          left -= lengthOf(piece);
        }
        held.release();
        if (held.rest === undefined) return;
        async function* others() {
          if (held.rest !== undefined) yield held.rest;
          yield* pieces;
        }
        yield* splitContent(others(), writing.data, held.end, entry);
      }
      yield* put({ ...check(writing, then), content }, then);
    } finally {
      await pieces.return(undefined);
      release();
    }
  }

  /** @param found - holes that were found, which the next run can't know */
  async function prepare(entry: FramedEntry, found?: FramedEntry['holes']): Promise<Writing> {
    const { path, size, body, holes = [] } = entry;
    const head = await packHeader(entry, mtime);
    const data = otherRanges(alignHoles(holes, size), size);
    const inMemory = body instanceof Uint8Array;
    if (inMemory && body.byteLength !== size) throw wrongSize(path, size, body.byteLength);
    const sha1 = inMemory && isFile(entry) ? hash('sha1', body) : undefined;
    const file: JournalFile = {
      path,
      size,
      header: crc32(head),
      ...(sha1 === undefined ? {} : { sha1 }),
      ...(found === undefined ? {} : { holes: found.map(({ start, length }) => [start, length] as const) }),
    };
    async function* content(from: number, start: number): AsyncGenerator<Step> {
      const begin = placeInFile(data, from);
      if (inMemory) {
        for await (const part of splitContent([body.subarray(begin)], data, begin, entry)) {
          if (part.isStored) yield { ...part, isDigested: true };
        }
        return;
      }
      if (stored !== undefined && from > 0) {
        await digestAgain(fillHoles(stored.read(start, start + from), data), hasher);
      }
      if (begin < size) yield* splitContent(abortable(body(begin), signal), data, begin, entry);
    }
    return { entry, file, head, data, sha1, content };
  }

  for await (const entry of abortable(entries, signal)) {
    if (entry.path === MANIFEST_PATH) {
      throw new TransshipError('ARCHIVE_UNSUPPORTED', `${MANIFEST_PATH} is written by the archive itself.`);
    }
    yield* write(entry);
  }
  const lines: (readonly [path: string, sha1: string])[] = [];
  for (const [path, digest] of digests) {
    const sha1 = await digest;
    if (sha1 !== undefined) lines.push([path, sha1]);
  }
  const { path, size, body } = entryOf(MANIFEST_PATH, formatManifest(lines));
  if (!(body instanceof Uint8Array)) throw new Error('The manifest is in memory.');
  yield* write({ path, size, body });
  yield* putPiece(chunker, cutFrom({ zeros: END_BYTES }, skip - offset), false);
  const last = chunker.take();
  if (last !== undefined) yield last;
}

type Opens = Exclude<FramedEntry['body'], Uint8Array>;

/** A part of a file's content, and whether its digest has it already. */
interface Step extends Content {
  readonly isDigested?: boolean;
}

/** An entry that can be written. */
interface Writing {
  readonly entry: FramedEntry;
  readonly file: JournalFile;
  readonly head: Buffer;
  readonly data: ReturnType<typeof otherRanges>;
  readonly sha1: string | undefined;
  /**
   * @param from - how much of what is stored of it there is
   * @param start - where it starts in the tar
   */
  content(from: number, start: number): AsyncIterable<Step>;
}

/** What the earlier run has stored of an entry: all, its start, or nothing. */
interface Then {
  readonly file: JournalFile | undefined;
  readonly isDone: boolean;
}

function whatWas({ path, size }: FramedEntry, stored: StoredTar | undefined, index: number, isBegun: boolean): Then {
  const done = stored?.files[index];
  const file = done ?? (isBegun ? stored?.open : undefined);
  if (file === undefined && !isBegun) return { file, isDone: false };
  if (file?.path !== path) {
    throw new SourceChangedError(`Where ${file?.path ?? 'nothing'} was exported then, there is ${path} now.`);
  }
  if (file.size !== size) throw new SourceChangedError(`${path} had ${file.size} bytes then, and has ${size} now.`);
  return { file, isDone: done !== undefined };
}

function check(writing: Writing, then: Then): Writing {
  const { path, header, sha1 } = writing.file;
  const isOther =
    then.file !== undefined && (then.file.header !== header || (sha1 !== undefined && then.file.sha1 !== sha1));
  if (isOther) throw new SourceChangedError(`${path} has changed.`);
  return writing;
}

/** Hands out each chunk as it becomes full. */
function* putPiece(chunker: Chunker, piece: Piece, isBody: boolean): Generator<Chunk> {
  for (let rest = piece; lengthOf(rest) > 0; ) {
    rest = cutPiece(rest, chunker.add(rest, isBody), lengthOf(rest));
    const chunk = chunker.isFull() ? chunker.take() : undefined;
    if (chunk !== undefined) yield chunk;
  }
}

async function digestAgain(pieces: AsyncIterable<Piece>, hasher: FrameHasher): Promise<void> {
  for await (const _ of mapInOrder(pieces, HASHES_AHEAD, hasher.add));
}

/** A piece without its first bytes; all of it where there are none to leave out. */
function cutFrom(piece: Piece, from: number): Piece {
  return cutPiece(piece, Math.min(Math.max(0, from), lengthOf(piece)), lengthOf(piece));
}
