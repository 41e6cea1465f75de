import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rmdir, stat, unlink, utimes } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Entry } from '../archive/entry.ts';
import type { PartReader, PartStore } from '../archive/part.ts';
import { parseSnapshotId, snapshotId } from '../archive/snapshot.ts';
import type { Backend, Bytes, StoredSnapshot, WrittenSnapshot } from './backend.ts';
import { openFile } from './file-reader.ts';
import { codeOf, failTo, fileError, readPieces, syncFolder, writeNewFile } from './files.ts';
import { sizeOfGroup } from './local-group.ts';
import { beginBarePart, beginLocalParts } from './local-parts.ts';
import { readLocalPlan, writeLocalPlan } from './local-plans.ts';
import { describeLocalTree, listClusterNames, listLocalTrees, readLocalTree, writeLocalTree } from './local-tree.ts';
import { checkPartFile, groupIdOf, groupIdsAmong, groupName } from './part-group.ts';
import { placeFile } from './place-file.ts';
import { PLANS_FOLDER, planFileName } from './plans.ts';
import {
  archiveSuffixOf,
  checkSuffix,
  FILE_BASE,
  findSnapshot,
  isEncryptedName,
  parseSnapshotFileName,
  snapshotExists,
  snapshotFileName,
  sortSnapshots,
} from './selector.ts';
import { BACKUP_FOLDER, folderName, gather, lookIntoTrees } from './trees.ts';

/**
 * What a writer that was killed leaves: the name the snapshot would have got, eight hex digits, `.partial`; without the
 * digits where another one goes on with it.
 */
const PARTIAL = /^(.+?)(?:\.[0-9a-f]{8})?\.partial$/;

/** Where snapshots are: all in a folder, or one in a file. */
interface Place {
  readonly folder: string;
  /** The file's name, when the path is one file. */
  readonly file?: string;
}

/**
 * Keeps snapshots in a folder, as `transship-<id><suffix>` or `<cluster>/backup/<id>/`, or one in a file. A path is a
 * file when it is one already, or when there is nothing yet and it ends like an archive (`./backup.tar.zst`); else it is
 * a folder, which is made when only the last part of it is missing.
 *
 * Parts of a snapshot are in `<folder>/transship-<id>.vms/`; saved plans in `<folder>/plans/`, or `<file>.plans/`.
 *
 * A file whose name carries no id has the id of its modification time, which an export sets to the snapshot's time.
 */
export class LocalBackend implements Backend {
  readonly name = 'local';
  readonly #path: string;

  /** @param path - a folder or file, relative to the working directory or absolute */
  constructor(path: string) {
    this.#path = path;
  }

  async write(id: string, suffix: string, bytes: Bytes, signal?: AbortSignal): Promise<WrittenSnapshot> {
    const place = await this.#locate();
    const name = place.file ?? snapshotFileName(FILE_BASE, id, suffix);
    if (place.file !== undefined) {
      checkSuffix(place.file, suffix);
      await stat(place.folder).catch(failTo('write', this.#path));
    }
    const madeFolder = place.file === undefined && (await makeFolder(place.folder));
    try {
      await refuseExisting(place, id);
      const location = join(place.folder, name);
      const partial = `${location}.${randomBytes(4).toString('hex')}.partial`;
      const size = await writeNewFile(partial, bytes, signal);
      try {
        await setTime(partial, id);
        await placeFile(partial, location);
      } catch (error) {
        await unlink(partial).catch(() => {});
        throw error;
      }
      await syncFolder(place.folder);
      return { id, layout: 'archive', location, size, state: 'complete', encrypted: isEncryptedName(name) };
    } catch (error) {
      // Only when it is empty: another writer may be using it by now.
      if (madeFolder) await rmdir(place.folder).catch(() => {});
      throw error;
    }
  }

  async writeTree(
    id: string,
    cluster: string,
    entries: AsyncIterable<Entry>,
    signal?: AbortSignal,
  ): Promise<WrittenSnapshot> {
    const name = folderName(cluster);
    const clusterFolder = join(this.#path, name);
    const parent = join(clusterFolder, BACKUP_FOLDER);
    const location = join(parent, id);
    const made: string[] = [];
    try {
      for (const [folder, mode] of [[this.#path], [clusterFolder, 0o700], [parent, 0o700]] as const) {
        if (!(await makeFolder(folder, mode))) continue;
        made.unshift(folder);
        await syncFolder(dirname(folder));
      }
      await refuseExisting({ folder: this.#path }, id);
      if ((await kindOf(location)) !== 'missing') throw snapshotExists(location);
      const written = await writeLocalTree(parent, id, entries, signal);
      return { id, cluster: name, layout: 'tree', location, state: 'complete', ...written };
    } catch (error) {
      for (const folder of made) await rmdir(folder).catch(() => {});
      throw error;
    }
  }

  async list(): Promise<StoredSnapshot[]> {
    return this.#list(await this.#locate());
  }

  async find(selector: string): Promise<StoredSnapshot> {
    const place = await this.#locate();
    return findSnapshot((wanted) => this.#list(place, wanted), selector, this.#path);
  }

  read(snapshot: StoredSnapshot, signal?: AbortSignal): Bytes {
    return readPieces(snapshot.location, signal);
  }

  readTree(snapshot: StoredSnapshot, signal?: AbortSignal): AsyncIterable<Entry> {
    return readLocalTree(snapshot.location, signal);
  }

  async beginParts(id: string, scope: string): Promise<PartStore> {
    const place = await this.#locate();
    if (place.file !== undefined) {
      await stat(place.folder).catch(failTo('write', this.#path));
      await refuseExisting(place, id);
      return beginBarePart(place.folder, place.file, id, scope);
    }
    await makeFolder(place.folder);
    const complete = (await this.#list(place)).filter(({ state }) => state === 'complete');
    return beginLocalParts(place.folder, id, scope, new Set(complete.map((snapshot) => snapshot.id)));
  }

  async openPart(
    { location, layout }: StoredSnapshot,
    file: string,
    _temporaryDirectory: string,
    signal?: AbortSignal,
  ): Promise<PartReader> {
    if (file === '') return openFile(location, signal);
    // A tree is in `<cluster>/backup/`; the path may have been the cluster's folder itself.
    const folder = layout === 'tree' ? resolve(location, '..', '..', '..') : dirname(location);
    return openFile(join(folder, ...checkPartFile(file)), signal);
  }

  async writePlan(id: string, bytes: Buffer, signal?: AbortSignal): Promise<string> {
    const location = await this.#locatePlan(id);
    await writeLocalPlan(location, bytes, signal);
    return location;
  }

  async readPlan(id: string): Promise<Buffer | undefined> {
    return readLocalPlan(await this.#locatePlan(id));
  }

  async #locatePlan(id: string): Promise<string> {
    const name = planFileName(id);
    const { folder, file } = await this.#locate();
    return file === undefined ? join(folder, PLANS_FOLDER, name) : join(`${this.#path}.${PLANS_FOLDER}`, name);
  }

  async #locate(): Promise<Place> {
    const kind = await kindOf(this.#path);
    const isFile = kind === 'file' || (kind === 'missing' && archiveSuffixOf(this.#path) !== undefined);
    return isFile ? { folder: dirname(this.#path), file: basename(this.#path) } : { folder: this.#path };
  }

  async #list(place: Place, selector?: string): Promise<StoredSnapshot[]> {
    const archives = await listArchives(place);
    if (place.file !== undefined) return archives;
    const clusters = (await listClusterNames(place.folder)).filter((name) => groupIdOf(name) === undefined);
    const folders = await Promise.all([
      // The path itself may be the folder of one cluster.
      listLocalTrees(join(place.folder, BACKUP_FOLDER), basename(resolve(place.folder))),
      ...clusters.map((cluster) => listLocalTrees(join(place.folder, cluster, BACKUP_FOLDER), cluster)),
    ]);
    const trees = await lookIntoTrees(folders.flat(), selector, describeLocalTree);
    const snapshots = [...archives, ...trees];
    // Then not all that are complete are known, and only these are asked for.
    if (selector !== undefined) return sortSnapshots(snapshots);
    return sortSnapshots([...snapshots, ...(await listGroups(place.folder, snapshots))]);
  }
}

async function listArchives(place: Place): Promise<StoredSnapshot[]> {
  const names = await readdir(place.folder).catch(failTo('read', place.folder));
  const found = await Promise.all(names.map((name) => describeFile(place, name)));
  return sortSnapshots(found.filter((snapshot) => snapshot !== undefined));
}

/** The parts that interrupted exports have left. */
async function listGroups(folder: string, snapshots: readonly StoredSnapshot[]): Promise<StoredSnapshot[]> {
  const complete = new Set(snapshots.filter(({ state }) => state === 'complete').map(({ id }) => id));
  const ids = groupIdsAmong(await readdir(folder).catch(failTo('read', folder))).filter((id) => !complete.has(id));
  const found = await gather(ids, async (id) => {
    const location = join(folder, groupName(id));
    const size = await sizeOfGroup(location);
    return size === undefined ? [] : [{ id, layout: 'archive', location, size, state: 'unfinished' } as const];
  });
  return found.flat();
}

/** Speaks up before a long export begins; {@link placeFile} is what holds when two writers race. */
async function refuseExisting(place: Place, id: string): Promise<void> {
  const existing = (await listArchives(place)).find(
    (snapshot) => snapshot.state === 'complete' && (place.file !== undefined || snapshot.id === id),
  );
  if (existing !== undefined) throw snapshotExists(existing.location);
}

async function setTime(path: string, id: string): Promise<void> {
  const time = parseSnapshotId(id);
  if (time !== undefined) await utimes(path, time, time).catch(failTo('write', path));
}

/** What a file of the folder is to this place; undefined when it has nothing to do with it. */
async function describeFile(place: Place, name: string): Promise<StoredSnapshot | undefined> {
  const finalName = PARTIAL.exec(name)?.[1];
  const parsed = parseSnapshotFileName(finalName ?? name);
  const belongs = place.file === undefined ? parsed?.base === FILE_BASE : place.file === (finalName ?? name);
  if (!belongs) return undefined;
  const location = join(place.folder, name);
  const stats = await stat(location).catch((error: unknown) => {
    // Removed or put in place since the folder was read.
    if (codeOf(error) === 'ENOENT') return undefined;
    throw fileError('read', location, error);
  });
  if (stats === undefined || !stats.isFile()) return undefined;
  return {
    id: parsed?.id ?? snapshotId(stats.mtime),
    layout: 'archive',
    location,
    size: stats.size,
    state: finalName === undefined ? 'complete' : 'unfinished',
    encrypted: isEncryptedName(finalName ?? name),
  };
}

async function kindOf(path: string): Promise<'file' | 'folder' | 'missing'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'missing';
    throw fileError('read', path, error);
  }
}

/** Makes the folder when only it is missing, not those above it: a typo must not grow a tree. */
async function makeFolder(folder: string, mode?: number): Promise<boolean> {
  try {
    await mkdir(folder, { mode });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw fileError('write', resolve(folder), error);
  }
}
