import { suffixOf } from '../archive/compression.ts';
import type { Entry } from '../archive/entry.ts';
import { writeTree } from '../archive/tree.ts';
import { writeArchive } from '../archive/write.ts';
import type { Backend, WrittenSnapshot } from '../backends/backend.ts';
import type { ExportInputs } from '../inputs.ts';

/** A snapshot to be stored. */
export interface NewSnapshot {
  readonly id: string;
  readonly created: Date;
  /** The name of the cluster's context. */
  readonly cluster: string;
  /** `_snapshot.json` first; read once. */
  readonly entries: AsyncIterable<Entry>;
}

/**
 * Stores a snapshot in the layout that the inputs name.
 *
 * @returns what was stored, with its size and digest
 */
export async function storeSnapshot(
  backend: Backend,
  { id, created, cluster, entries }: NewSnapshot,
  { layout, compression }: Pick<ExportInputs, 'layout' | 'compression'>,
  signal: AbortSignal,
): Promise<WrittenSnapshot> {
  if (layout === 'tree') {
    const tree = writeTree(entries, signal);
    const written = await backend.writeTree(id, cluster, tree.entries, signal);
    const { size, digest } = tree.summary();
    return { ...written, size, digest };
  }
  const archive = writeArchive(entries, { compression, mtime: created, signal });
  const written = await backend.write(id, suffixOf(compression), archive.bytes, signal);
  const { size, digest } = archive.summary();
  return { ...written, size, digest };
}
