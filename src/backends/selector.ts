import { AGE_SUFFIX } from '../archive/encryption-header.ts';
import { parseSnapshotId } from '../archive/snapshot.ts';
import { TransshipError } from '../errors.ts';
import type { StoredSnapshot } from './backend.ts';

/**
 * The first part of a snapshot's file name in a folder or bucket: the same in both, so a snapshot that is copied from
 * one to the other is found there too.
 */
export const FILE_BASE = 'transship';

/** The same of a snapshot that is a file of Helm releases, as Helm's proposal of `helm export` names it. */
const HELM_EXPORT_BASE = 'helm-releases';
/** The ending of such a file. */
export const HELM_EXPORT_SUFFIX = '.gz';

const FILE = /^(?:(.*)-)?(\d\d-\d\d-\d\d_\d\d-\d\d-\d\d)((?:\.tar(?:\.(?:zst|xz|gz))?|\.gz)(?:\.age)?)$/s;
const SUFFIX = /\.(?:tar(?:\.(?:zst|xz|gz))?|tgz|txz|tzst|gz)(?:\.age)?$/;
/** How many ids a message names before it only counts. */
const NAMED = 5;

/** What a snapshot's file name says. */
export interface SnapshotFileName {
  readonly base: string;
  readonly id: string;
  readonly suffix: string;
}

/** The file name of a snapshot: `<base>-<id><suffix>`, `helm-releases-<id>.gz` where the base is the usual one. */
export function snapshotFileName(base: string, id: string, suffix: string): string {
  return `${base === FILE_BASE && isHelmExport(suffix) ? HELM_EXPORT_BASE : base}-${id}${suffix}`;
}

/** Takes a snapshot's file name apart, also that of a file of Helm releases; undefined when it is none. */
export function parseSnapshotFileName(name: string): SnapshotFileName | undefined {
  const [, base = '', id, suffix] = FILE.exec(name) ?? [];
  if (id === undefined || suffix === undefined) return undefined;
  return { base: base === HELM_EXPORT_BASE && isHelmExport(suffix) ? FILE_BASE : base, id, suffix };
}

/** What the names of all snapshots with the usual base begin with. */
export const FILE_STARTS: readonly string[] = [`${FILE_BASE}-`, `${HELM_EXPORT_BASE}-`];

function isHelmExport(suffix: string): boolean {
  return suffix === HELM_EXPORT_SUFFIX || suffix === `${HELM_EXPORT_SUFFIX}${AGE_SUFFIX}`;
}

/** Whether a name says that what it names is encrypted; undefined when it does not. */
export function isEncryptedName(name: string): true | undefined {
  return name.endsWith(AGE_SUFFIX) || undefined;
}

/** The ending that makes a name the name of an archive, such as `.tar.zst`; undefined when it has none. */
export function archiveSuffixOf(name: string): string | undefined {
  return SUFFIX.exec(name)?.[0];
}

/**
 * Checks that a file that is named by the user says what is to be in it.
 *
 * @throws TransshipError `INPUT`
 */
export function checkSuffix(file: string, suffix: string): void {
  // A file of Helm releases is no tar, though both may end in .gz.
  if (file.endsWith(suffix) && (!isHelmExport(suffix) || archiveSuffixOf(file) === suffix)) return;
  throw new TransshipError(
    'INPUT',
    `path: ${JSON.stringify(file)} must end in ${suffix}, as the archive to write is one.`,
    { hint: 'Change the ending, set format, compression and encrypt-to to what the ending says, or give a folder.' },
  );
}

/** Sorts newest first; of one id, complete before unfinished. */
export function sortSnapshots(snapshots: readonly StoredSnapshot[]): StoredSnapshot[] {
  return snapshots.toSorted(
    (a, b) => compare(b.id, a.id) || compare(a.state, b.state) || compare(a.location, b.location),
  );
}

/**
 * Finds the snapshot that `selector` asks for.
 *
 * @param list - lists what there is; may leave out what a selector that it is given does not need
 * @throws TransshipError as {@link selectSnapshot} does
 */
export async function findSnapshot(
  list: (selector?: string) => Promise<StoredSnapshot[]>,
  selector: string,
  place: string,
): Promise<StoredSnapshot> {
  const few = await list(selector);
  const isThere = few.some(({ id, state }) => state === 'complete' && (selector === 'latest' || id === selector));
  // What there is instead takes all.
  return selectSnapshot(isThere ? few : await list(), selector, place);
}

/**
 * Chooses the snapshot that `selector` asks for.
 *
 * @param selector - an id or `latest`, which is the newest complete one
 * @param place - where the snapshots are, for messages
 * @throws TransshipError `INPUT` when `selector` is neither
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` naming what there is instead
 * @throws TransshipError `INPUT` when trees of several clusters could be meant
 * @throws TransshipError `BACKEND` when two snapshots have the id
 */
export function selectSnapshot(snapshots: readonly StoredSnapshot[], selector: string, place: string): StoredSnapshot {
  if (selector !== 'latest' && parseSnapshotId(selector) === undefined) {
    throw new TransshipError(
      'INPUT',
      `snapshot: ${JSON.stringify(selector)} is neither latest nor an id such as 26-01-31_12-00-00.`,
    );
  }
  const sorted = sortSnapshots(snapshots);
  const complete = sorted.filter(({ state }) => state === 'complete');
  const meant = selector === 'latest' ? complete : complete.filter(({ id }) => id === selector);
  const clusters = new Set(meant.flatMap(({ cluster }) => cluster ?? []));
  if (clusters.size > 1) throw severalClusters([...clusters].sort(), selector, place);
  const [found, second] = meant.filter(({ id }) => id === meant[0]?.id);
  if (found === undefined) throw notFound(sorted, selector, place);
  if (second !== undefined) {
    throw new TransshipError(
      'BACKEND',
      `Two snapshots have the id ${found.id}: ${found.location} and ${second.location}.`,
      {
        hint: 'Remove the wrong one, or move it to another place.',
      },
    );
  }
  return found;
}

function severalClusters(clusters: readonly string[], selector: string, place: string): TransshipError {
  const what = selector === 'latest' ? 'snapshots' : `a snapshot ${selector} each`;
  return new TransshipError(
    'INPUT',
    `${place} has ${what} of ${clusters.length} clusters: ${nameSome(clusters, 'more')}.`,
    { hint: `Choose one by its folder: give ${place.replace(/[\\/]+$/, '')}/${clusters[0]} as path, for example.` },
  );
}

/** The error for a snapshot that is already there. */
export function snapshotExists(location: string, cause?: unknown): TransshipError {
  return new TransshipError('SNAPSHOT_EXISTS', `${location} already exists, and a snapshot is never overwritten.`, {
    hint: 'Export again: every export gets an id of its own. Or choose another path.',
    cause,
  });
}

function notFound(sorted: readonly StoredSnapshot[], selector: string, place: string): TransshipError {
  const complete = sorted.filter(({ state }) => state === 'complete').map(({ id }) => id);
  const unfinished = sorted.filter(({ state }) => state === 'unfinished').map(({ id }) => id);
  const message = [missing(selector, unfinished, place), instead(complete, unfinished)].filter(Boolean).join(' ');
  return new TransshipError('SNAPSHOT_NOT_FOUND', message, {
    hint: complete.length > 0 ? 'Choose one of these, or latest.' : 'Export one first, or check the path.',
  });
}

function missing(selector: string, unfinished: readonly string[], place: string): string {
  if (selector === 'latest') return `There is no snapshot in ${place}.`;
  return unfinished.includes(selector)
    ? `Snapshot ${selector} in ${place} is unfinished: its export still runs or was interrupted.`
    : `Snapshot ${selector} is not in ${place}.`;
}

function instead(complete: readonly string[], unfinished: readonly string[]): string {
  if (complete.length > 0) return `There is ${nameSome(complete)}.`;
  return unfinished.length > 0 ? `There is only what interrupted exports left: ${nameSome(unfinished)}.` : '';
}

function nameSome(ids: readonly string[], others = 'older'): string {
  const distinct = [...new Set(ids)];
  const rest = distinct.length - NAMED;
  const named = distinct.slice(0, NAMED).join(', ');
  return rest > 0 ? `${named} and ${rest} ${others}` : named;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
