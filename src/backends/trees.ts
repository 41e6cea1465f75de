import { INDEX_PATH, MANIFEST_PATH } from '../archive/digests.ts';
import { AGE_SUFFIX } from '../archive/encryption-header.ts';
import { parseSnapshotId, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { TransshipError } from '../errors.ts';
import { mapInOrder } from '../streams.ts';
import type { StoredSnapshot, WrittenSnapshot } from './backend.ts';

/** The folder of a cluster that its trees are in: `<path>/<cluster>/backup/<id>/`. */
export const BACKUP_FOLDER = 'backup';

/** Trees that are looked into at once. */
const LOOKS_AT_ONCE = 16;
/** Shorter than what file systems take: there is more in a path than this one name. */
const MAX_NAME = 128;

/** What has its place among a tree's files; the others stand between. */
const RANKS: ReadonlyMap<string, number> = new Map([
  [SNAPSHOT_PATH, -1],
  [`${SNAPSHOT_PATH}${AGE_SUFFIX}`, -1],
  [INDEX_PATH, 1],
  [`${INDEX_PATH}${AGE_SUFFIX}`, 1],
  [MANIFEST_PATH, 2],
]);

/** A folder that looks like a tree by its name. */
export interface TreeFolder {
  readonly id: string;
  readonly cluster: string;
  /** What a user would type. */
  readonly location: string;
}

/** What a writer knows of the tree it has written. */
export type WrittenTree = Pick<StoredSnapshot, 'size' | 'encrypted'> &
  Required<Pick<WrittenSnapshot, 'sent' | 'files'>>;

/** The name of a cluster's folder: that of its context, with `-` for what is no letter, digit, dot, `_` or `-`. */
export function folderName(cluster: string): string {
  const name = cluster
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, MAX_NAME)
    // Hidden with a leading dot; Windows drops a trailing one.
    .replace(/^\.+|\.+$/g, '');
  return name === '' ? 'cluster' : name;
}

/** Whether a folder could be a cluster's by its name: others, such as lost+found, are left alone. */
export function mayBeCluster(name: string): boolean {
  return name !== '' && folderName(name) === name;
}

/** Whether a folder's name is that of a tree, finished or not: an id. */
export function isTreeName(name: string): boolean {
  return parseSnapshotId(name) !== undefined;
}

/**
 * Looks into the trees that are wanted: to know whether one is complete and how large it is, all its files are listed.
 *
 * @param selector - an id, or `latest`, for which no more are looked into than it takes to know the newest of each
 *   cluster; all when left out
 * @param describe - looks into one; undefined when there is nothing in it
 */
export async function lookIntoTrees<F extends TreeFolder>(
  folders: readonly F[],
  selector: string | undefined,
  describe: (folder: F) => Promise<StoredSnapshot | undefined>,
): Promise<StoredSnapshot[]> {
  if (selector === 'latest') {
    const clusters = Map.groupBy(folders, ({ cluster }) => cluster);
    const newest = await gather([...clusters.values()], (group) => findNewest(group, describe));
    return newest.flat();
  }
  const wanted = selector === undefined ? folders : folders.filter(({ id }) => id === selector);
  const found = await gather(wanted, describe);
  return found.filter((snapshot) => snapshot !== undefined);
}

/** The newest complete one of a cluster and those, unfinished, that are newer. */
async function findNewest<F extends TreeFolder>(
  folders: readonly F[],
  describe: (folder: F) => Promise<StoredSnapshot | undefined>,
): Promise<StoredSnapshot[]> {
  const found: StoredSnapshot[] = [];
  for (const folder of folders.toSorted((a, b) => (a.id < b.id ? 1 : -1))) {
    const snapshot = await describe(folder);
    if (snapshot !== undefined) found.push(snapshot);
    if (snapshot?.state === 'complete') break;
  }
  return found;
}

/** Does some work for each item, several at once. */
export async function gather<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for await (const result of mapInOrder(items, LOOKS_AT_ONCE, work)) results.push(result);
  return results;
}

/** Sorts a tree's files as a reader needs them: what the snapshot is first, what it is checked by last. */
export function sortFiles<T extends { readonly path: string }>(files: readonly T[]): T[] {
  const rankOf = ({ path }: T) => RANKS.get(path) ?? 0;
  return files.toSorted((a, b) => rankOf(a) - rankOf(b) || (a.path < b.path ? -1 : 1));
}

/** What a tree's files say of it: complete when its manifest is there. */
export function describeFiles(
  files: readonly { readonly path: string }[],
): Pick<StoredSnapshot, 'state' | 'encrypted'> {
  const has = (name: string) => files.some(({ path }) => path === name);
  return {
    state: has(MANIFEST_PATH) ? 'complete' : 'unfinished',
    encrypted: has(`${SNAPSHOT_PATH}${AGE_SUFFIX}`) || undefined,
  };
}

/** Whether a file says that a snapshot is whole: all others must be in place before it. */
export function closesTree(path: string): boolean {
  return (RANKS.get(path) ?? 0) > 0;
}

/**
 * Checks that a path is not the folder of one tree.
 *
 * @throws TransshipError `INPUT` saying what to give instead
 */
export function refuseTreePath(path: string): void {
  const [, folder, id] = /^(.*[^\\/])[\\/]+backup[\\/]+([^\\/]+)[\\/]*$/s.exec(path) ?? [];
  if (folder === undefined || id === undefined || !isTreeName(id)) return;
  throw new TransshipError(
    'INPUT',
    `path: ${JSON.stringify(path)} is the folder of one snapshot, not the place it is in.`,
    { hint: `Give ${folder} as path and ${id} as snapshot.` },
  );
}

/** Checks that what was given to write was a whole tree: an error here is one of the program. */
export function checkLast(path: string | undefined): void {
  if (path !== MANIFEST_PATH) throw new Error(`A tree must end with ${MANIFEST_PATH}; this one ends with ${path}.`);
}

/** The error for a backend that keeps archives only. */
export function noTrees(backend: string): TransshipError {
  return new TransshipError('INPUT', `layout: "tree" needs backend s3 or local, and here it is ${backend}.`, {
    hint: 'Set layout to archive, or give a path in S3 or a folder.',
  });
}
