import { once } from 'node:events';
import { extract, type Header, pack } from 'tar-stream';
import { messageOf, TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import type { Entry } from './entry.ts';
import { createPathGuard } from './paths.ts';
import { abortable, type Bytes, feed, handOut, joinPieces } from './streams.ts';
import { BLOCK_BYTES, MAX_OWNER, padded, paxRecordLength } from './tar-header.ts';
import { alignHoles, dataLength, formatMap, leaveHoles } from './tar-sparse.ts';

/** How an archive's tar is written. */
export interface TarOptions {
  /** The time of every file: given, so that the same entries make the same bytes. */
  readonly mtime: Date;
  readonly signal?: AbortSignal | undefined;
}

/** What is handed on at once: each piece costs every later step (hash, codec, upload) some fixed time. */
const PIECE_BYTES = 1024 * 1024;

/** Entries up to this size are read whole: a stream for each would cost more than its bytes. */
const SMALL_BYTES = 256 * 1024;

/** The latest time that tar-stream writes right, in seconds: it counts in 32 bits. */
const MAX_MTIME = 0x7fffffff;

/** Without this tar-stream takes a mode of 0 for none; it is not written itself. */
const MODE_MARK = 0o100000;

const TAR_TYPES = { file: 'file', directory: 'directory', symlink: 'symlink', hardlink: 'link' } as const;

/**
 * Writes entries as a tar, in pieces of about 1 MiB. What an entry does not say of itself is mode 0600 (0700 of a
 * folder), owner 0 and the given time. Paths that are long or not ASCII are written as PAX headers, which every tar reads;
 * files with holes in GNU's sparse format 1.0, which GNU tar, libarchive, Go and Python read.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a path that may not be in an archive, or is there twice, and for a link that
 *   leads out
 * @throws TransshipError `ARCHIVE_DAMAGED` for a body that yields fewer or more bytes than its entry's size, or something
 *   else than zeros where its entry has a hole
 */
export async function* packTar(
  entries: AsyncIterable<Entry>,
  { mtime, signal }: TarOptions,
): AsyncGenerator<Uint8Array> {
  const checkPath = createPathGuard();
  const seconds = Math.min(Math.floor(mtime.getTime() / 1000), MAX_MTIME);
  const tar = pack();
  // Its errors come back through the calls below.
  tar.on('error', () => {});
  let pieces: Uint8Array[] = [];
  let length = 0;
  tar.on('data', (data) => {
    const piece = bytesOf(data);
    pieces.push(piece);
    length += piece.byteLength;
  });
  const flush = () => {
    const joined = joinPieces(pieces, length);
    pieces = [];
    length = 0;
    return joined;
  };

  try {
    for await (const entry of abortable(entries, signal)) {
      const { path, size, body } = entry;
      const holes = alignHoles(entry.holes ?? [], size);
      checkPath(path, entry);
      const written = Promise.withResolvers<void>();
      const header = headerOf(entry, new Date(seconds * 1000));
      const sink = tar.entry(header, (error) => (error ? written.reject(error) : written.resolve()));
      sink.on('error', () => {});
      // A body that fails is told by its own error.
      written.promise.catch(() => {});
      const whole = checkLength(body instanceof Uint8Array ? slicesOf(body) : abortable(body, signal), size, path);
      if (holes.length > 0) sink.write(formatMap(holes, size));
      for await (const piece of holes.length > 0 ? leaveHoles(whole, holes, path) : whole) {
        if (!sink.write(piece)) await once(sink, 'drain');
        if (length >= PIECE_BYTES) yield flush();
      }
      sink.end(null);
      await written.promise;
      if (length >= PIECE_BYTES) yield flush();
    }
    tar.finalize();
    await once(tar, 'end');
    yield flush();
  } finally {
    tar.destroy();
  }
}

/** How many bytes an entry takes in the tar that {@link packTar} writes, headers and padding included. */
export function tarSpan(path: string, size: number, entry: Metadata = {}): number {
  const header = headerOf({ ...entry, path, size }, new Date(0));
  return headerBytes(header) + padded(header.size);
}

/** How many bytes the blocks of a header take. */
function headerBytes({ name, linkname, pax }: ReturnType<typeof headerOf>): number {
  if (pax === undefined) return BLOCK_BYTES;
  const records = { path: name, ...(linkname === undefined ? {} : { linkpath: linkname }), ...pax };
  const paxLength = Object.entries(records).reduce((sum, [key, value]) => sum + paxRecordLength(key, value), 0);
  return 2 * BLOCK_BYTES + padded(paxLength);
}

/**
 * What {@link packTar} writes of an entry before its content; the map of a sparse file is a part of that.
 *
 * @param mtime - of an entry that has none of its own
 */
export async function packHeader(entry: Omit<Entry, 'body'>, mtime: Date): Promise<Buffer> {
  const header = headerOf(entry, mtime);
  const length = headerBytes(header);
  const tar = pack();
  // What is missing of the content is told when the tar is destroyed.
  tar.on('error', () => {});
  tar.entry(header, () => {}).on('error', () => {});
  const pieces: Uint8Array[] = [];
  let left = length;
  try {
    for await (const data of tar) {
      const piece = bytesOf(data);
      pieces.push(piece);
      left -= piece.byteLength;
      if (left <= 0) break;
    }
  } finally {
    tar.destroy();
  }
  if (left !== 0) throw new Error(`The header of ${entry.path} has ${length - left} bytes.`);
  const { size } = entry;
  const holes = alignHoles(entry.holes ?? [], size);
  return Buffer.concat(holes.length > 0 ? [...pieces, formatMap(holes, size)] : pieces);
}

/** All of an entry that is not its body. */
type Metadata = Omit<Partial<Entry>, 'body'>;

/** The header of an entry as tar-stream takes it. */
function headerOf({ path, size, type = 'file', ...entry }: Omit<Entry, 'body'>, mtime: Date) {
  const holes = alignHoles(entry.holes ?? [], size);
  const { linkTarget, mode = type === 'directory' ? 0o700 : 0o600, owner = { uid: 0, gid: 0 } } = entry;
  const pax: Record<string, string> = {};
  if (owner.uid > MAX_OWNER) pax.uid = String(owner.uid);
  if (owner.gid > MAX_OWNER) pax.gid = String(owner.gid);
  let name = type === 'directory' ? `${path}/` : path;
  let stored = size;
  if (holes.length > 0) {
    Object.assign(pax, { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' });
    Object.assign(pax, { 'GNU.sparse.name': path, 'GNU.sparse.realsize': String(size) });
    // What knows no sparse files must not take the map for the file's content.
    name = `GNUSparseFile.0/${path}`;
    stored = formatMap(holes, size).byteLength + dataLength(holes, size);
  }
  const seconds = Math.floor((entry.mtime ?? mtime).getTime() / 1000);
  const isPlain = isShort(name) && (linkTarget === undefined || isShort(linkTarget)) && Object.keys(pax).length === 0;
  return {
    name,
    size: stored,
    type: TAR_TYPES[type],
    mode: mode | MODE_MARK,
    uid: owner.uid,
    gid: owner.gid,
    mtime: new Date(Math.min(Math.max(seconds, 0), MAX_MTIME) * 1000),
    ...(linkTarget === undefined ? {} : { linkname: linkTarget }),
    ...(isPlain ? {} : { pax }),
  };
}

async function* checkLength(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  size: number,
  path: string,
): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const piece of pieces) {
    left -= piece.byteLength;
    if (left < 0) throw damaged(`The body of ${path} has more than the ${size} bytes it should have.`);
    yield piece;
  }
  if (left > 0) throw damaged(`The body of ${path} ended after ${size - left} of ${size} bytes.`);
}

/**
 * Reads a tar. Bodies of more than 256 KiB are streams: each can be read once, before the next entry is asked for; what
 * is not read is skipped. Folders are skipped too, and a leading `./` is left out of paths.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for links, devices, sparse files and paths that may not be in an archive
 * @throws TransshipError `ARCHIVE_DAMAGED` for a tar that is cut or damaged
 */
export async function* readTar(source: Bytes, signal?: AbortSignal): AsyncGenerator<Entry> {
  const checkPath = createPathGuard();
  const tar = extract();
  // What comes out of the iterators below may only say that there was an error.
  let failure: unknown;
  tar.on('error', (error) => {
    failure = error;
  });
  const closed = new Promise<void>((resolve) => tar.once('close', resolve));
  let total = 0;
  async function* count() {
    for await (const piece of abortable(source, signal)) {
      total += piece.byteLength;
      yield piece;
    }
  }
  const feeding = feed(count(), tar);
  let last = 'its first file';
  let end = 0;
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      tar.destroy();
      await closed;
      const { failed, error: cause } = await feeding;
      throw failed ? cause : explain(failure ?? error, last);
    }
  };

  const iterator = tar[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await guarded(() => iterator.next());
      if (result.done) break;
      const file = result.value;
      const { path, size } = checkHeader(file.header);
      end = file.offset + BLOCK_BYTES + padded(size);
      const pieces = file[Symbol.asyncIterator]();
      const next = () => guarded(() => pieces.next());
      const { body, drain } = handOut(readPieces(next), path);
      if (file.header.type === 'file') {
        checkPath(path);
        last = path;
        yield { path, size, body: size <= SMALL_BYTES ? await readAll(body, size) : body };
      }
      await drain();
    }
    const { failed, error } = await feeding;
    if (failed) throw error;
    // Two blocks of zeros end a tar; without them it may have been cut between two files.
    if (total - end < 2 * BLOCK_BYTES) throw damaged(`The archive is cut after ${last}.`);
  } finally {
    tar.destroy();
    await feeding;
  }
}

function checkHeader({ name, type, size, pax }: Header): { path: string; size: number } {
  const path = name.replace(/^(\.\/+)+/, '');
  if (type !== 'file' && type !== 'directory') throw unsupported(path, `a ${type ?? 'thing of unknown kind'}`);
  const keys = typeof pax === 'object' && pax !== null ? Object.keys(pax) : [];
  if (keys.some((key) => key.startsWith('GNU.sparse.'))) throw unsupported(path, 'a sparse file');
  if (!Number.isSafeInteger(size)) throw damaged(`The tar is damaged: ${JSON.stringify(path)} has a size of ${size}.`);
  return { path, size: type === 'directory' ? 0 : size };
}

async function* readPieces(next: () => Promise<IteratorResult<unknown>>): AsyncGenerator<Uint8Array> {
  for (let result = await next(); !result.done; result = await next()) yield bytesOf(result.value);
}

function bytesOf(data: unknown): Uint8Array {
  if (!(data instanceof Uint8Array)) throw new Error('tar-stream yields something that is not bytes.');
  return data;
}

function unsupported(path: string, what: string): TransshipError {
  return new TransshipError(
    'ARCHIVE_UNSUPPORTED',
    `${JSON.stringify(path)} is ${what}; an archive has plain files only.`,
  );
}

function explain(error: unknown, last: string): unknown {
  if (error instanceof TransshipError) return error;
  const message = messageOf(error);
  return message === 'Unexpected end of data'
    ? damaged(`The archive is cut: it ends inside or right after ${last}.`, error)
    : damaged(`The tar is damaged inside or right after ${last}: ${message}`, error);
}

async function readAll(body: Bytes, size: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return joinPieces(pieces, size);
}

function* slicesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += PIECE_BYTES) yield bytes.subarray(start, start + PIECE_BYTES);
}

/** tar-stream would also cut a long path in two; one rule is easier to tell lengths by. */
function isShort(path: string): boolean {
  // Every character that is not ASCII takes more than one byte.
  return path.length <= 100 && Buffer.byteLength(path) === path.length;
}
