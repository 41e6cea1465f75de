import { createByteReader } from './byte-reader.ts';
import { damaged } from './damage.ts';
import type { Entry, EntryType } from './entry.ts';
import { createPathGuard } from './paths.ts';
import { abortable, type Bytes, handOut, joinPieces } from './streams.ts';
import {
  BLOCK_BYTES,
  decimalSize,
  padded,
  parsePax,
  parseTarHeader,
  type TarHeader,
  TarProblem,
  textUpToNul,
} from './tar-header.ts';
import { fillHoles, otherRanges, readOldMap, readPaxMap, type SparseMap } from './tar-sparse.ts';
import { allZeros } from './zeros.ts';

/** An entry as it stands in a file system. */
export interface FilesystemEntry extends Entry {
  readonly type: EntryType;
  readonly mode: number;
}

/** How the tar of a file system is read. */
export interface FilesystemOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of what is left out, by its path: devices and pipes hold no data, and not every target could make them. */
  readonly onSkip?: ((path: string) => void) | undefined;
}

/** The path of the folder that was packed, where a tar has it as `./`. */
export const ROOT_PATH = '.';

/** Bodies up to this size are read whole, as those of archives are. */
const SMALL_BYTES = 256 * 1024;

/** Long names, and PAX records with a map of a million parts. */
const MAX_META_BYTES = 48 * 1024 * 1024;

/** A header with all that stood before it and belongs to it. */
interface FullHeader extends Omit<TarHeader, 'name' | 'linkName'> {
  readonly path: string;
  readonly linkTarget: string;
  readonly pax: readonly (readonly [key: string, value: string])[];
}

/**
 * Reads a tar of a file system as GNU tar packs one: folders, links, modes, owners, times, and sparse files with their holes.
 * Bodies of more than 256 KiB are streams: each can be read once, before the next entry is asked for; what is not read
 * is skipped. A leading `./` is left out of paths; the folder itself is {@link ROOT_PATH}.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` naming a path or link that leads out, or leads through a link, and for parts
 *   of archives over several tapes
 * @throws TransshipError `ARCHIVE_DAMAGED` for a tar that is cut or damaged
 */
export async function* readFilesystem(
  source: Bytes,
  { signal, onSkip = () => {} }: FilesystemOptions = {},
): AsyncGenerator<FilesystemEntry> {
  const iterator: AsyncIterator<Uint8Array> = abortable(source, signal);
  const reader = createByteReader(iterator);
  let last = 'its start';
  const cut = () => damaged(`The tar is cut: it ends inside or right after ${last}.`);
  const take = async (count: number) => {
    const bytes = await reader.take(count);
    if (bytes.byteLength < count) throw cut();
    return bytes;
  };
  const takeBlock = () => take(BLOCK_BYTES);
  async function* takePieces(count: number) {
    for (let left = count; left > 0; ) {
      const piece = await reader.some(left);
      if (piece.byteLength === 0) throw cut();
      left -= piece.byteLength;
      yield piece;
    }
  }
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TarProblem)) throw error;
      throw damaged(`The tar is damaged inside or right after ${last}: ${error.message}.`, error);
    }
  };

  const checkPath = createPathGuard();
  const skipped = new Set<string>();
  const globalPax: [string, string][] = [];
  try {
    for (;;) {
      const header = await explained(() => readHeader(take, globalPax));
      if (header === undefined) break;
      const { path, flag } = header;
      const type = typeOf(header);
      if (type === 'skip' || (type === 'hardlink' && skipped.has(header.linkTarget))) {
        skipped.add(path);
        onSkip(path);
        continue;
      }
      const linkTarget = type === 'symlink' || type === 'hardlink' ? header.linkTarget : undefined;
      if (path !== ROOT_PATH || type !== 'directory') checkPath(path, { type, linkTarget });
      last = path;
      const facts = { path, type, ...metadataOf(header), ...(linkTarget === undefined ? {} : { linkTarget }) };
      if (type !== 'file') {
        yield { ...facts, size: 0, body: new Uint8Array() };
        continue;
      }

      // Format 1.0 has its map in the body.
      let mapBytes = 0;
      const takeMapBlock = () => {
        mapBytes += BLOCK_BYTES;
        if (mapBytes > header.size) throw new TarProblem('the map of a sparse file has no end');
        return takeBlock();
      };
      const map = await explained(() =>
        flag === 'S' ? readOldMap(header.block, takeBlock) : readPaxMap(header.pax, takeMapBlock),
      );
      const stored = header.size - mapBytes;
      await explained(async () => checkData(map, stored));
      const pieces = takePieces(stored);
      const size = map?.size ?? stored;
      const { body, drain } = handOut(map === undefined ? pieces : fillHoles(pieces, map), path);
      const holes = map === undefined ? {} : { holes: otherRanges(map.data, size) };
      yield { ...facts, ...holes, size, body: size <= SMALL_BYTES ? await readAll(body, size) : body };
      await drain();
      await take(padded(stored) - stored);
    }
    // Two blocks of zeros end a tar; one may be all that is left of it.
    if (!allZeros(await takeBlock())) throw damaged(`The tar is damaged: a block of zeros follows ${last}.`);
    for await (const piece of reader.rest()) {
      if (!allZeros(piece)) throw damaged('The tar is followed by something else.');
    }
  } finally {
    await iterator.return?.();
  }
}

/** Reads up to the header of the next entry; undefined at the end of the tar. */
async function readHeader(
  take: (count: number) => Promise<Uint8Array>,
  globalPax: [string, string][],
): Promise<FullHeader | undefined> {
  let longName: string | undefined;
  let longLink: string | undefined;
  const pax: [string, string][] = [];
  const takeMeta = async (size: number) => {
    if (size > MAX_META_BYTES) throw new TarProblem(`a header has ${size} bytes`);
    const bytes = await take(padded(size));
    return bytes.subarray(0, size);
  };
  for (;;) {
    const header = parseTarHeader(await take(BLOCK_BYTES));
    if (header === undefined) {
      if (longName !== undefined || longLink !== undefined || pax.length > 0) {
        throw new TarProblem('a header of a name has no file after it');
      }
      return undefined;
    }
    if (header.flag === 'L') longName = textUpToNul(await takeMeta(header.size));
    else if (header.flag === 'K') longLink = textUpToNul(await takeMeta(header.size));
    else if (header.flag === 'x') pax.push(...parsePax(await takeMeta(header.size)));
    else if (header.flag === 'g') globalPax.push(...parsePax(await takeMeta(header.size)));
    else return fullHeader(header, longName, longLink, [...globalPax, ...pax]);
  }
}

function fullHeader(
  header: TarHeader,
  longName: string | undefined,
  longLink: string | undefined,
  pax: readonly (readonly [string, string])[],
): FullHeader {
  const records = new Map(pax);
  const number = (key: string, value: number) => {
    const text = records.get(key);
    return text === undefined ? value : decimalSize(text);
  };
  const name = records.get('GNU.sparse.name') ?? records.get('path') ?? longName ?? header.name;
  const link = records.get('linkpath') ?? longLink ?? header.linkName;
  // Tars older than POSIX mark a folder by its name only.
  const isFolder = header.flag === '5' || ('07'.includes(header.flag) && name.endsWith('/'));
  return {
    ...header,
    flag: isFolder ? '5' : header.flag,
    path: cleanPath(isFolder ? name.replace(/\/+$/, '') : name, name),
    linkTarget: header.flag === '1' ? cleanPath(link, link) : link,
    size: number('size', header.size),
    uid: number('uid', header.uid),
    gid: number('gid', header.gid),
    mtime: Math.floor(Number(records.get('mtime') ?? header.mtime)),
    pax,
  };
}

/** Without leading `./`; what was nothing else is the root, but for `/`. */
function cleanPath(path: string, whole: string): string {
  if (path === '' && whole !== '') return '/';
  return path.replace(/^(\.\/+)+/, '') || (path === '' ? '' : ROOT_PATH);
}

function typeOf({ flag, path }: FullHeader): EntryType | 'skip' {
  switch (flag) {
    case '0':
    case '7':
    case 'S':
      return 'file';
    case '1':
      return 'hardlink';
    case '2':
      return 'symlink';
    case '5':
      return 'directory';
    case '3':
    case '4':
    case '6':
      return 'skip';
    default:
      throw damaged(`${JSON.stringify(path)} is of the type ${JSON.stringify(flag)}, which no file system has.`);
  }
}

function metadataOf({ mode, uid, gid, mtime }: FullHeader): Pick<FilesystemEntry, 'mode' | 'owner' | 'mtime'> {
  if (!Number.isSafeInteger(mtime * 1000)) throw damaged(`A file of the tar has the time ${mtime}.`);
  return { mode: mode & 0o7777, owner: { uid, gid }, mtime: new Date(mtime * 1000) };
}

function checkData(map: SparseMap | undefined, stored: number): void {
  const expected = map?.data.reduce((sum, { length }) => sum + length, 0) ?? stored;
  if (expected !== stored) throw new TarProblem(`a sparse file has ${stored} bytes of data, and a map of ${expected}`);
}

async function readAll(body: Bytes, size: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return joinPieces(pieces, size);
}
