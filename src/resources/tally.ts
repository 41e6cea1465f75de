import type { Clock } from '../cluster/clock.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectFailure, ResourceResult } from '../report/results.ts';

type Outcome = 'created' | 'updated' | 'unchanged' | 'skipped' | 'failed';

export interface TallyOptions {
  /** Objects in all. */
  readonly total: number;
  readonly reporter: Reporter;
  readonly clock: Clock;
}

/** Counts what becomes of objects; of those that went well nothing else is kept. */
export interface Tally {
  count(kind: ResourceKind, outcome: 'created' | 'updated' | 'unchanged'): void;
  /** @param object - its name in messages */
  fail(kind: ResourceKind, object: string, outcome: 'failed' | 'skipped', message: string): void;
  /** Takes back that an object went well. */
  revoke(kind: ResourceKind, before: 'created' | 'updated' | 'unchanged', object: string, message: string): void;
  result(): { readonly resources: readonly ResourceResult[]; readonly failures: readonly ObjectFailure[] };
}

/** Milliseconds between two lines of progress. */
const PROGRESS_GAP = 400;

/** Makes a tally that also tells how far the import is. */
export function createTally({ total, reporter, clock }: TallyOptions): Tally {
  const rows = new Map<string, Record<Outcome, number> & { readonly kind: ResourceKind }>();
  const failures: ObjectFailure[] = [];
  let done = 0;
  let toldAt = Number.NEGATIVE_INFINITY;

  function rowOf(kind: ResourceKind) {
    const key = `${kind.apiVersion}/${kind.kind}`;
    let row = rows.get(key);
    if (row === undefined) {
      row = { kind, created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0 };
      rows.set(key, row);
    }
    return row;
  }

  function add(kind: ResourceKind, outcome: Outcome): void {
    rowOf(kind)[outcome] += 1;
    done += 1;
    const now = clock.now();
    if (now - toldAt < PROGRESS_GAP) return;
    toldAt = now;
    reporter.progress(`Importing resources: ${done.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}`);
  }

  return {
    count: add,
    fail(kind, object, outcome, message) {
      failures.push({ object, outcome, message });
      add(kind, outcome);
    },
    revoke(kind, before, object, message) {
      const row = rowOf(kind);
      row[before] -= 1;
      row.failed += 1;
      failures.push({ object, outcome: 'failed', message });
    },
    result: () => ({
      resources: [...rows.values()]
        .map(({ kind, ...counts }) => ({
          apiVersion: kind.apiVersion,
          kind: kind.kind,
          resource: kind.plural,
          exported: 0,
          deleted: 0,
          ...counts,
        }))
        .sort((a, b) => compare(a.resource, b.resource) || compare(a.apiVersion, b.apiVersion)),
      failures: [...failures].sort((a, b) => compare(a.outcome, b.outcome) || compare(a.object, b.object)),
    }),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
