import { lstat, readdir, realpath, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { MANIFEST_PATH } from '../archive/digests.ts';
import { PARTIAL_SUFFIX } from '../archive/framed-file.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Leftover, StoredSnapshot } from './backend.ts';
import { codeOf, failTo, fileError, removeIfThere, syncFolder } from './files.ts';
import type { LocalPlace } from './local-archives.ts';
import { removeBareLeftover } from './local-bare.ts';
import { localLocks } from './local-group.ts';
import { groupName, MARKER_NAME } from './part-group.ts';
import { claim, lockNumberOf, releasing, takenOver } from './part-lock.ts';
import { describePath, notAtPlace, PARTIAL_FILE, type PathKind, partsAbove, strangeTree } from './place-paths.ts';
import { isClaim, isPart } from './survey.ts';
import { closesTree } from './trees.ts';

/** Where something is removed, and how long. */
export interface LocalRemoval {
  readonly place: LocalPlace;
  /** Whether there is a complete snapshot of an id. */
  readonly isComplete: (id: string) => Promise<boolean>;
  readonly signal: AbortSignal | undefined;
}

/**
 * Deletes a snapshot: what says that it is whole first, then its other files, then its parts. These stay as long as there
 * is another snapshot of that id, as they may be of that, or as an export is writing them. Links are not followed.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 * @throws TransshipError `INPUT` for what is not at this place, or has parts that are not
 */
export async function removeLocalSnapshot(removal: LocalRemoval, { location, state }: StoredSnapshot): Promise<void> {
  if (state === 'unfinished') {
    await removeLocalLeftover(removal, { location });
    return;
  }
  const { place } = removal;
  if (place.file !== undefined) {
    if (resolve(location) !== resolve(place.folder, place.file)) throw notAtPlace(location, place.folder);
    await removeFile(location);
    await removeBareLeftover(place.folder, place.file, 'leave');
    return;
  }
  const kind = findKind(removal, location);
  if (!('id' in kind) || kind.what === 'group') throw notAtPlace(location, place.folder);
  if (await isThere(place.folder, location)) {
    if (kind.what === 'archive') await removeFile(location);
    else {
      if (kind.cluster === undefined) await refusePartsAbove(place.folder, location, kind.id);
      await removeTree(removal, location);
    }
  }
  // The parts of a tree of a path that is a cluster's folder are above it.
  if (kind.what === 'tree' && kind.cluster === undefined) return;
  await removeGroup(removal, kind.id, 'leave');
}

/**
 * Deletes what is of no use, unless it has become a snapshot meanwhile.
 *
 * @throws TransshipError `BACKEND`, also while an export is writing it; `CANCELLED`
 * @throws TransshipError `INPUT` for what is not at this place
 */
export async function removeLocalLeftover(
  removal: LocalRemoval,
  { location }: Pick<Leftover, 'location'>,
): Promise<void> {
  const { folder, file } = removal.place;
  if (file !== undefined) {
    await removeBesideFile(folder, file, location);
    return;
  }
  const kind = findKind(removal, location);
  if (kind.what === 'group') await removeGroup(removal, kind.id, 'refuse');
  else if (!(await isThere(folder, location))) return;
  else if (kind.what === 'stray' || (kind.what === 'archive' && !kind.finished)) await removeFile(location);
  else if (kind.what !== 'tree') throw notAtPlace(location, folder);
  else if (!kind.finished) await removeFolder(location);
  else if (!(await readNames(location)).includes(MANIFEST_PATH)) await removeTree(removal, location);
}

/**
 * Deletes a saved plan.
 *
 * @throws TransshipError `BACKEND`
 * @throws TransshipError `INPUT` for what is none of this place
 */
export async function removeLocalPlan({ folder, file }: LocalPlace, location: string): Promise<void> {
  // Those of a file are in a folder that is called like it.
  const path = pathIn(folder, location);
  const inside = file !== undefined && path.startsWith(`${file}.`) ? path.slice(file.length + 1) : path;
  if ((inside === path) !== (file === undefined) || describePath(inside, 'folder')?.what !== 'plan') {
    throw notAtPlace(location, folder);
  }
  if (await isThere(folder, location)) await removeFile(location);
}

async function removeBesideFile(folder: string, file: string, location: string): Promise<void> {
  const path = resolve(location);
  const own = resolve(folder, file);
  const isPartial = PARTIAL_FILE.exec(path)?.[1] === own && path !== `${own}${PARTIAL_SUFFIX}`;
  if (isPartial) await removeFile(location);
  else if (dirname(path) === dirname(own) && path.startsWith(`${own}.`))
    await removeBareLeftover(folder, file, 'refuse');
  else throw notAtPlace(location, own);
}

function findKind({ place: { folder } }: LocalRemoval, location: string): PathKind {
  const kind = describePath(pathIn(folder, location), 'folder');
  if (kind !== undefined && kind.what !== 'plan' && kind.what !== 'lease') return kind;
  throw notAtPlace(location, folder);
}

/** The path from a folder on, `/`-separated. */
function pathIn(folder: string, location: string): string {
  return relative(resolve(folder), resolve(location)).split(sep).join('/');
}

/**
 * Whether something is there. Nothing on the way to it may be a link, nor a folder itself: what is removed is in the place
 * then.
 */
async function isThere(folder: string, location: string): Promise<boolean> {
  try {
    const path = pathIn(folder, location);
    const kind = describePath(path, 'folder');
    const mayBeLink = kind?.what !== 'tree' && kind?.what !== 'group';
    const isLink = !mayBeLink && (await lstat(location)).isSymbolicLink();
    const parent = await realpath(dirname(location));
    if (!isLink && parent === join(await realpath(folder), dirname(path))) return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return false;
    throw fileError('read', location, error);
  }
  throw new TransshipError('BACKEND', `${location} is a link, or behind one: it is not removed.`, {
    hint: 'Give the folder in which it really is as path.',
  });
}

async function removeTree(removal: LocalRemoval, location: string): Promise<void> {
  const names = await readNames(location);
  if (names.length > 0 && !names.some((name) => name === MANIFEST_PATH || isClaim(name))) throw strangeTree(location);
  const remove = async (choose: (name: string) => boolean) => {
    for (const name of names.filter(choose)) {
      if (removal.signal?.aborted) throw cancelledBy(removal.signal);
      await removeAll(join(location, name));
    }
  };
  await remove((name) => name === MANIFEST_PATH);
  await syncFolder(location);
  await remove((name) => name !== MANIFEST_PATH && closesTree(name));
  await remove((name) => !closesTree(name) && !isClaim(name));
  // Until here it says whose the rest is.
  await remove(isClaim);
  await removeFolder(location);
}

/** Deletes the parts of an id; of what is complete by now, only what was there to go on with its export. */
async function removeGroup(removal: LocalRemoval, id: string, whenHeld: 'leave' | 'refuse'): Promise<void> {
  const { place, signal } = removal;
  const folder = join(place.folder, groupName(id));
  if (!(await isThere(place.folder, folder))) return;
  const isLock = (name: string) => lockNumberOf(name) !== undefined;
  // Whoever writes a group has a marker or a lock in it from the beginning to the end.
  const isBegun = (await readNames(folder)).some((name) => name === MARKER_NAME || isLock(name));
  const claimed = isBegun ? await claim(localLocks({ folder, start: '' }), folder) : undefined;
  if (isBegun && claimed === undefined) {
    if (whenHeld === 'leave') return;
    throw takenOver(folder);
  }
  await releasing(claimed, async () => {
    // Only now nobody finishes it any more.
    const isOwned = await removal.isComplete(id);
    const names = (await readNames(folder)).filter((name) => !(isOwned && isPart(name)));
    // Without it, no export goes on with the rest.
    if (names.includes(MARKER_NAME)) await removeAll(join(folder, MARKER_NAME));
    for (const name of names.filter((one) => !isLock(one))) {
      if (signal?.aborted) throw cancelledBy(signal);
      await removeAll(join(folder, name));
    }
    await claimed?.stop();
    for (const name of names.filter(isLock)) await removeAll(join(folder, name));
    if (isOwned) await syncFolder(folder);
    else await removeFolder(folder);
  });
}

/** Parts are beside the folders of clusters. A path that is one of these does not reach them. */
async function refusePartsAbove(folder: string, location: string, id: string): Promise<void> {
  const above = resolve(folder, '..');
  const parts = join(above, groupName(id));
  if ((await readNames(parts)).length > 0) throw partsAbove(location, parts, above);
}

async function readNames(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return [];
    throw fileError('read', folder, error);
  });
}

async function removeFile(path: string): Promise<void> {
  await removeIfThere(path);
  await syncFolder(dirname(path));
}

/** Removes a file or a folder; of a link, only the link itself. */
async function removeAll(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(failTo('write', path));
}

async function removeFolder(folder: string): Promise<void> {
  await removeAll(folder);
  await syncFolder(dirname(folder));
}
