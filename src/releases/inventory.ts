import type { Entry } from '../archive/entry.ts';
import type { ReleaseResult } from '../report/results.ts';
import { describeChart } from './helm-release.ts';
import { highest, pickRunning } from './history.ts';
import { parseRelease } from './record.ts';
import { entryToRecord, isRecordPath } from './record-entry.ts';

interface Revision {
  readonly namespace: string;
  readonly name: string;
  readonly chart: string;
  readonly chartVersion: string;
  readonly appVersion: string;
  readonly revision: number;
  readonly status: string;
}

/** The releases among the entries of an archive, noted as these pass by. */
export interface Inventory {
  /** @throws TransshipError `ARCHIVE_DAMAGED` for a record that can't be read */
  add(entry: Entry): Promise<void>;
  /** A row for each, sorted by namespace and name. */
  releases(): ReleaseResult[];
}

/** Starts to note what releases an archive holds. */
export function createInventory(): Inventory {
  const revisions = new Map<string, Revision[]>();
  return {
    async add(entry) {
      if (!isRecordPath(entry.path)) return;
      const record = await entryToRecord(entry);
      const { namespace, release: name, driver, revision, status } = record;
      const key = `${namespace}/${name}/${driver}`;
      const others = revisions.get(key) ?? [];
      others.push({ namespace, name, ...describeChart(parseRelease(record)), revision, status });
      revisions.set(key, others);
    },
    releases: () =>
      [...revisions.entries()]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .flatMap(([, all]) => {
          const shown = pickRunning(all) ?? highest(all);
          return shown === undefined ? [] : [{ ...shown, revisions: all.length, outcome: 'exported' as const }];
        }),
  };
}
