import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rmdir, stat, unlink, utimes } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Entry } from '../archive/entry.ts';
import type { PartReader, PartStore } from '../archive/part.ts';
import { parseSnapshotId } from '../archive/snapshot.ts';
import type {
  Backend,
  Bytes,
  LeaseStore,
  Leftover,
  StoredSnapshot,
  Survey,
  TreeBase,
  TreeView,
  WrittenSnapshot,
} from './backend.ts';
import { openFile } from './file-reader.ts';
import { codeOf, failTo, fileError, readPieces, syncFolder, writeNewFile } from './files.ts';
import { type LocalPlace, listArchives } from './local-archives.ts';
import { sizeOfGroup } from './local-group.ts';
import { createLocalLease } from './local-lease.ts';
import { beginBarePart, beginLocalParts } from './local-parts.ts';
import { readLocalPlan, writeLocalPlan } from './local-plans.ts';
import { type LocalRemoval, removeLocalLeftover, removeLocalPlan, removeLocalSnapshot } from './local-remove.ts';
import { surveyLocal } from './local-survey.ts';
import {
  describeLocalTree,
  listClusterNames,
  listLocalTrees,
  openLocalTree,
  readLocalTree,
  writeLocalTree,
} from './local-tree.ts';
import { checkPartFile, groupIdOf, groupIdsAmong, groupName } from './part-group.ts';
import { placeFile } from './place-file.ts';
import { PLANS_FOLDER, planFileName } from './plans.ts';
import {
  archiveSuffixOf,
  checkSuffix,
  FILE_BASE,
  findSnapshot,
  isEncryptedName,
  snapshotExists,
  snapshotFileName,
  sortSnapshots,
} from './selector.ts';
import { BACKUP_FOLDER, folderName, gather, lookIntoTrees } from './trees.ts';

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
  readonly lease: LeaseStore;
  readonly #path: string;

  /** @param path - a folder or file, relative to the working directory or absolute */
  constructor(path: string) {
    this.#path = path;
    this.lease = createLocalLease(
      () => this.#locate(),
      (folder) => makeFolder(folder),
    );
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
    base?: TreeBase,
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
      const written = await writeLocalTree(parent, id, entries, signal, base);
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

  openTree({ location }: StoredSnapshot): Promise<TreeView> {
    return openLocalTree(location);
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

  async survey(signal?: AbortSignal): Promise<Survey> {
    return surveyLocal(await this.#locate(), signal);
  }

  async remove(snapshot: StoredSnapshot, signal?: AbortSignal): Promise<void> {
    await removeLocalSnapshot(await this.#removeFrom(signal), snapshot);
  }

  async removeLeftover(leftover: Leftover, signal?: AbortSignal): Promise<void> {
    await removeLocalLeftover(await this.#removeFrom(signal), leftover);
  }

  async removePlan(plan: string): Promise<void> {
    await removeLocalPlan(await this.#locate(), plan);
  }

  async #removeFrom(signal: AbortSignal | undefined): Promise<LocalRemoval> {
    const place = await this.#locate();
    const isComplete = async (id: string) =>
      (await this.#list(place, id)).some((snapshot) => snapshot.id === id && snapshot.state === 'complete');
    return { place, isComplete, signal };
  }

  async #locatePlan(id: string): Promise<string> {
    const name = planFileName(id);
    const { folder, file } = await this.#locate();
    return file === undefined ? join(folder, PLANS_FOLDER, name) : join(`${this.#path}.${PLANS_FOLDER}`, name);
  }

  async #locate(): Promise<LocalPlace> {
    const kind = await kindOf(this.#path);
    const isFile = kind === 'file' || (kind === 'missing' && archiveSuffixOf(this.#path) !== undefined);
    return isFile ? { folder: dirname(this.#path), file: basename(this.#path) } : { folder: this.#path };
  }

  async #list(place: LocalPlace, selector?: string): Promise<StoredSnapshot[]> {
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
async function refuseExisting(place: LocalPlace, id: string): Promise<void> {
  const existing = (await listArchives(place)).find(
    (snapshot) => snapshot.state === 'complete' && (place.file !== undefined || snapshot.id === id),
  );
  if (existing !== undefined) throw snapshotExists(existing.location);
}

async function setTime(path: string, id: string): Promise<void> {
  const time = parseSnapshotId(id);
  if (time !== undefined) await utimes(path, time, time).catch(failTo('write', path));
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
