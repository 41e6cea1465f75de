import { damaged } from './damage.ts';
import type { Entry, EntryType } from './entry.ts';
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
import { readOldMap, readPaxMap, type SparseMap } from './tar-sparse.ts';

/** The path of the folder that was packed, where a tar has it as `./`. */
export const ROOT_PATH = '.';

/** What a tar says of an entry, wherever it says it. */
export interface TarEntry extends Pick<Entry, 'path' | 'linkTarget'> {
  /** `skip` for devices and pipes: they hold no data, and not every target could make them. */
  readonly type: EntryType | 'skip';
  readonly mode: number;
  readonly owner: NonNullable<Entry['owner']>;
  readonly mtime: Date;
  /** Bytes of content, holes included. */
  readonly size: number;
  /** Bytes of it that follow in the tar, without padding. */
  readonly stored: number;
  /** Of a sparse file. */
  readonly map: SparseMap | undefined;
}

/** Reads just so many of the next bytes. */
export type Take = (count: number) => Promise<Uint8Array>;

/** Long names, and PAX records with a map of a million parts. */
const MAX_META_BYTES = 48 * 1024 * 1024;

/** A header with all that stood before it and belongs to it. */
interface FullHeader extends Omit<TarHeader, 'name' | 'linkName'> {
  readonly path: string;
  readonly linkTarget: string;
  readonly pax: readonly (readonly [key: string, value: string])[];
}

/**
 * Reads all that precedes the content of an entry: its headers and the map of a sparse file, of any tar. A leading `./`
 * is left out of paths; the folder itself is {@link ROOT_PATH}. Whether a path is safe is not looked at.
 *
 * @param globalPax - records for all entries behind them: gathered here, and given to the next call
 * @returns undefined at the end of the tar
 * @param onPath - told which entry it is as soon as that is known
 * @throws TarProblem for what is no tar
 */
export async function readTarEntry(
  take: Take,
  globalPax: [string, string][],
  onPath: (path: string) => void = () => {},
): Promise<TarEntry | undefined> {
  const header = await readHeader(take, globalPax);
  if (header === undefined) return undefined;
  onPath(header.path);
  const { path, flag } = header;
  const type = typeOf(header);
  const linkTarget = type === 'symlink' || type === 'hardlink' ? { linkTarget: header.linkTarget } : {};
  const facts = { path, type, ...linkTarget, ...metadataOf(header) };
  if (type !== 'file') return { ...facts, size: 0, stored: 0, map: undefined };
  const takeBlock = () => take(BLOCK_BYTES);
  // Format 1.0 has its map in the body.
  let mapBytes = 0;
  const takeMapBlock = () => {
    mapBytes += BLOCK_BYTES;
    if (mapBytes > header.size) throw new TarProblem('the map of a sparse file has no end');
    return takeBlock();
  };
  const map = await (flag === 'S' ? readOldMap(header.block, takeBlock) : readPaxMap(header.pax, takeMapBlock));
  const stored = header.size - mapBytes;
  checkData(map, stored);
  return { ...facts, size: map?.size ?? stored, stored, map };
}

/** Reads up to the header of the next entry; undefined at the end of the tar. */
async function readHeader(take: Take, globalPax: [string, string][]): Promise<FullHeader | undefined> {
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

function metadataOf({ mode, uid, gid, mtime }: FullHeader): Pick<TarEntry, 'mode' | 'owner' | 'mtime'> {
  if (!Number.isSafeInteger(mtime * 1000)) throw damaged(`A file of the tar has the time ${mtime}.`);
  return { mode: mode & 0o7777, owner: { uid, gid }, mtime: new Date(mtime * 1000) };
}

function checkData(map: SparseMap | undefined, stored: number): void {
  const expected = map?.data.reduce((sum, { length }) => sum + length, 0) ?? stored;
  if (expected !== stored) throw new TarProblem(`a sparse file has ${stored} bytes of data, and a map of ${expected}`);
}
