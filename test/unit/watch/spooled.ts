import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { parseSnapshotId, type Snapshot, snapshotEntry } from '../../../src/archive/snapshot.ts';
import type { NewSpooled } from '../../../src/watch/spool.ts';
import { streamOf } from '../archive/helpers.ts';

/** A snapshot's files by their paths, but for `_snapshot.json`. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** A `_snapshot.json` of a cluster called stage. */
export function describe(id: string, changes: Partial<Snapshot> = {}): Entry {
  return snapshotEntry({
    id,
    created: createdAt(id),
    tool: { name: 'transship', version: '0.1.0' },
    cluster: { uid: 'stage-uid', version: 'v1.35.4', context: 'stage' },
    scope: { namespaces: ['*'], include: ['resources'], history: 'all' },
    ...changes,
  });
}

/** What an export of some files gives. */
export function collected(id: string, files: Files, changes?: Partial<Snapshot>): NewSpooled {
  const entries = Object.entries(files).map(([path, content]) => entryOf(path, content));
  return { id, created: createdAt(id), entries: streamOf(describe(id, changes), ...entries) };
}

function createdAt(id: string): Date {
  const created = parseSnapshotId(id);
  if (created === undefined) throw new Error(`${id} is no id.`);
  return created;
}

/** Many small files, of which those from 0 to `changed` are others than before. */
export function manyFiles(count: number, changed = 0): Files {
  const nameOf = (index: number) => `namespace-${index % 10}/kind-${index}.json`;
  const textOf = (index: number) => `${index}${index < changed ? ' changed' : ''}`.padEnd(1000, `${index} `);
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [nameOf(index), textOf(index)]));
}
