import { TransshipError } from '../errors.ts';
import { groupIdOf } from './part-group.ts';
import { isPlanFileName, PLANS_FOLDER } from './plans.ts';
import { FILE_BASE, parseSnapshotFileName } from './selector.ts';
import { BACKUP_FOLDER, isTreeName, mayBeCluster } from './trees.ts';

/** Who keeps a place up to date; in a folder there is a number in it, which counts the writes. */
export const LEASE_NAME = '_manager.json';

/**
 * What a writer of a file that was killed leaves in a folder: the name that the file would have got, eight hex digits,
 * `.partial`; without the digits where another one goes on with it.
 */
export const PARTIAL_FILE = /^(.+?)(?:\.[0-9a-f]{8})?\.partial$/;
/** The same of a folder that is a tree. */
const PARTIAL_TREE = /^(.+)\.[0-9a-f]{8}\.partial$/;
const NUMBERED_LEASE = /^_manager\.(\d{1,15})\.json$/;
/** A lease that is being written, or a look at the folder's clock. */
const PARTIAL_LEASE = /^_manager\.[0-9a-f]{8}\.partial$/;
/** Where files have no hard links, writers of one name take turns by such a file. */
const LOCK_ENDING = '.lock';

/** What something is by its path. */
export type PathKind =
  | { readonly what: 'archive' | 'tree'; readonly id: string; readonly finished: boolean; readonly cluster?: string }
  | { readonly what: 'group'; readonly id: string }
  /** What a writer left that is of no use to anybody. */
  | { readonly what: 'plan' | 'lease' | 'stray' };

/** Whether files may have two names, as in folders, where they are given their own when they are whole. */
export type Storage = 'bucket' | 'folder';

/**
 * What Transship keeps under a path.
 *
 * @param path - from the place on, `/`-separated; of a tree or group, that of its folder
 * @returns nothing for what is not Transship's
 */
export function describePath(path: string, storage: Storage): PathKind | undefined {
  const names = path.split('/');
  const [first = '', second = '', third = ''] = names;
  if (names.length === 1) return describeName(first, storage);
  if (names.length === 2 && first === PLANS_FOLDER) return describePlan(second, storage);
  if (names.length === 2 && first === BACKUP_FOLDER) return describeTree(second, storage);
  const isTree = names.length === 3 && second === BACKUP_FOLDER && mayBeCluster(first);
  const tree = isTree ? describeTree(third, storage) : undefined;
  return tree && { ...tree, cluster: first };
}

/** The tree or group that something is in; undefined when it is in none. */
export function findOwner(path: string, storage: Storage): string | undefined {
  const names = path.split('/');
  const owners = [1, 2, 3].filter((length) => length < names.length).map((length) => names.slice(0, length).join('/'));
  return owners.find((owner) => ['group', 'tree'].includes(describePath(owner, storage)?.what ?? ''));
}

/** The file name of a lease in a folder. */
export function leaseName(number: number): string {
  return `_manager.${number}.json`;
}

/** The name of a file beside it that is there for a moment only. */
export function partialLeaseName(digits: string): string {
  return `_manager.${digits}.partial`;
}

/** The number in the name of a lease; undefined for any other name. */
export function leaseNumberOf(name: string): number | undefined {
  const number = NUMBERED_LEASE.exec(name)?.[1];
  return number === undefined ? undefined : Number(number);
}

function describeName(name: string, storage: Storage): PathKind | undefined {
  const group = groupIdOf(name);
  if (group !== undefined) return { what: 'group', id: group };
  const id = archiveIdOf(name);
  if (id !== undefined) return { what: 'archive', id, finished: true };
  if (name === LEASE_NAME) return { what: 'lease' };
  if (storage === 'bucket') return undefined;
  if (leaseNumberOf(name) !== undefined) return { what: 'lease' };
  const isLock = name.endsWith(LOCK_ENDING) && archiveIdOf(name.slice(0, -LOCK_ENDING.length)) !== undefined;
  if (isLock || PARTIAL_LEASE.test(name)) return { what: 'stray' };
  const partial = archiveIdOf(PARTIAL_FILE.exec(name)?.[1] ?? '');
  return partial === undefined ? undefined : { what: 'archive', id: partial, finished: false };
}

function archiveIdOf(name: string): string | undefined {
  const parsed = parseSnapshotFileName(name);
  return parsed?.base === FILE_BASE ? parsed.id : undefined;
}

function describePlan(name: string, storage: Storage): PathKind | undefined {
  if (isPlanFileName(name)) return { what: 'plan' };
  const partial = storage === 'folder' ? PARTIAL_FILE.exec(name)?.[1] : undefined;
  return partial !== undefined && isPlanFileName(partial) ? { what: 'stray' } : undefined;
}

function describeTree(name: string, storage: Storage): (PathKind & { what: 'tree' | 'archive' }) | undefined {
  const id = storage === 'folder' ? PARTIAL_TREE.exec(name)?.[1] : undefined;
  if (!isTreeName(id ?? name)) return undefined;
  return { what: 'tree', id: id ?? name, finished: id === undefined };
}

/** The error for what is asked to be removed and is not what a list or a survey of the place gives. */
export function notAtPlace(location: string, place: string): TransshipError {
  return new TransshipError('INPUT', `${location} is no snapshot, saved plan or leftover of one in ${place}.`);
}

/** The error for a tree that nothing in it says to be Transship's. */
export function strangeTree(location: string): TransshipError {
  return new TransshipError('BACKEND', `${location} has neither manifest nor _snapshot.json: it is not removed.`, {
    hint: 'Transship writes a _snapshot.json first and removes it last. Look what it is, and remove it by hand.',
  });
}

/** The error for a tree whose parts are beside the folder of its cluster, which is the path. */
export function partsAbove(location: string, parts: string, above: string): TransshipError {
  return new TransshipError('INPUT', `${location} has parts outside of the path: ${parts}.`, {
    hint: `Give ${above} as path.`,
  });
}
