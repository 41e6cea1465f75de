import { detectCompression } from './compression.ts';
import { damaged } from './damage.ts';
import { isEncrypted } from './encryption-header.ts';
import type { Entry, EntryType } from './entry.ts';
import { frameCodecs } from './frame-codec.ts';
import { fillHoles } from './frame-content.ts';
import { readFrameIndex } from './frame-index.ts';
import { type RandomAccess, readFrames } from './frame-reader.ts';
import { evenFrames, type FrameTable } from './frame-table.ts';
import type { Piece } from './frames.ts';
import { createPathGuard } from './paths.ts';
import { ROOT_PATH, readTarEntry, type TarEntry } from './tar-entry.ts';
import { BLOCK_BYTES, padded, TarProblem } from './tar-header.ts';
import { otherRanges } from './tar-sparse.ts';
import { allZeros } from './zeros.ts';

/** A file, folder or link of an archive that can be read from anywhere, as often as wanted. */
export interface FramedFile extends Pick<Entry, 'linkTarget' | 'owner' | 'mtime' | 'holes'> {
  readonly path: string;
  readonly type: EntryType;
  readonly mode: number;
  /** Bytes; 0 for all but files. */
  readonly size: number;
  /**
   * Reads it from a byte on; only what holds the rest is read and decompressed. Runs of zeros come as such, holes always. Not
   * digested; what is digested can't be read in parts.
   */
  read(from?: number): AsyncGenerator<Piece>;
}

/** What of an archive without frames is read at once. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** What is read at once in search of headers, where there are no frames. */
const WINDOW_BYTES = 64 * 1024;

/** The compressed tar, as if it were plain. */
interface TarAccess {
  read(from: number, to: number): AsyncGenerator<Piece>;
  /** Reads a few bytes. */
  readBytes(from: number, to: number): Promise<Buffer>;
}

/**
 * Finds the files of an archive by stepping from header to header: one frame is read for each large file, and no more.
 * Archives that other programs wrote are read as well, when their compression can be entered anywhere. Devices and pipes
 * are left out, as is the folder itself.
 *
 * @returns nothing for an archive that can only be read from its start
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is cut or damaged; digests are the caller's to check
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for what is no archive, and for paths and links that lead out
 */
export async function openFramedArchive(source: RandomAccess): Promise<AsyncGenerator<FramedFile> | undefined> {
  const tar = await openTar(source);
  return tar && listFiles(tar);
}

async function openTar(source: RandomAccess): Promise<TarAccess | undefined> {
  const head = await source.read(0, Math.min(BLOCK_BYTES, source.size));
  if (isEncrypted(head)) return undefined;
  const compression = detectCompression(head);
  if (compression === 'gzip') return undefined;
  const codec = frameCodecs[compression];
  if (compression === 'none') {
    const read = (from: number, to: number) =>
      readFrames(evenFrames(from, Math.min(to, source.size), PIECE_BYTES), from, to, codec, source.read);
    return { read, readBytes: rememberLast(evenFrames(0, source.size, WINDOW_BYTES), read) };
  }
  const table = await readFrameIndex(source, compression);
  if (table === undefined) return undefined;
  const read = (from: number, to: number) => readFrames(table, from, to, codec, source.read);
  return { read, readBytes: rememberLast(table, read) };
}

async function* listFiles({ read, readBytes }: TarAccess): AsyncGenerator<FramedFile> {
  const checkPath = createPathGuard();
  const globalPax: [string, string][] = [];
  const skipped = new Set<string>();
  let at = 0;
  let last = 'its start';
  const take = async (count: number) => {
    at += count;
    return await readBytes(at - count, at);
  };
  for (;;) {
    const entry = await readTarEntry(take, globalPax, (path) => {
      last = path;
    }).catch((error) => {
      throw explain(error, last);
    });
    if (entry === undefined) break;
    const body = at;
    at += padded(entry.stored);
    const { path, linkTarget = '' } = entry;
    const { type, map: _map, stored: _stored, ...facts } = entry;
    if (type === 'skip' || (type === 'hardlink' && skipped.has(linkTarget))) {
      skipped.add(path);
      continue;
    }
    if (path === ROOT_PATH && type === 'directory') continue;
    checkPath(path, { type, linkTarget });
    yield { ...facts, ...holesOf(entry), type, read: reader(entry, body, read) };
  }
  // Two blocks of zeros end a tar; one may be all that is left of it.
  if (!allZeros(await take(BLOCK_BYTES))) throw damaged(`The tar is damaged: a block of zeros follows ${last}.`);
}

function holesOf({ map, size }: TarEntry): Pick<FramedFile, 'holes'> {
  return map === undefined ? {} : { holes: otherRanges(map.data, size) };
}

/** @param body - where in the tar the content starts */
function reader({ map, size, stored }: TarEntry, body: number, read: TarAccess['read']): FramedFile['read'] {
  if (map === undefined) return (from = 0) => read(body + from, body + size);
  // GNU tar ends a map with a part of no bytes where there is a hole.
  const data = map.data.filter(({ length }) => length > 0);
  const last = data.at(-1);
  const dataEnd = last === undefined ? 0 : last.start + last.length;
  return async function* (from = 0) {
    const before = data.reduce((sum, { start, length }) => sum + Math.min(Math.max(from - start, 0), length), 0);
    yield* fillHoles(read(body + before, body + stored), data, from);
    const end = Math.max(from, dataEnd);
    if (end < size) yield { zeros: size - end };
  };
}

function explain(error: unknown, last: string): unknown {
  if (!(error instanceof TarProblem)) return error;
  return damaged(`The tar is damaged inside or right after ${last}: ${error.message}.`, error);
}

/** Reads a few bytes; the frame that they are in is kept for the next ones: small files share one. */
function rememberLast(table: FrameTable, read: TarAccess['read']): TarAccess['readBytes'] {
  let kept: { from: number; bytes: Buffer } = { from: 0, bytes: Buffer.alloc(0) };
  return async (from, to) => {
    const pieces: Buffer[] = [];
    for (let at = from; at < to; ) {
      if (at < kept.from || at >= kept.from + kept.bytes.byteLength) {
        const [frame] = table.between(at, at + 1);
        if (frame === undefined) throw damaged(`The archive is cut: its tar ends before byte ${to}.`);
        kept = { from: frame.from, bytes: await gather(read(frame.from, frame.to)) };
      }
      const part = kept.bytes.subarray(at - kept.from, to - kept.from);
      pieces.push(part);
      at += part.byteLength;
    }
    return Buffer.concat(pieces);
  };
}

async function gather(pieces: AsyncIterable<Piece>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece instanceof Uint8Array ? piece : Buffer.alloc(piece.zeros));
  return Buffer.concat(parts);
}
