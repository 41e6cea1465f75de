import { AGE_SUFFIX } from '../archive/encryption-header.ts';
import { SNAPSHOT_PATH } from '../archive/snapshot.ts';
import type { Leftover, StoredSnapshot, Survey } from './backend.ts';
import { partNameOf } from './part-group.ts';
import { describePath, findOwner, PARTIAL_FILE, type PathKind, type Storage } from './place-paths.ts';
import { PLANS_FOLDER } from './plans.ts';
import { isEncryptedName, sortSnapshots } from './selector.ts';
import { BACKUP_FOLDER, describeFiles, gather, mayBeCluster } from './trees.ts';

/** How much is counted of what Transship did not write, and named. */
const MOST_COUNTED = 1000;
const MOST_NAMED = 20;

/** A file or object, as a look at what is around it shows it. */
export interface FoundFile {
  /** From the place on, `/`-separated. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** When it was last written, in milliseconds of the storage's clock. */
  readonly changed: number;
  /** No plain file: a link, or a folder that may not be read. */
  readonly isOdd?: boolean | undefined;
}

/** An upload in parts that was neither completed nor aborted; its last part says when it was written. */
export interface OpenUpload extends FoundFile {
  readonly uploadId: string;
}

/** A place to look at. */
export interface SurveyedPlace {
  readonly storage: Storage;
  /** The name of the folder that the place itself is. */
  readonly name: string;
  /** Those of archives, and of what is in trees and groups; of others nothing is made. */
  readonly uploads: readonly OpenUpload[];
  /** What is in a folder, and not what is below it: files, and the paths of folders. */
  look(folder: string): AsyncIterable<FoundFile | string>;
  /** All files in a folder and below it. */
  walk(folder: string): AsyncIterable<FoundFile>;
  /** The address of a path, as a user would type it. */
  locate(path: string): string;
}

/** What was found of Transship's own. */
interface Findings {
  readonly snapshots: StoredSnapshot[];
  readonly leftovers: Leftover[];
  readonly plans: string[];
}

type Tree = Extract<PathKind, { what: 'tree' | 'archive' }> & { readonly path: string };

/**
 * Looks at all that is at a place. A folder of a tree or of parts is Transship's with all that is in it; one that is
 * called like a tree, but has neither manifest nor `_snapshot.json`, is somebody else's.
 */
export async function surveyPlace(place: SurveyedPlace): Promise<Omit<Survey, 'now'>> {
  const found: Findings = { snapshots: [], leftovers: [], plans: [] };
  const foreign = createTally();
  const top: string[] = [];
  for await (const item of place.look('')) {
    if (typeof item === 'string') top.push(item);
    else if (!addFile(place, item, found)) foreign.add(item.path);
  }
  const kindOf = (path: string) => describePath(path, place.storage);
  const groups = top.filter((path) => kindOf(path)?.what === 'group');
  const clusters = top.filter((path) => mayBeCluster(path) && !groups.includes(path));
  // The place itself may be the folder of one cluster.
  const own = clusters.filter((path) => path === BACKUP_FOLDER);
  const parents = [...own, ...clusters.map((path) => `${path}/${BACKUP_FOLDER}`)];
  const trees = await gather(parents, (path) => findTrees(place, path, foreign));
  const looks = await gather(trees.flat(), (tree) => addTree(place, tree, found));
  for (const paths of looks) for (const path of paths) foreign.add(path);

  const complete = new Set(found.snapshots.filter(({ state }) => state === 'complete').map(({ id }) => id));
  await gather(groups, (path) => addGroup(place, path, complete, found));
  addUploads(place, found);
  if (clusters.includes(PLANS_FOLDER)) await addPlans(place, found);

  const others = top.filter((path) => !groups.includes(path) && path !== BACKUP_FOLDER).toSorted();
  for (const path of others) {
    if (clusters.includes(path)) await countBeside(place, path, foreign);
    else await countFolder(place, path, foreign);
  }
  const { names, count } = foreign.result();
  return {
    snapshots: sortSnapshots(found.snapshots),
    leftovers: found.leftovers.toSorted((a, b) => (a.location < b.location ? -1 : 1)),
    plans: found.plans.toSorted(),
    foreign: names,
    foreignCount: count,
  };
}

/** Adds what lies at the place itself; false for what is not Transship's. */
function addFile(place: SurveyedPlace, { path, size, changed, isOdd }: FoundFile, found: Findings): boolean {
  const kind = isOdd ? undefined : describePath(path, place.storage);
  const location = place.locate(path);
  const modified = new Date(changed);
  if (kind?.what === 'archive') {
    const { id, finished } = kind;
    const encrypted = isEncryptedName(finished ? path : (PARTIAL_FILE.exec(path)?.[1] ?? ''));
    const state = finished ? 'complete' : 'unfinished';
    found.snapshots.push({ id, layout: 'archive', location, size, state, encrypted });
    if (!finished) found.leftovers.push({ what: 'snapshot', location, size, modified });
    return true;
  }
  if (kind?.what === 'stray') found.leftovers.push({ what: 'upload', location, size, modified });
  return kind?.what === 'stray' || kind?.what === 'lease';
}

async function findTrees(place: SurveyedPlace, parent: string, foreign: Tally): Promise<Tree[]> {
  const trees: Tree[] = [];
  for await (const item of place.look(parent)) {
    if (typeof item !== 'string') {
      foreign.add(item.path);
      continue;
    }
    const kind = describePath(item, place.storage);
    if (kind?.what === 'tree') trees.push({ ...kind, path: item });
    // `backup/backup` are the trees of a cluster of that name.
    else if (item !== `${BACKUP_FOLDER}/${BACKUP_FOLDER}`) await countFolder(place, item, foreign);
  }
  return trees;
}

/** @returns what is not Transship's in it */
async function addTree(
  place: SurveyedPlace,
  { path, id, cluster, finished }: Tree,
  found: Findings,
): Promise<string[]> {
  const closing: { path: string }[] = [];
  const paths: string[] = [];
  let size = 0;
  let changed = 0;
  let count = 0;
  for await (const file of place.walk(path)) {
    if (paths.length < MOST_COUNTED) paths.push(file.path);
    if (file.isOdd) continue;
    const inside = file.path.slice(path.length + 1);
    if (!inside.includes('/')) closing.push({ path: inside });
    size += file.size;
    changed = Math.max(changed, file.changed);
    count += 1;
  }
  const facts = describeFiles(closing);
  if (finished && facts.state === 'unfinished' && !closing.some((file) => isClaim(file.path))) return paths;
  if (count === 0) return [];
  const location = place.locate(path);
  const state = finished ? facts.state : 'unfinished';
  const tree = { id, cluster: cluster ?? place.name, layout: 'tree', location, size, ...facts, state } as const;
  found.snapshots.push(tree);
  if (state === 'unfinished') {
    found.leftovers.push({ what: 'snapshot', location, ...withUploads(place, path, { size, changed }) });
  }
  return [];
}

/** Whether a file of a tree is the one that is written first, and removed last. */
export function isClaim(path: string): boolean {
  return path === SNAPSHOT_PATH || path === `${SNAPSHOT_PATH}${AGE_SUFFIX}`;
}

/** Whether a file of a group is a part; else it is there to go on with the export, or for nothing once that has ended. */
export function isPart(name: string): boolean {
  return !name.includes('/') && partNameOf(name) !== undefined;
}

async function addGroup(
  place: SurveyedPlace,
  path: string,
  complete: ReadonlySet<string>,
  found: Findings,
): Promise<void> {
  const kind = describePath(path, place.storage);
  if (kind?.what !== 'group') return;
  const { id } = kind;
  const isOwned = complete.has(id);
  let size = 0;
  let changed = 0;
  let count = 0;
  for await (const file of place.walk(path)) {
    if (isOwned && isPart(file.path.slice(path.length + 1))) continue;
    size += file.size;
    changed = Math.max(changed, file.changed);
    count += 1;
  }
  if (count === 0) return;
  const location = place.locate(path);
  if (!isOwned) found.snapshots.push({ id, layout: 'archive', location, size, state: 'unfinished' });
  found.leftovers.push({ what: 'parts', location, ...withUploads(place, path, { size, changed }) });
}

/** What is being uploaded into a folder is a part of it, and a sign of life. */
function withUploads(
  { uploads }: SurveyedPlace,
  folder: string,
  { size, changed }: { readonly size: number; readonly changed: number },
): Pick<Leftover, 'size' | 'modified'> {
  const inside = uploads.filter(({ path }) => path.startsWith(`${folder}/`));
  return {
    size: inside.reduce((sum, upload) => sum + upload.size, size),
    modified: new Date(Math.max(changed, ...inside.map((upload) => upload.changed))),
  };
}

/** Adds uploads that are in no leftover. */
function addUploads({ uploads, storage, locate }: SurveyedPlace, { snapshots, leftovers }: Findings): void {
  const known = new Set(leftovers.map(({ location }) => location));
  const trees = new Set(snapshots.map(({ location }) => location));
  for (const { path, size, changed, uploadId } of uploads) {
    const rest = { location: locate(path), size, modified: new Date(changed), uploadId };
    const kind = describePath(path, storage);
    const owner = findOwner(path, storage);
    if (kind?.what === 'archive') {
      const { id } = kind;
      const encrypted = isEncryptedName(path);
      // As a list shows it, which does not ask for what was uploaded.
      snapshots.push({ id, layout: 'archive', location: rest.location, size: 0, state: 'unfinished', encrypted });
      leftovers.push({ what: 'snapshot', ...rest });
    } else if (owner !== undefined && !known.has(locate(owner))) {
      const isOurs = trees.has(locate(owner)) || describePath(owner, storage)?.what === 'group';
      if (isOurs) leftovers.push({ what: 'upload', ...rest });
    }
  }
}

async function addPlans(place: SurveyedPlace, found: Findings): Promise<void> {
  for await (const item of place.look(PLANS_FOLDER)) {
    if (typeof item === 'string' || item.isOdd) continue;
    if (describePath(item.path, place.storage)?.what === 'plan') found.plans.push(place.locate(item.path));
    else addFile(place, item, found);
  }
}

/** Counts what is in the folder of a cluster, but for its trees, and for saved plans. */
async function countBeside(place: SurveyedPlace, path: string, foreign: Tally): Promise<void> {
  if (foreign.isFull()) return;
  for await (const item of place.look(path)) {
    if (typeof item === 'string') {
      if (item !== `${path}/${BACKUP_FOLDER}`) await countFolder(place, item, foreign);
    } else if (item.isOdd || describePath(item.path, place.storage) === undefined) foreign.add(item.path);
    if (foreign.isFull()) return;
  }
}

async function countFolder(place: SurveyedPlace, path: string, foreign: Tally): Promise<void> {
  if (foreign.isFull()) return;
  for await (const file of place.walk(path)) {
    foreign.add(file.path);
    if (foreign.isFull()) return;
  }
}

interface Tally {
  add(path: string): void;
  isFull(): boolean;
  result(): { readonly names: readonly string[]; readonly count: number };
}

function createTally(): Tally {
  const paths = new Set<string>();
  const isFull = () => paths.size >= MOST_COUNTED;
  return {
    add(path) {
      if (!isFull()) paths.add(path);
    },
    isFull,
    result: () => ({ names: [...paths].sort().slice(0, MOST_NAMED), count: paths.size }),
  };
}
