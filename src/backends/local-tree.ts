import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { Entry } from '../archive/entry.ts';
import { TransshipError } from '../errors.ts';
import { mapInOrder } from '../streams.ts';
import type { StoredFile, StoredSnapshot, TreeBase, TreeView } from './backend.ts';
import { streamOf, untilAborted } from './bytes.ts';
import { copyUnchanged, fileVersion, versionOf } from './copy-file.ts';
import { codeOf, failTo, fileError, readPieces, syncFolder, writeNewFile } from './files.ts';
import { createInFlight } from './in-flight.ts';
import { isEncryptedName, snapshotExists } from './selector.ts';
import {
  checkLast,
  closesTree,
  describeFiles,
  gather,
  isTreeName,
  mayBeCluster,
  sortFiles,
  type TreeFolder,
  type WrittenTree,
} from './trees.ts';

/** What a writer that was killed leaves: the id, eight hex digits, `.partial`. */
const PARTIAL = /^(.+)\.[0-9a-f]{8}\.partial$/;
/** Files up to this size are read whole, several at once. */
const SMALL_BYTES = 256 * 1024;
const FILES_AT_ONCE = 8;
const MOST_BYTES = 32 * 1024 * 1024;

/** A folder on this machine that looks like a tree by its name. */
export interface LocalTreeFolder extends TreeFolder {
  /** Its name says that it isn't finished. */
  readonly partial: boolean;
}

/**
 * Writes a tree as the folder `<parent>/<id>`, whose name it gets when all of it is on the disk. Files and folders are
 * this user's alone. When anything fails, nothing is left.
 *
 * @param base - a tree on this machine, of which files are copied
 * @returns what was written, as a list shows it
 * @throws TransshipError `SNAPSHOT_EXISTS` when the folder is there
 * @throws TransshipError `BASE_GONE`, `BACKEND`, `CANCELLED`; an error of `entries` itself is rethrown as it is
 */
export async function writeLocalTree(
  parent: string,
  id: string,
  entries: AsyncIterable<Entry>,
  signal?: AbortSignal,
  base?: TreeBase,
): Promise<WrittenTree> {
  const partial = join(parent, `${id}.${randomBytes(4).toString('hex')}.partial`);
  await mkdir(partial, { mode: 0o700 }).catch(failTo('write', partial));
  try {
    const { folders, ...written } = await writeFiles(partial, entries, signal, base);
    for (const folder of folders) await syncFolder(folder);
    await placeFolder(partial, join(parent, id));
    await syncFolder(parent);
    return written;
  } catch (error) {
    // The first error is the one to tell; what cannot be removed stays and is listed as unfinished.
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

async function writeFiles(
  root: string,
  entries: AsyncIterable<Entry>,
  signal: AbortSignal | undefined,
  base: TreeBase | undefined,
): Promise<WrittenTree & { folders: ReadonlySet<string> }> {
  const folders = new Set([root]);
  const files = new Map<string, StoredFile>();
  const flight = createInFlight({ count: FILES_AT_ONCE, bytes: MOST_BYTES });
  let size = 0;
  let sent = 0;
  let first = '';
  let last: string | undefined;
  try {
    for await (const { path, size: bytes, body } of untilAborted(entries, signal)) {
      const file = join(root, ...path.split('/'));
      await makeFolders(dirname(file), folders);
      const known = base?.files.get(path);
      const write = async (pieces: AsyncIterable<Uint8Array>) => {
        await writeNewFile(file, pieces, signal);
        files.set(path, { size: bytes, version: await fileVersion(file) });
      };
      if (base !== undefined && known !== undefined) {
        const source = join(base.snapshot.location, ...path.split('/'));
        await flight.start(0, async () => {
          files.set(path, { size: bytes, version: await copyUnchanged(source, known, file) });
        });
      } else if (body instanceof Uint8Array) await flight.start(bytes, () => write(streamOf(body)));
      // A stream must be read before the next entry is asked for.
      else await write(body);
      // The manifest is asked for when all others are there.
      if (closesTree(path)) await flight.finish();
      size += bytes;
      sent += known === undefined ? bytes : 0;
      if (last === undefined) first = path;
      last = path;
    }
    await flight.finish();
  } finally {
    await flight.settle();
  }
  checkLast(last);
  return { size, sent, files, encrypted: isEncryptedName(first), folders };
}

async function makeFolders(folder: string, known: Set<string>): Promise<void> {
  if (known.has(folder)) return;
  await makeFolders(dirname(folder), known);
  await mkdir(folder, { mode: 0o700 }).catch(failTo('write', folder));
  known.add(folder);
}

/** A folder that is not empty is never replaced by `rename`: https://man7.org/linux/man-pages/man2/rename.2.html */
async function placeFolder(partial: string, location: string): Promise<void> {
  await rename(partial, location).catch(async (error: unknown) => {
    const taken = await lstat(location).then(
      () => true,
      () => false,
    );
    throw taken ? snapshotExists(location, error) : fileError('write', location, error);
  });
}

/** The folders in `parent` that look like trees; none when it isn't there. */
export async function listLocalTrees(parent: string, cluster: string): Promise<LocalTreeFolder[]> {
  const names = await readdir(parent).catch((error: unknown) => {
    // Neither may be read by this user, nor was written by it.
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(codeOf(error))) return [];
    throw fileError('read', parent, error);
  });
  return names.flatMap((name) => {
    const id = PARTIAL.exec(name)?.[1];
    if (!isTreeName(id ?? name)) return [];
    return [{ id: id ?? name, cluster, location: join(parent, name), partial: id !== undefined }];
  });
}

/** The names in a folder that may be clusters' folders. */
export async function listClusterNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(failTo('read', folder));
  return entries.filter((entry) => !entry.isFile() && mayBeCluster(entry.name)).map(({ name }) => name);
}

/** Looks into a tree; undefined when it has gone meanwhile, is no folder or has no files. */
export async function describeLocalTree({
  id,
  cluster,
  location,
  partial,
}: LocalTreeFolder): Promise<StoredSnapshot | undefined> {
  const files = (await listFiles(location)).filter(({ dirent }) => dirent.isFile());
  if (files.length === 0) return undefined;
  let size = 0;
  for await (const bytes of mapInOrder(files, FILES_AT_ONCE, sizeOf)) size += bytes;
  const facts = describeFiles(files);
  return { id, cluster, layout: 'tree', location, size, ...facts, ...(partial ? { state: 'unfinished' } : {}) };
}

/**
 * Reads a tree: `_snapshot.json` first, `_index.json` and `manifest` last. Small files are read ahead.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there is no such folder
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for anything in it that is neither file nor folder
 */
export async function* readLocalTree(location: string, signal?: AbortSignal): AsyncGenerator<Entry> {
  const files = await listFiles(location, failTo('read', location));
  const odd = files.find(({ dirent }) => !dirent.isFile());
  if (odd !== undefined) {
    throw new TransshipError(
      'ARCHIVE_UNSUPPORTED',
      `${join(location, odd.path)} is neither a file nor a folder; a snapshot has plain files only.`,
    );
  }
  yield* mapInOrder(sortFiles(files), FILES_AT_ONCE, async ({ path, file }) => {
    const { size } = await lstat(file).catch(failTo('read', file));
    if (size > SMALL_BYTES) return { path, size, body: readPieces(file, signal) };
    const body = await readFile(file).catch(failTo('read', file));
    return { path, size: body.byteLength, body };
  });
}

/**
 * Looks at the files of a tree.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there is no such folder
 */
export async function openLocalTree(location: string): Promise<TreeView> {
  const found = (await listFiles(location, failTo('read', location))).filter(({ dirent }) => dirent.isFile());
  const files = await gather(found, async ({ path, file }) => {
    const stats = await lstat(file, { bigint: true }).catch(failTo('read', file));
    return [path, { size: Number(stats.size), modified: Number(stats.mtimeMs), version: versionOf(stats) }] as const;
  });
  return {
    files: new Map(files),
    read: (path) => {
      const file = join(location, ...path.split('/'));
      return readFile(file).catch(failTo('read', file));
    },
  };
}

interface FoundFile {
  /** In the tree, `/`-separated. */
  readonly path: string;
  readonly file: string;
  readonly dirent: Dirent;
}

/** All that is in a folder and those below it, but for the folders. Links are not followed. */
async function listFiles(
  folder: string,
  onError: (error: unknown) => Dirent[] = (error) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return [];
    throw fileError('read', folder, error);
  },
): Promise<FoundFile[]> {
  const dirents = await readdir(folder, { withFileTypes: true, recursive: true }).catch(onError);
  return dirents
    .filter((dirent) => !dirent.isDirectory())
    .map((dirent) => {
      const file = join(dirent.parentPath, dirent.name);
      return { path: relative(folder, file).split(sep).join('/'), file, dirent };
    });
}

function sizeOf({ file }: FoundFile): Promise<number> {
  return lstat(file).then(
    ({ size }) => size,
    (error: unknown) => {
      // Removed since the folder was read.
      if (codeOf(error) === 'ENOENT') return 0;
      throw fileError('read', file, error);
    },
  );
}
