import { MANIFEST_PATH } from '../archive/digests.ts';
import { type Entry, readBody } from '../archive/entry.ts';
import { TransshipError } from '../errors.ts';
import { forEachOf, mapInOrder } from '../streams.ts';
import type { StoredFile, StoredSnapshot, TreeBase, TreeView } from './backend.ts';
import { untilAborted } from './bytes.ts';
import { createInFlight, type InFlight } from './in-flight.ts';
import { groupIdOf } from './part-group.ts';
import type { S3Connection } from './s3-connect.ts';
import { createCopier } from './s3-copy.ts';
import { type DownloadLimits, downloadObject, readSmallObject } from './s3-download.ts';
import { type ListedObject, listObjects } from './s3-list.ts';
import { lookAt } from './s3-objects.ts';
import { SMALLEST_PART } from './s3-parts.ts';
import { addressOf, keyOfAddress, lastNameOf, type S3Place, treesBeginWith } from './s3-place.ts';
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

const READS_AT_ONCE = 8;
const WRITES_AT_ONCE = 16;
/** Nothing is sent or held for a copy: it only takes its time. */
const COPIES_AT_ONCE = 64;
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
 * @param base - a tree of the same bucket, of which the service itself copies files
 * @throws TransshipError `SNAPSHOT_EXISTS`, `BASE_GONE`, `CANCELLED`, `BACKEND`; an error of `entries` itself is rethrown
 *   as it is
 */
export async function writeS3Tree(
  target: TreeTarget,
  entries: AsyncIterable<Entry>,
  signal?: AbortSignal,
  base?: TreeBase,
): Promise<WrittenTree> {
  const sending = createSending(target, signal);
  const copy = base === undefined ? undefined : createCopying(target, base.snapshot.location, sending);
  let size = 0;
  let sent = 0;
  let first = '';
  let last: string | undefined;
  try {
    for await (const entry of untilAborted(entries, signal)) {
      const { path } = entry;
      const known = base?.files.get(path);
      const isLast = closesTree(path);
      // What says that a snapshot is whole comes when all before it is in place.
      if (isLast) await sending.finish();
      if (last === undefined) {
        first = path;
        await claim(sending, entry);
      } else if (copy !== undefined && known !== undefined) await copy(path, known);
      else await send(sending, entry);
      if (isLast) await sending.finish();
      size += entry.size;
      sent += last !== undefined && known !== undefined ? 0 : entry.size;
      last = path;
    }
    await sending.finish();
    checkLast(last);
    return { size, sent, files: sending.files, encrypted: isEncryptedName(first) };
  } catch (error) {
    await sending.settle();
    await removeObjects(target, sending.keys);
    throw error;
  }
}

/** What is under way, and what it came to. */
interface Sending {
  readonly target: TreeTarget;
  readonly signal: AbortSignal | undefined;
  /** Keys of objects that are there or may be, in the order they were sent. */
  readonly keys: Set<string>;
  /** Those that are there. */
  readonly files: Map<string, StoredFile>;
  readonly puts: InFlight;
  readonly copies: InFlight;
  finish(): Promise<void>;
  settle(): Promise<void>;
}

function createSending(target: TreeTarget, signal: AbortSignal | undefined): Sending {
  const puts = createInFlight({ count: WRITES_AT_ONCE, bytes: MOST_BYTES });
  const copies = createInFlight({ count: COPIES_AT_ONCE, bytes: 0 });
  return {
    ...{ target, signal, puts, copies },
    keys: new Set(),
    files: new Map(),
    async finish() {
      await copies.finish();
      await puts.finish();
    },
    async settle() {
      await copies.settle();
      await puts.settle();
    },
  };
}

/** When it fails, nobody can say whose object is there, and none is deleted. */
async function claim({ target, keys }: Sending, entry: Entry): Promise<void> {
  const key = `${target.prefix}${entry.path}`;
  await putObject(target.connection, target.place, key, await readBody(entry));
  keys.add(key);
}

/** Returns when the body was read: what is sent by one request is on its way then. */
async function send(sending: Sending, entry: Entry): Promise<void> {
  const { target, signal, keys, files, puts } = sending;
  const { connection, place, prefix } = target;
  const { path, size, body } = entry;
  const key = `${prefix}${path}`;
  const tracked = async (work: () => Promise<string | undefined>) => {
    keys.add(key);
    try {
      const version = await work();
      if (version !== undefined) files.set(path, { size, version });
    } catch (error) {
      // Somebody else's, though the prefix is ours: it is not ours to delete.
      if (error instanceof TransshipError && error.code === 'SNAPSHOT_EXISTS') keys.delete(key);
      throw error;
    }
  };
  if (body instanceof Uint8Array || size < SMALLEST_PART) {
    const bytes = await readBody(entry);
    await puts.start(size, () => tracked(() => putObject(connection, place, key, bytes, signal)));
  } else {
    await tracked(async () => {
      await uploadObject(connection, place, key, body, signal);
      // Without the right to look, it is not copied next time.
      return lookAt(target, key, signal)
        .then(({ etag }) => etag)
        .catch(() => undefined);
    });
  }
}

/** @param location - of the tree that is copied from */
function createCopying(
  { connection, place, prefix }: TreeTarget,
  location: string,
  { keys, files, copies, signal }: Sending,
): (path: string, known: StoredFile) => Promise<void> {
  const from = `${keyOfAddress(place, location)}/`;
  const copyObject = createCopier({ connection, place });
  return async (path, known) => {
    const key = `${prefix}${path}`;
    await copies.start(0, async () => {
      keys.add(key);
      const version = await copyObject({ ...known, key: `${from}${path}` }, key, signal);
      if (version !== undefined) files.set(path, { size: known.size, version });
    });
  };
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
  const files = await findFiles({ connection, place, prefix });
  const stop = new AbortController();
  const whenStopped = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const entries = mapInOrder(sortFiles(files), READS_AT_ONCE, async ({ path, key, size }) => {
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
 * Looks at the objects of a tree.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there are none
 */
export async function openS3Tree(target: TreeTarget, signal?: AbortSignal): Promise<TreeView> {
  const { connection, place, prefix } = target;
  const files = await findFiles(target, signal);
  return {
    files: new Map(files.map(({ path, size, etag, changed }) => [path, { size, version: etag, modified: changed }])),
    async read(path) {
      const bytes = await readSmallObject(connection, place, `${prefix}${path}`, signal);
      if (bytes !== undefined) return bytes;
      throw new TransshipError('SNAPSHOT_NOT_FOUND', `${addressOf(place, `${prefix}${path}`)} does not exist.`);
    },
  };
}

async function findFiles({ connection, place, prefix }: TreeTarget, signal?: AbortSignal) {
  const files = filesAmong((await listObjects(connection, place, prefix, undefined, signal)).objects, prefix);
  if (files.length > 0) return files;
  throw new TransshipError('SNAPSHOT_NOT_FOUND', `${addressOf(place, prefix)} has no objects.`);
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
