import type { Entry } from '../archive/entry.ts';
import type { ResourceResult } from '../report/results.ts';
import { isResourcePath, readListFile } from './list-file.ts';

/** The objects among the files of a snapshot, counted as these pass by. */
export interface ResourceInventory {
  /** Reads the file to its end when it is a List; leaves any other alone. */
  add(entry: Entry): Promise<void>;
  /** A row for each kind, sorted by its plural. */
  resources(): ResourceResult[];
}

/** Starts to count what a snapshot holds. */
export function createResourceInventory(): ResourceInventory {
  const rows = new Map<string, { apiVersion: string; kind: string; resource: string; exported: number }>();
  return {
    async add({ path, body }) {
      if (!isResourcePath(path)) return;
      const [resource = ''] = path.slice(path.indexOf('/') + 1).split('.');
      for await (const { apiVersion, kind } of readListFile(path, body)) {
        const key = `${resource}/${apiVersion}/${kind}`;
        const row = rows.get(key) ?? { apiVersion, kind, resource, exported: 0 };
        row.exported += 1;
        rows.set(key, row);
      }
    },
    resources: () =>
      [...rows.entries()]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, row]) => ({ ...row, created: 0, updated: 0, unchanged: 0, deleted: 0, skipped: 0, failed: 0 })),
  };
}
