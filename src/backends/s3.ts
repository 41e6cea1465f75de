import type { Entry } from '../archive/entry.ts';
import type { PartReader, PartStore } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';
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
import { checkPartFile, groupIdsAmong, groupName } from './part-group.ts';
import { connectS3, type S3Connection, type S3Options } from './s3-connect.ts';
import { type DownloadLimits, downloadLimits, downloadObject, readSmallObject } from './s3-download.ts';
import { groupTarget } from './s3-group.ts';
import { createS3Lease } from './s3-lease.ts';
import { archivesAmong, listObjects, listUploads } from './s3-list.ts';
import { isDenied } from './s3-objects.ts';
import { beginS3Parts, openObject } from './s3-part-store.ts';
import {
  addressOf,
  keyOfAddress,
  keysBeginWith,
  parseS3Place,
  planKey,
  type S3Place,
  snapshotKey,
  treesBeginWith,
} from './s3-place.ts';
import { removeS3Leftover, removeS3Plan, removeS3Snapshot, type S3Removal } from './s3-remove.ts';
import { readSse } from './s3-sse.ts';
import { surveyS3 } from './s3-survey.ts';
import { listS3Trees, openS3Tree, readS3Tree, writeS3Tree } from './s3-tree.ts';
import { putObject, uploadObject } from './s3-upload.ts';
import { findSnapshot, isEncryptedName, snapshotExists, sortSnapshots } from './selector.ts';
import { folderName, gather } from './trees.ts';

/**
 * Keeps snapshots as objects of an S3 bucket: an archive as `<prefix>/transship-<id><suffix>`, a tree as
 * `<prefix>/<cluster>/backup/<id>/…`, parts of either as `<prefix>/transship-<id>.vms/…`, a saved plan as
 * `<prefix>/plans/<id>.json`. Unfinished are an archive whose multipart upload was neither completed nor aborted, a tree
 * without a manifest, and parts without a snapshot.
 */
export class S3Backend implements Backend {
  readonly name = 's3';
  readonly lease: LeaseStore;
  readonly #place: S3Place;
  readonly #options: S3Options;
  readonly #limits: DownloadLimits;
  #connection: Promise<S3Connection> | undefined;

  /**
   * @param path - `s3://bucket` or `s3://bucket/prefix`
   * @throws TransshipError `INPUT` when `path` is something else, or the options for encryption do not go together
   */
  constructor(path: string, options: S3Options = {}, limits: DownloadLimits = downloadLimits) {
    this.#place = parseS3Place(path);
    this.#options = options;
    readSse(options);
    this.#limits = limits;
    this.lease = createS3Lease(() => this.#connect(), this.#place);
  }

  async write(id: string, suffix: string, bytes: Bytes, signal?: AbortSignal): Promise<WrittenSnapshot> {
    const connection = await this.#connect();
    await this.#refuseArchive(connection, id);
    const key = snapshotKey(this.#place, id, suffix);
    const size = await uploadObject(connection, this.#place, key, bytes, signal);
    const location = addressOf(this.#place, key);
    return { id, layout: 'archive', location, size, state: 'complete', encrypted: isEncryptedName(key) };
  }

  async writeTree(
    id: string,
    cluster: string,
    entries: AsyncIterable<Entry>,
    signal?: AbortSignal,
    base?: TreeBase,
  ): Promise<WrittenSnapshot> {
    const connection = await this.#connect();
    const place = this.#place;
    const name = folderName(cluster);
    const key = `${treesBeginWith(place, name)}${id}`;
    const target = { connection, place, prefix: `${key}/` };
    const location = addressOf(place, key);
    await Promise.all([this.#refuseArchive(connection, id), refuseObjects(connection, place, target.prefix, location)]);
    const written = await writeS3Tree(target, entries, signal, base);
    return { id, cluster: name, layout: 'tree', location, state: 'complete', ...written };
  }

  async list(): Promise<StoredSnapshot[]> {
    return this.#list();
  }

  async find(selector: string): Promise<StoredSnapshot> {
    return findSnapshot((wanted) => this.#list(wanted), selector, addressOf(this.#place));
  }

  async *read(snapshot: StoredSnapshot, signal?: AbortSignal): Bytes {
    const key = keyOfAddress(this.#place, snapshot.location);
    const connection = await this.#connect();
    yield* downloadObject(connection, this.#place, key, snapshot.size, signal, this.#limits);
  }

  async *readTree(snapshot: StoredSnapshot, signal?: AbortSignal): AsyncIterable<Entry> {
    const prefix = `${keyOfAddress(this.#place, snapshot.location)}/`;
    const connection = await this.#connect();
    yield* readS3Tree({ connection, place: this.#place, prefix }, this.#limits, signal);
  }

  async openTree({ location }: StoredSnapshot, signal?: AbortSignal): Promise<TreeView> {
    const prefix = `${keyOfAddress(this.#place, location)}/`;
    return openS3Tree({ connection: await this.#connect(), place: this.#place, prefix }, signal);
  }

  async beginParts(id: string, scope: string): Promise<PartStore> {
    const connection = await this.#connect();
    const place = this.#place;
    const known = await this.#know();
    return beginS3Parts(connection, place, { id, scope }, known, this.#limits);
  }

  async openPart(
    { location, layout }: StoredSnapshot,
    file: string,
    _temporaryDirectory: string,
    signal?: AbortSignal,
  ): Promise<PartReader> {
    const connection = await this.#connect();
    const own = keyOfAddress(this.#place, location);
    // A tree is in `<cluster>/backup/`; the place may have been the cluster's folder itself.
    const names = own.split('/').slice(0, layout === 'tree' ? -3 : -1);
    const key = file === '' ? own : [...names, ...checkPartFile(file)].join('/');
    return openObject(connection, this.#place, key, this.#limits, signal);
  }

  async writePlan(id: string, bytes: Buffer, signal?: AbortSignal): Promise<string> {
    const key = planKey(this.#place, id);
    try {
      await putObject(await this.#connect(), this.#place, key, bytes, signal);
    } catch (error) {
      if (!(error instanceof TransshipError && error.code === 'SNAPSHOT_EXISTS')) throw error;
    }
    return addressOf(this.#place, key);
  }

  async readPlan(id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    const key = planKey(this.#place, id);
    return readSmallObject(await this.#connect(), this.#place, key, signal);
  }

  async survey(signal?: AbortSignal): Promise<Survey> {
    return surveyS3(await this.#connect(), this.#place, signal);
  }

  async remove(snapshot: StoredSnapshot, signal?: AbortSignal): Promise<void> {
    await removeS3Snapshot(await this.#removeFrom(signal), snapshot);
  }

  async removeLeftover(leftover: Leftover, signal?: AbortSignal): Promise<void> {
    await removeS3Leftover(await this.#removeFrom(signal), leftover);
  }

  async removePlan(plan: string, signal?: AbortSignal): Promise<void> {
    await removeS3Plan(await this.#removeFrom(signal), plan);
  }

  async #removeFrom(signal: AbortSignal | undefined): Promise<S3Removal> {
    const isComplete = async (id: string) =>
      (await this.#list(id)).some((snapshot) => snapshot.id === id && snapshot.state === 'complete');
    return { connection: await this.#connect(), place: this.#place, isComplete, signal };
  }

  #connect(): Promise<S3Connection> {
    this.#connection ??= connectS3(this.#options);
    return this.#connection;
  }

  async #list(selector?: string): Promise<StoredSnapshot[]> {
    const connection = await this.#connect();
    const [{ objects, folders }, unfinished] = await Promise.all([
      listObjects(connection, this.#place, this.#place.prefix, '/'),
      listUploads(connection, this.#place),
    ]);
    const trees = await listS3Trees(connection, this.#place, folders, selector);
    const snapshots = [...archivesAmong(this.#place, objects), ...unfinished, ...trees];
    // Then not all that are complete are known, and only these are asked for.
    if (selector !== undefined) return sortSnapshots(snapshots);
    const complete = completeAmong(snapshots);
    const ids = idsOfGroups(folders).filter((id) => !complete.has(id));
    const groups = await gather(ids, (id) => describeGroup(connection, this.#place, id));
    return sortSnapshots([...snapshots, ...groups]);
  }

  /** What exports may have left; nothing for credentials that may only write. */
  async #know(): Promise<{ folders: readonly string[]; complete: ReadonlySet<string> }> {
    try {
      const { folders } = await listObjects(await this.#connect(), this.#place, this.#place.prefix, '/');
      return { folders: folders.map((name) => name.slice(0, -1)), complete: completeAmong(await this.#list()) };
    } catch (error) {
      if (!isDenied(error)) throw error;
      return { folders: [], complete: new Set() };
    }
  }

  /** Speaks up before a long export begins; the conditional write at its end is what holds when two writers race. */
  async #refuseArchive(connection: S3Connection, id: string): Promise<void> {
    const starts = keysBeginWith(this.#place, id);
    await Promise.all(starts.map((start) => refuseObjects(connection, this.#place, start)));
  }
}

function completeAmong(snapshots: readonly StoredSnapshot[]): Set<string> {
  return new Set(snapshots.filter(({ state }) => state === 'complete').map(({ id }) => id));
}

function idsOfGroups(folders: readonly string[]): string[] {
  return groupIdsAmong(folders.map((name) => name.slice(0, -1)));
}

/** The parts that an interrupted export has left. */
async function describeGroup(connection: S3Connection, place: S3Place, id: string): Promise<StoredSnapshot> {
  const { objects } = await listObjects(connection, place, groupTarget(connection, place, id).prefix);
  const size = objects.reduce((sum, object) => sum + object.size, 0);
  return {
    id,
    layout: 'archive',
    location: addressOf(place, `${place.prefix}${groupName(id)}`),
    size,
    state: 'unfinished',
  };
}

/** @param location - what is told to be there; the object found when left out */
async function refuseObjects(
  connection: S3Connection,
  place: S3Place,
  start: string,
  location?: string,
): Promise<void> {
  try {
    const { objects } = await listObjects(connection, place, start, location === undefined ? '/' : undefined);
    const existing = location === undefined ? archivesAmong(place, objects)[0]?.location : objects[0] && location;
    if (existing !== undefined) throw snapshotExists(existing);
  } catch (error) {
    // Credentials that may only write are good practice.
    if (!isDenied(error)) throw error;
  }
}
