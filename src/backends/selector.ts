import { parseSnapshotId } from '../archive/snapshot.ts';
import { TransshipError } from '../errors.ts';
import type { StoredSnapshot } from './backend.ts';

/**
 * The first part of a snapshot's file name in a folder or bucket: the same in both, so a snapshot that is copied from
 * one to the other is found there too.
 */
export const FILE_BASE = 'transship';

const FILE = /^(?:(.*)-)?(\d\d-\d\d-\d\d_\d\d-\d\d-\d\d)(\.tar(?:\.(?:zst|xz|gz))?(?:\.age)?)$/s;
const SUFFIX = /\.(?:tar(?:\.(?:zst|xz|gz))?|tgz|txz|tzst)(?:\.age)?$/;
/** How many ids a message names before it only counts. */
const NAMED = 5;

/** What a snapshot's file name says. */
export interface SnapshotFileName {
  readonly base: string;
  readonly id: string;
  readonly suffix: string;
}

/** The file name of a snapshot: `<base>-<id><suffix>`. */
export function snapshotFileName(base: string, id: string, suffix: string): string {
  return `${base}-${id}${suffix}`;
}

/** Takes a snapshot's file name apart; undefined when it is none. */
export function parseSnapshotFileName(name: string): SnapshotFileName | undefined {
  const [, base = '', id, suffix] = FILE.exec(name) ?? [];
  return id === undefined || suffix === undefined ? undefined : { base, id, suffix };
}

/** The ending that makes a name the name of an archive, such as `.tar.zst`; undefined when it has none. */
export function archiveSuffixOf(name: string): string | undefined {
  return SUFFIX.exec(name)?.[0];
}

/** Sorts newest first; of one id, complete before unfinished. */
export function sortSnapshots(snapshots: readonly StoredSnapshot[]): StoredSnapshot[] {
  return snapshots.toSorted(
    (a, b) => compare(b.id, a.id) || compare(a.state, b.state) || compare(a.location, b.location),
  );
}

/**
 * Chooses the snapshot that `selector` asks for.
 *
 * @param selector - an id or `latest`, which is the newest complete one
 * @param place - where the snapshots are, for messages
 * @throws TransshipError `INPUT` when `selector` is neither
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` naming what there is instead
 * @throws TransshipError `BACKEND` when two archives have the id
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
  const id = selector === 'latest' ? complete[0]?.id : selector;
  const [found, second] = complete.filter((snapshot) => snapshot.id === id);
  if (found === undefined) throw notFound(sorted, selector, place);
  if (second !== undefined) {
    throw new TransshipError(
      'BACKEND',
      `Two archives have the id ${found.id}: ${found.location} and ${second.location}.`,
      {
        hint: 'Remove the wrong one, or move it to another place.',
      },
    );
  }
  return found;
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

function nameSome(ids: readonly string[]): string {
  const distinct = [...new Set(ids)];
  const rest = distinct.length - NAMED;
  const named = distinct.slice(0, NAMED).join(', ');
  return rest > 0 ? `${named} and ${rest} older` : named;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
