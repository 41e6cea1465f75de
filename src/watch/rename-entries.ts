import { type Entry, readBody } from '../archive/entry.ts';
import { parseSnapshot, SNAPSHOT_PATH, snapshotEntry } from '../archive/snapshot.ts';
import type { NewId } from './ids.ts';

/** The same entries, but that `_snapshot.json` says another id and time. */
export async function* renameEntries(entries: AsyncIterable<Entry>, { id, created }: NewId): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    if (entry.path !== SNAPSHOT_PATH) yield entry;
    else yield snapshotEntry({ ...parseSnapshot(await readBody(entry)), id, created });
  }
}
