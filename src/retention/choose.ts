import { posix } from 'node:path';
import { parseSnapshotId } from '../archive/snapshot.ts';
import type { StoredSnapshot } from '../backends/backend.ts';
import { countRules, type RetentionPolicy } from './policy.ts';

/** What a choice looks at. */
export type Dated = Pick<StoredSnapshot, 'id' | 'cluster' | 'layout' | 'location' | 'state'>;

/** Why a snapshot stays. */
export type KeepReason =
  | keyof RetentionPolicy
  /** It is the newest complete one. */
  | 'newest'
  /** Its time is yet to come: some clock was wrong, and nobody knows how old it is. */
  | 'future'
  /** There is no rule. */
  | 'no rule';

/** What becomes of stored snapshots; those that are unfinished are in neither. */
export interface Chosen<T> {
  readonly keep: ReadonlyMap<T, readonly KeepReason[]>;
  /** Oldest first. */
  readonly remove: readonly T[];
}

/**
 * So far the clocks of who writes and of the storage may differ; S3 itself takes no requests whose time differs by more:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (RequestTimeTooSkewed)
 */
const SKEW = 15 * 60_000;

/**
 * Chooses what stays: each snapshot that any rule keeps, as restic does, for each group on its own. The newest complete one of
 * a group always stays. Those of a time that is yet to come stay too, and take no place of another: else one export with a
 * wrong clock would push out all that come after it.
 *
 * @param now - by the storage's clock
 */
export function chooseKept<T extends Dated>(snapshots: readonly T[], policy: RetentionPolicy, now: Date): Chosen<T> {
  const complete = snapshots.filter(({ state }) => state === 'complete');
  const keep = new Map<T, KeepReason[]>();
  const add = (snapshot: T, reason: KeepReason) => {
    const reasons = keep.get(snapshot);
    if (reasons === undefined) keep.set(snapshot, [reason]);
    else reasons.push(reason);
  };
  const hasRules = Object.values(policy).some((value) => value !== undefined);
  for (const group of Map.groupBy(complete, groupOf).values()) {
    const isFuture = (snapshot: T) => timeOf(snapshot) > now.getTime() + SKEW;
    const sorted = group.toSorted(newestFirst);
    const counted = sorted.filter((snapshot) => !isFuture(snapshot));
    const [newest] = counted;
    if (newest !== undefined) add(newest, 'newest');
    for (const snapshot of sorted.filter(isFuture)) add(snapshot, 'future');
    for (const rule of countRules) {
      for (const snapshot of newestOfEach(counted, rule, policy[rule] ?? 0)) add(snapshot, rule);
    }
    for (const snapshot of counted) {
      if (policy.age !== undefined && now.getTime() - timeOf(snapshot) <= policy.age) add(snapshot, 'age');
      if (!hasRules) add(snapshot, 'no rule');
    }
  }
  return { keep, remove: complete.filter((snapshot) => !keep.has(snapshot)).sort((a, b) => newestFirst(b, a)) };
}

/** Snapshots are chosen among their like: trees of one cluster, archives of one name. */
export function groupOf({ id, layout, cluster, location }: Omit<Dated, 'state'>): string {
  if (layout === 'tree') return `tree ${cluster ?? ''}`;
  const file = posix.basename(location.replaceAll('\\', '/'));
  // Artifacts of one path all have its name.
  return `archive ${file.includes(id) ? file.slice(0, file.indexOf(id)) : ''}`;
}

/** When a snapshot was made, as its id says, in milliseconds. */
export function timeOf({ id }: Pick<Dated, 'id'>): number {
  return parseSnapshotId(id)?.getTime() ?? 0;
}

function newestFirst(a: Dated, b: Dated): number {
  return compare(b.id, a.id) || compare(b.location, a.location);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

type CountRule = (typeof countRules)[number];

/** The newest one of each of so many periods that have some, newest period first. */
function newestOfEach<T extends Dated>(sorted: readonly T[], rule: CountRule, count: number): T[] {
  if (rule === 'last') return sorted.slice(0, count);
  const newest = new Map<string, T>();
  for (const snapshot of sorted) {
    const period = PERIODS[rule](new Date(timeOf(snapshot)));
    if (!newest.has(period)) newest.set(period, snapshot);
    if (newest.size === count) break;
  }
  return count === 0 ? [] : [...newest.values()];
}

/** What names the period of a time; UTC, as ids are. */
const PERIODS: Readonly<Record<Exclude<CountRule, 'last'>, (time: Date) => string>> = {
  hourly: (time) => time.toISOString().slice(0, 13),
  daily: (time) => time.toISOString().slice(0, 10),
  weekly: isoWeek,
  monthly: (time) => time.toISOString().slice(0, 7),
  yearly: (time) => time.toISOString().slice(0, 4),
};

/** By the Monday that the week begins with: ISO 8601. */
function isoWeek(time: Date): string {
  const monday = new Date(time);
  monday.setUTCDate(time.getUTCDate() - ((time.getUTCDay() + 6) % 7));
  return monday.toISOString().slice(0, 10);
}
