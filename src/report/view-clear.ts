import type { StoredSnapshot } from '../backends/backend.ts';
import { TransshipError } from '../errors.ts';
import type { RunResult, Summary } from '../modes/run.ts';
import type { Outputs } from '../outputs.ts';
import { countOf, formatSize, joinWords } from './format.ts';
import type { RemovedItem } from './results.ts';
import type { Table } from './view.ts';

type ClearSummary = Extract<Summary, { mode: 'clear' }>;

const NOUNS: Readonly<Record<RemovedItem['what'], string>> = {
  snapshot: 'snapshot',
  unfinished: 'unfinished snapshot',
  upload: 'abandoned upload',
  parts: 'interrupted export',
  plan: 'saved plan',
};

/** `3 snapshots and 1 abandoned upload (1.2 MiB)`: what it is together. */
export function describeRemoved(items: readonly RemovedItem[]): string {
  const counts = Map.groupBy(items, ({ what }) => NOUNS[what]);
  const words = [...counts].map(([noun, some]) => countOf(some.length, noun));
  const size = items.reduce((sum, item) => sum + (item.size ?? 0), 0);
  return `${joinWords(words)} (${formatSize(size)})`;
}

/** A row for each that was deleted of a backend, or is to be. */
export function removedTable(items: readonly RemovedItem[]): Table | undefined {
  if (items.length === 0) return undefined;
  const hasClusters = items.some(({ cluster }) => cluster !== undefined);
  return {
    columns: ['Deleted', 'Snapshot', ...(hasClusters ? ['Cluster'] : []), 'Age', 'Size', 'Location'],
    rows: items.map(({ what, id = '', cluster = '', age, size, location }) => [
      NOUNS[what],
      id,
      ...(hasClusters ? [cluster] : []),
      age === undefined ? '' : formatAge(age),
      size === undefined ? '' : formatSize(size),
      location,
    ]),
  };
}

/** A row for each snapshot that a backend holds. */
export function snapshotTable(snapshots: readonly StoredSnapshot[]): Table | undefined {
  if (snapshots.length === 0) return undefined;
  return {
    columns: ['Snapshot', 'Size', 'Layout', 'State', 'Location'],
    rows: snapshots.map(({ id, size, layout, state, location }) => [id, formatSize(size), layout, state, location]),
  };
}

/** What became of what a path held. */
export function headlineOfClear({ removed = [] }: Outputs, { dryRun, declined, kept }: ClearSummary): string {
  const stay = kept === 0 ? '' : `; ${countOf(kept, 'snapshot')} ${kept === 1 ? 'stays' : 'stay'}`;
  if (declined) return 'Nothing was deleted';
  if (removed.length === 0) return `Nothing to delete${stay}`;
  return `${dryRun ? 'Would delete' : 'Deleted'} ${describeRemoved(removed)}${stay}`;
}

/** The error of a run of which something could not be deleted, or was not to be. */
export function removalFailure({ outputs, summary }: RunResult): TransshipError {
  if (summary.mode === 'clear' && summary.declined) {
    return new TransshipError('CANCELLED', 'Nothing was deleted: the answer was not yes.');
  }
  const names = (outputs.failures ?? []).map(({ object }) => object);
  const named = names.slice(0, 10).join(', ') + (names.length > 10 ? ` and ${names.length - 10} more` : '');
  const what = summary.mode === 'export' ? `Snapshot ${outputs.snapshot} is stored, but old ones could` : 'Could';
  return new TransshipError('BACKEND', `${what} not be deleted: ${named}.`, {
    hint: 'The summary says why, for each. Those not named there are done.',
  });
}

/** Seconds as people read an age: `45 s`, `12 min`, `5 h`, `90 d`; one of anything is told in the smaller unit. */
export function formatAge(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
  ] as const;
  const unit = units.find(([length]) => seconds >= (length > 60 ? 2 * length : length));
  return unit === undefined ? `${seconds} s` : `${Math.floor(seconds / unit[0])} ${unit[1]}`;
}
