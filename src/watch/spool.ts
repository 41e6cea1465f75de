import { createHash, hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { damaged } from '../archive/damage.ts';
import type { Digests } from '../archive/digests.ts';
import { type Entry, isFile, readBody } from '../archive/entry.ts';
import { createPathGuard, treePathProblem } from '../archive/paths.ts';
import { SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { abortable } from '../archive/streams.ts';
import { type Contents, scopeOf } from './contents.ts';
import { createPackWriter, type Pack, type PackPlace, type PackWriter, readPlace } from './spool-pack.ts';

/** A file of a spooled snapshot. */
export interface SpooledFile extends Digests {
  /** Bytes. */
  readonly size: number;
}

/** A snapshot that is kept on this machine until it is stored. */
export interface SpooledSnapshot extends Contents {
  readonly id: string;
  readonly created: Date;
  /** By their paths, in the order they were collected. */
  readonly files: ReadonlyMap<string, SpooledFile>;
  /** Of all files. */
  readonly bytes: number;
  /** The entries as they were collected, with their digests; can be read any number of times. */
  entries(): AsyncIterable<Entry>;
  /** Gives the disk space back that no other snapshot needs. It can't be read afterwards. */
  remove(): Promise<void>;
}

/** A snapshot on its way into the spool. */
export interface NewSpooled {
  readonly id: string;
  readonly created: Date;
  /** `_snapshot.json` first; read once. */
  readonly entries: AsyncIterable<Entry>;
}

/** Where snapshots wait to be stored. */
export interface Spool {
  /**
   * Keeps a snapshot. What is the same as in the previous one takes no space again, whichever of both is removed first.
   *
   * @param previous - one of this spool; of one that was removed already nothing is shared
   * @throws TransshipError `BACKEND` when the disk is full or the folder can't be written: nothing of it is kept
   * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a path that can't be in a tree, or is there twice
   * @throws TransshipError `CANCELLED` when the signal fires; an error of the entries is rethrown as it is
   */
  add(snapshot: NewSpooled, previous?: SpooledSnapshot, signal?: AbortSignal): Promise<SpooledSnapshot>;
}

/** A file and where it is. */
interface Kept extends SpooledFile, PackPlace {}

/** The most packs that a snapshot shares with the one before: each is an open file. */
const MOST_SHARED = 16;

/**
 * Makes a spool. Each snapshot has a temporary file for what is new in it, and shares those of earlier ones. They have no
 * names: nothing is left of them however the process ends.
 *
 * @param directory - where they go; this user's alone
 * @param openFile - opens an empty file for reading and writing; replaced in tests
 */
export function createSpool(directory: string, openFile?: (path: string) => Promise<FileHandle>): Spool {
  const kept = new WeakMap<SpooledSnapshot, ReadonlyMap<string, Kept>>();

  const add: Spool['add'] = async ({ id, created, entries }, previous, signal) => {
    const known = previous === undefined ? undefined : kept.get(previous);
    const shared = known === undefined ? new Set<Pack>() : packsToShare(known.values());
    // Should the previous one be removed meanwhile, they stay.
    for (const pack of shared) pack.hold();
    const writer = createPackWriter(directory, openFile);
    let used = new Set<Pack>();
    try {
      const { files, scope } = await keepAll(writer, abortable(entries, signal), (path) => {
        const file = known?.get(path);
        return file !== undefined && shared.has(file.pack) ? file : undefined;
      });
      used = new Set([...files.values()].map(({ pack }) => pack));
      const snapshot: SpooledSnapshot = {
        ...{ id, created, scope, files },
        bytes: [...files.values()].reduce((sum, { size }) => sum + size, 0),
        entries: () => entriesOf(files),
        async remove() {
          if (kept.delete(snapshot)) await releaseAll(used);
        },
      };
      kept.set(snapshot, files);
      return snapshot;
    } finally {
      await releaseAll([writer.pack, ...shared].filter((pack) => !used.has(pack)));
    }
  };

  return { add };
}

async function releaseAll(packs: Iterable<Pack>): Promise<void> {
  await Promise.all([...packs].map((pack) => pack.release()));
}

/** @param find - the file of that path that is there already */
async function keepAll(
  writer: PackWriter,
  entries: AsyncIterable<Entry>,
  find: (path: string) => Kept | undefined,
): Promise<{ files: Map<string, Kept>; scope: string }> {
  const checkPath = createPathGuard(treePathProblem);
  const files = new Map<string, Kept>();
  let scope: string | undefined;
  for await (const entry of entries) {
    const { path } = entry;
    checkPath(path);
    if (!isFile(entry)) throw damaged(`${path} is a ${entry.type}; a snapshot has plain files only.`);
    if (path === SNAPSHOT_PATH) {
      const body = await readBody(entry);
      scope = scopeOf(body);
      files.set(path, await keep(writer, { ...entry, body }, find(path)));
    } else files.set(path, await keep(writer, entry, find(path)));
  }
  if (scope === undefined) throw damaged(`The snapshot has no ${SNAPSHOT_PATH}.`);
  await writer.end();
  return { files, scope };
}

/**
 * Keeps a file.
 *
 * @param previous - the one of that path that is there already
 */
async function keep(
  writer: PackWriter,
  { path, size, body, digests: known }: Entry,
  previous: Kept | undefined,
): Promise<Kept> {
  if (known !== undefined && known.sha256 === previous?.sha256) return previous;
  if (body instanceof Uint8Array) {
    const sha256 = hash('sha256', body);
    if (previous?.sha256 === sha256) return previous;
    const start = writer.position();
    await writer.append(body);
    return { size: body.byteLength, sha1: hash('sha1', body), sha256, pack: writer.pack, start };
  }
  const start = writer.position();
  const [sha1, sha256] = [createHash('sha1'), createHash('sha256')];
  for await (const piece of body) {
    sha1.update(piece);
    sha256.update(piece);
    await writer.append(piece);
  }
  const written = writer.position() - start;
  if (written !== size) throw damaged(`The body of ${path} has ${written} bytes; it should have ${size}.`);
  const digests = { sha1: sha1.digest('hex'), sha256: sha256.digest('hex') };
  if (previous?.sha256 !== digests.sha256) return { size, ...digests, pack: writer.pack, start };
  writer.goBack(start);
  return previous;
}

/** Those of which at least half is of use; what is in others is written again, so that they do not pile up. */
function packsToShare(files: Iterable<Kept>): Set<Pack> {
  const used = new Map<Pack, number>();
  for (const { pack, size } of files) used.set(pack, (used.get(pack) ?? 0) + size);
  const worth = [...used].filter(([pack, bytes]) => bytes * 2 >= pack.size());
  const largest = worth.sort(([, a], [, b]) => b - a).slice(0, MOST_SHARED);
  return new Set(largest.map(([pack]) => pack));
}

async function* entriesOf(files: ReadonlyMap<string, Kept>): AsyncGenerator<Entry> {
  for (const [path, place] of files) {
    const { size, sha1, sha256 } = place;
    yield { path, size, digests: { sha1, sha256 }, body: { [Symbol.asyncIterator]: () => readPlace(place) } };
  }
}
