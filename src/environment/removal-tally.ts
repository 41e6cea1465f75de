import type { ResourceKind } from '../cluster/discovery.ts';
import type { ObjectFailure, ResourceResult } from '../report/results.ts';
import { nameObject } from '../resources/resource.ts';
import type { PrunableObject } from './labelled.ts';

/** Counts what becomes of objects that are to go. */
export interface RemovalTally {
  deleted(object: PrunableObject): void;
  failed(object: PrunableObject, message: string): void;
  /** It stays because of another failure. */
  skipped(object: PrunableObject, message: string): void;
  result(): { readonly resources: ResourceResult[]; readonly failures: ObjectFailure[] };
}

/** Starts to count. */
export function createRemovalTally(): RemovalTally {
  const rows = new Map<string, { readonly kind: ResourceKind; deleted: number; failed: number; skipped: number }>();
  const failures: ObjectFailure[] = [];
  const count = (kind: ResourceKind, outcome: 'deleted' | 'failed' | 'skipped') => {
    const key = `${kind.apiVersion}/${kind.kind}`;
    const row = rows.get(key) ?? { kind, deleted: 0, failed: 0, skipped: 0 };
    row[outcome] += 1;
    rows.set(key, row);
  };
  const note = (outcome: 'failed' | 'skipped') => (object: PrunableObject, message: string) => {
    failures.push({ object: nameObject(object.id), outcome, message });
    count(object.kind, outcome);
  };
  return {
    deleted: ({ kind }) => count(kind, 'deleted'),
    failed: note('failed'),
    skipped: note('skipped'),
    result: () => ({
      resources: [...rows.values()]
        .map(({ kind: { apiVersion, kind, plural }, deleted, failed, skipped }) => ({
          ...{ apiVersion, kind, resource: plural },
          ...{ exported: 0, created: 0, updated: 0, unchanged: 0, deleted, skipped, failed },
        }))
        .sort((a, b) => compare(a.resource, b.resource) || compare(a.apiVersion, b.apiVersion)),
      failures: failures.toSorted((a, b) => compare(a.outcome, b.outcome) || compare(a.object, b.object)),
    }),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
