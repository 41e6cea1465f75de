import type { Backend, Leftover, StoredSnapshot, Survey } from '../backends/backend.ts';
import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectFailure, RemovedItem } from '../report/results.ts';
import { timeOf } from './choose.ts';

/** So long after its last sign of life nothing goes on with what an export has left, in milliseconds. */
const ABANDONED_AFTER = 24 * 60 * 60_000;

/** What is to be deleted, and when that was found out. */
export interface Removal {
  readonly snapshots: readonly StoredSnapshot[];
  readonly leftovers: readonly Leftover[];
  readonly plans: readonly string[];
  /** By the storage's clock. */
  readonly now: Date;
}

/** What became of it. */
export interface Removed {
  /** What is gone; of a dry run, what would be. */
  readonly removed: readonly RemovedItem[];
  readonly failures: readonly ObjectFailure[];
}

export interface RemovalOptions {
  readonly dryRun: boolean;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Whether nobody will go on with it any more; one whose time is yet to come may be of now. */
export function isAbandoned({ modified }: Leftover, { now }: Pick<Survey, 'now'>): boolean {
  return now.getTime() - modified.getTime() > ABANDONED_AFTER;
}

/** What it is, as the report names it: snapshots first, oldest first. */
export function itemsOf({ snapshots, leftovers, plans, now }: Removal): RemovedItem[] {
  const age = (time: number) => Math.max(0, Math.floor((now.getTime() - time) / 1000));
  return [
    ...snapshots.map((snapshot): RemovedItem => {
      const { id, cluster, location, size } = snapshot;
      return { what: 'snapshot', id, cluster, location, size, age: age(timeOf(snapshot)) };
    }),
    ...leftovers.map(({ what, location, size, modified }): RemovedItem => {
      const kind = what === 'snapshot' ? 'unfinished' : what;
      return { what: kind, location, size, age: age(modified.getTime()) };
    }),
    ...plans.map((location): RemovedItem => ({ what: 'plan', location })),
  ];
}

/**
 * Deletes one after the other. One that can't be deleted keeps none of the others.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 */
export async function removeAll(
  backend: Pick<Backend, 'remove' | 'removeLeftover' | 'removePlan'>,
  removal: Removal,
  { dryRun, reporter, signal }: RemovalOptions,
): Promise<Removed> {
  const items = itemsOf(removal);
  if (dryRun) return { removed: items, failures: [] };
  const { snapshots, leftovers, plans } = removal;
  const deeds = [
    ...snapshots.map((snapshot) => () => backend.remove(snapshot, signal)),
    ...leftovers.map((leftover) => () => backend.removeLeftover(leftover, signal)),
    ...plans.map((plan) => () => backend.removePlan(plan, signal)),
  ];
  const removed: RemovedItem[] = [];
  const failures: ObjectFailure[] = [];
  for (const [index, item] of items.entries()) {
    if (signal?.aborted) throw cancelledBy(signal, `deleting ${item.location}`);
    reporter.progress(`Deleting ${item.location} (${index + 1} of ${items.length})`);
    try {
      await deeds[index]?.();
      reporter.debug(`deleted ${item.location}`);
      removed.push(item);
    } catch (error) {
      if (signal?.aborted || !(error instanceof TransshipError)) throw error;
      failures.push({ object: item.location, outcome: 'failed', message: messageOf(error) });
    }
  }
  return { removed, failures };
}
