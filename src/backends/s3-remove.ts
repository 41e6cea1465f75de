import { MANIFEST_PATH } from '../archive/digests.ts';
import { forEachOf } from '../streams.ts';
import type { Leftover, StoredSnapshot } from './backend.ts';
import { groupName, MARKER_NAME } from './part-group.ts';
import { claim, releasing, takenOver } from './part-lock.ts';
import { describePath, notAtPlace, type PathKind, partsAbove, strangeTree } from './place-paths.ts';
import { groupTarget, isLockKey, s3Locks } from './s3-group.ts';
import { findUploads, listObjects } from './s3-list.ts';
import { abortUpload, deleteManyObjects, deleteObjects, isDenied, type S3Target } from './s3-objects.ts';
import { addressOf, keyOfAddress } from './s3-place.ts';
import { isClaim, isPart } from './survey.ts';
import { closesTree } from './trees.ts';

const ABORTS_AT_ONCE = 16;

/** Where something is removed, and how long. */
export interface S3Removal extends Pick<S3Target, 'connection' | 'place'> {
  /** Whether there is a complete snapshot of an id. */
  readonly isComplete: (id: string) => Promise<boolean>;
  readonly signal: AbortSignal | undefined;
}

/**
 * Deletes a snapshot: what says that it is whole first, then its other objects, then its parts. These stay as long as
 * there is another snapshot of that id, as they may be of that, or as an export is writing them.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 * @throws TransshipError `INPUT` for what is not at this place, or has parts that are not
 */
export async function removeS3Snapshot(removal: S3Removal, { location, state }: StoredSnapshot): Promise<void> {
  if (state === 'unfinished') {
    await removeS3Leftover(removal, { what: 'snapshot', location });
    return;
  }
  const [key, kind] = findKind(removal, location);
  if (kind.what === 'tree') {
    const isAbove = kind.cluster === undefined && removal.place.prefix !== '';
    if (isAbove) await refusePartsAbove(removal, key, kind.id);
    await removeTree(removal, `${key}/`);
    if (isAbove) return;
  } else if (kind.what === 'archive') await deleteObjects(removal, [key], removal.signal);
  else throw notAtPlace(location, addressOf(removal.place));
  await removeGroup(removal, kind.id, 'leave');
}

/**
 * Deletes what is of no use, unless it has become a snapshot meanwhile.
 *
 * @throws TransshipError `BACKEND`, also while an export is writing it; `CANCELLED`
 * @throws TransshipError `INPUT` for what is not at this place
 */
export async function removeS3Leftover(
  removal: S3Removal,
  { what, location, uploadId }: Pick<Leftover, 'what' | 'location' | 'uploadId'>,
): Promise<void> {
  if (what === 'upload') {
    await abortUploads(removal, keyAt(removal, location), uploadId);
    return;
  }
  const [key, kind] = findKind(removal, location);
  if (kind.what === 'group') await removeGroup(removal, kind.id, 'refuse');
  else if (kind.what === 'archive') await abortUploads(removal, key, uploadId);
  else if (!(await hasManifest(removal, key))) await removeTree(removal, `${key}/`);
}

/**
 * Deletes a saved plan.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 * @throws TransshipError `INPUT` for what is none of this place
 */
export async function removeS3Plan(removal: Omit<S3Removal, 'isComplete'>, location: string): Promise<void> {
  const key = keyAt(removal, location);
  const kind = describePath(key.slice(removal.place.prefix.length), 'bucket');
  if (kind?.what !== 'plan') throw notAtPlace(location, addressOf(removal.place));
  await deleteObjects(removal, [key], removal.signal);
}

type Removable = Extract<PathKind, { id: string }>;

function findKind(removal: S3Removal, location: string): [key: string, kind: Removable] {
  const key = keyAt(removal, location);
  const kind = describePath(key.slice(removal.place.prefix.length), 'bucket');
  if (kind !== undefined && 'id' in kind) return [key, kind];
  throw notAtPlace(location, addressOf(removal.place));
}

function keyAt({ place }: Pick<S3Removal, 'place'>, location: string): string {
  const key = keyOfAddress(place, location);
  if (key.startsWith(place.prefix)) return key;
  throw notAtPlace(location, addressOf(place));
}

async function hasManifest({ connection, place, signal }: S3Removal, tree: string): Promise<boolean> {
  const manifest = `${tree}/${MANIFEST_PATH}`;
  const { objects } = await listObjects(connection, place, manifest, '/', signal);
  return objects.some(({ key }) => key === manifest);
}

async function removeTree(removal: S3Removal, prefix: string): Promise<void> {
  const { connection, place, signal } = removal;
  const { objects } = await listObjects(connection, place, prefix, undefined, signal);
  if (objects.length === 0) return;
  const paths = objects.map(({ key }) => key.slice(prefix.length));
  const keysOf = (choose: (path: string) => boolean) => paths.filter(choose).map((path) => `${prefix}${path}`);
  if (!paths.some((path) => path === MANIFEST_PATH || isClaim(path))) {
    throw strangeTree(addressOf(place, prefix.slice(0, -1)));
  }
  await deleteObjects(
    removal,
    keysOf((path) => path === MANIFEST_PATH),
    signal,
  );
  await deleteObjects(
    removal,
    keysOf((path) => path !== MANIFEST_PATH && closesTree(path)),
    signal,
  );
  await abortUploadsBelow(removal, prefix);
  await deleteManyObjects(
    removal,
    keysOf((path) => !closesTree(path) && !isClaim(path)),
    signal,
  );
  // Until here it says whose the rest is.
  await deleteObjects(removal, keysOf(isClaim), signal);
}

/** Deletes the parts of an id; of what is complete by now, only what was there to go on with its export. */
async function removeGroup(removal: S3Removal, id: string, whenHeld: 'leave' | 'refuse'): Promise<void> {
  const { connection, place, signal } = removal;
  const target = groupTarget(connection, place, id);
  const { prefix } = target;
  const marker = `${prefix}${MARKER_NAME}`;
  const list = async () => (await listObjects(connection, place, prefix, undefined, signal)).objects;
  const found = (await list()).map(({ key }) => key);
  if (found.length === 0) return;
  // Whoever writes a group has a marker or a lock in it from the beginning to the end.
  const isBegun = found.some((key) => key === marker || isLockKey(key));
  const address = addressOf(place, prefix.slice(0, -1));
  const claimed = isBegun ? await claim(s3Locks(target), address) : undefined;
  if (isBegun && claimed === undefined) {
    if (whenHeld === 'leave') return;
    throw takenOver(address);
  }
  await releasing(claimed, async () => {
    // Only now nobody finishes it any more.
    const isOwned = await removal.isComplete(id);
    const keys = (claimed === undefined ? found : (await list()).map(({ key }) => key)).filter(
      (key) => !(isOwned && isPart(key.slice(prefix.length))),
    );
    // Without it, no export goes on with the rest.
    if (keys.includes(marker)) await deleteObjects(removal, [marker], signal);
    await abortUploadsBelow(removal, prefix);
    await deleteManyObjects(
      removal,
      keys.filter((key) => key !== marker && !isLockKey(key)),
      signal,
    );
    await claimed?.stop();
    await deleteObjects(removal, keys.filter(isLockKey), signal);
  });
}

/** Parts are beside the folders of clusters. A place that is one of these does not reach them. */
async function refusePartsAbove({ connection, place, signal }: S3Removal, key: string, id: string): Promise<void> {
  const above = place.prefix.split('/').slice(0, -2).join('/');
  const parts = `${above === '' ? '' : `${above}/`}${groupName(id)}`;
  try {
    const { objects } = await listObjects(connection, place, `${parts}/`, '/', signal);
    if (objects.length > 0) throw partsAbove(addressOf(place, key), addressOf(place, parts), addressOf(place, above));
  } catch (error) {
    // Whoever may not look there has nothing there.
    if (!isDenied(error)) throw error;
  }
}

async function abortUploads(removal: S3Removal, key: string, uploadId: string | undefined): Promise<void> {
  const found = await findUploads(removal.connection, removal.place, key, removal.signal);
  const meant = found.filter((one) => one.key === key && (uploadId === undefined || one.uploadId === uploadId));
  await forEachOf(meant, ABORTS_AT_ONCE, (upload) => abortUpload(removal, upload, removal.signal));
}

async function abortUploadsBelow(removal: S3Removal, prefix: string): Promise<void> {
  const found = await findUploads(removal.connection, removal.place, prefix, removal.signal);
  await forEachOf(found, ABORTS_AT_ONCE, (upload) => abortUpload(removal, upload, removal.signal));
}
