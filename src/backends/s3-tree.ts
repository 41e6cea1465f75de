import { MANIFEST_PATH } from '../archive/digests.ts';
import { type Entry, readBody } from '../archive/entry.ts';
import { TransshipError } from '../errors.ts';
import { forEachOf, mapInOrder } from '../streams.ts';
import type { StoredSnapshot } from './backend.ts';
import { untilAborted } from './bytes.ts';
import { createInFlight } from './in-flight.ts';
import { groupIdOf } from './part-group.ts';
import type { S3Connection } from './s3-connect.ts';
import { type DownloadLimits, downloadObject } from './s3-download.ts';
import { type ListedObject, listObjects } from './s3-list.ts';
import { SMALLEST_PART } from './s3-parts.ts';
import { addressOf, lastNameOf, type S3Place, treesBeginWith } from './s3-place.ts';
import { putObject, uploadObject } from './s3-upload.ts';
import { isEncryptedName } from './selector.ts';
import {
  BACKUP_FOLDER,
  checkLast,
  closesTree,
  describeFiles,
  gather,
  isTreeName,
  lookIntoTrees,
  mayBeCluster,
  sortFiles,
  type TreeFolder,
  type WrittenTree,
} from './trees.ts';

const OBJECTS_AT_ONCE = 8;
/** Bytes that are held in memory while they are sent; larger bodies are sent in parts. */
const MOST_BYTES = 32 * 1024 * 1024;
/** Objects up to this size are read whole, several at once. */
const SMALL_BYTES = 2 * 1024 * 1024;
const DELETES_AT_ONCE = 16;

/** Where one tree is, or is to be. */
export interface TreeTarget {
  readonly connection: S3Connection;
  readonly place: S3Place;
  /** What the keys of its objects begin with; ends in `/`. */
  readonly prefix: string;
}

/**
 * Writes a tree as objects. The first one is the claim: of two writers of one id only one gets it. The manifest comes
 * when all others are there. When anything fails, what was written is deleted again.
 *
 * @throws TransshipError `SNAPSHOT_EXISTS`, `CANCELLED`, `BACKEND`; an error of `entries` itself is rethrown as it is
 */
export async function writeS3Tree(
  target: TreeTarget,
  entries: AsyncIterable<Entry>,
  signal?: AbortSignal,
): Promise<WrittenTree> {
  const flight = createInFlight({ count: OBJECTS_AT_ONCE, bytes: MOST_BYTES });
  /** Keys of objects that are there or may be, in the order they were sent. */
  const keys = new Set<string>();
  let size = 0;
  let first = '';
  let last: string | undefined;
  try {
    for await (const entry of untilAborted(entries, signal)) {
      const key = `${target.prefix}${entry.path}`;
      if (last === undefined) {
        first = entry.path;
        await claim(target, key, entry);
        keys.add(key);
      } else {
        // What says that a snapshot is whole comes when all before it is in place.
        if (closesTree(entry.path)) await flight.finish();
        await send(target, key, entry, { keys, flight, signal });
      }
      size += entry.size;
      last = entry.path;
    }
    await flight.finish();
    checkLast(last);
    return { size, encrypted: isEncryptedName(first) };
  } catch (error) {
    await flight.settle();
    await removeObjects(target, keys);
    throw error;
  }
}

/** When it fails, nobody can say whose object is there, and none is deleted. */
async function claim({ connection, place }: TreeTarget, key: string, entry: Entry): Promise<void> {
  await putObject(connection, place, key, await readBody(entry));
}

interface Sending {
  readonly keys: Set<string>;
  readonly flight: ReturnType<typeof createInFlight>;
  readonly signal: AbortSignal | undefined;
}

/** Returns when the body was read: what is sent by one request is on its way then. */
async function send(
  { connection, place }: TreeTarget,
  key: string,
  entry: Entry,
  { keys, flight, signal }: Sending,
): Promise<void> {
  const tracked = async (work: () => Promise<unknown>) => {
    keys.add(key);
    try {
      await work();
    } catch (error) {
      // Somebody else's, though the prefix is ours: it is not ours to delete.
      if (error instanceof TransshipError && error.code === 'SNAPSHOT_EXISTS') keys.delete(key);
      throw error;
    }
  };
  const { size, body } = entry;
  if (body instanceof Uint8Array || size < SMALLEST_PART) {
    const bytes = await readBody(entry);
    await flight.start(size, () => tracked(() => putObject(connection, place, key, bytes, signal)));
  } else {
    await tracked(() => uploadObject(connection, place, key, body, signal));
  }
}

/** Deletes what a writer leaves that failed: what makes it a snapshot first, its claim last. */
async function removeObjects({ connection, place, prefix }: TreeTarget, keys: ReadonlySet<string>): Promise<void> {
  const { client, sdk } = connection;
  const remove = async (Key: string) => {
    await client.send(new sdk.DeleteObjectCommand({ Bucket: place.bucket, Key }));
  };
  const manifest = `${prefix}${MANIFEST_PATH}`;
  const [first, ...others] = [...keys].filter((key) => key !== manifest);
  try {
    if (keys.has(manifest)) await remove(manifest);
    await forEachOf(others, DELETES_AT_ONCE, remove);
    if (first !== undefined) await remove(first);
  } catch {
    // The error that led here is the one to tell; what stays has no manifest and is listed as unfinished.
  }
}

/**
 * Reads a tree: `_snapshot.json` first, `_index.json` and `manifest` last. Small objects are read ahead.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there are no objects
 * @throws TransshipError as {@link downloadObject} does
 */
export async function* readS3Tree(
  { connection, place, prefix }: TreeTarget,
  limits: DownloadLimits,
  signal?: AbortSignal,
): AsyncGenerator<Entry> {
  const files = filesAmong((await listObjects(connection, place, prefix)).objects, prefix);
  if (files.length === 0) {
    throw new TransshipError('SNAPSHOT_NOT_FOUND', `${addressOf(place, prefix)} has no objects.`);
  }
  const stop = new AbortController();
  const whenStopped = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const entries = mapInOrder(sortFiles(files), OBJECTS_AT_ONCE, async ({ path, key, size }) => {
    const body = downloadObject(connection, place, key, size, whenStopped, limits);
    return { path, size, body: size > SMALL_BYTES ? body : await readBody({ path, size, body }) };
  });
  try {
    for (let next = await entries.next(); next.done !== true; next = await entries.next()) yield next.value;
  } finally {
    // A reader that has left does not wait for what was read ahead.
    stop.abort();
    await entries.return(undefined);
  }
}

/**
 * Finds the trees of a place.
 *
 * @param names - the folders in it, each ending in `/`
 * @param selector - see {@link lookIntoTrees}
 */
export async function listS3Trees(
  connection: S3Connection,
  place: S3Place,
  names: readonly string[],
  selector?: string,
): Promise<StoredSnapshot[]> {
  const clusters = names
    .map((name) => name.slice(0, -1))
    .filter((name) => mayBeCluster(name) && groupIdOf(name) === undefined);
  const parents = clusters.map((cluster) => ({ cluster, start: treesBeginWith(place, cluster) }));
  // The place itself may be the folder of one cluster.
  const own = { cluster: lastNameOf(place), start: `${place.prefix}${BACKUP_FOLDER}/` };
  if (clusters.includes(BACKUP_FOLDER)) parents.push(own);
  const found = await gather(parents, async ({ cluster, start }) => {
    const { folders } = await listObjects(connection, place, start, '/');
    const ids = folders.map((name) => name.slice(0, -1)).filter(isTreeName);
    return ids.map((id) => ({ id, cluster, prefix: `${start}${id}/`, location: addressOf(place, `${start}${id}`) }));
  });
  return lookIntoTrees(found.flat(), selector, (folder) => describeTree(connection, place, folder));
}

async function describeTree(
  connection: S3Connection,
  place: S3Place,
  { id, cluster, location, prefix }: TreeFolder & { readonly prefix: string },
): Promise<StoredSnapshot | undefined> {
  const files = filesAmong((await listObjects(connection, place, prefix)).objects, prefix);
  if (files.length === 0) return undefined;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  return { id, cluster, layout: 'tree', location, size, ...describeFiles(files) };
}

/** Without the empty objects that some programs make to show a folder. */
function filesAmong(objects: readonly ListedObject[], prefix: string): (ListedObject & { readonly path: string })[] {
  return objects
    .filter(({ key }) => !key.endsWith('/'))
    .map((object) => ({ ...object, path: object.key.slice(prefix.length) }));
}
