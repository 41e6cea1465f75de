import { createHash } from 'node:crypto';
import type { Entry } from '../archive/entry.ts';
import { readArchive } from '../archive/read.ts';
import { type Spool, type SpoolOptions, spoolArchive, spoolEntries } from '../archive/spool.ts';
import { readTree } from '../archive/tree.ts';
import type { Backend, Bytes, StoredSnapshot } from '../backends/backend.ts';
import { openBackend } from '../backends/open.ts';
import type { Inputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';

/** Opens the backend that the inputs name. */
export function openStorage(inputs: Inputs): Backend {
  return openBackend({
    backend: inputs.backend,
    path: inputs.path,
    endpoint: inputs['s3-endpoint'],
    region: inputs['s3-region'],
    forcePathStyle: inputs['s3-path-style'],
    token: inputs['github-token'],
    ...('run-id' in inputs ? { runId: inputs['run-id'], repository: inputs.repository } : {}),
    ...('retention-days' in inputs ? { retentionDays: inputs['retention-days'] } : {}),
  });
}

/**
 * Reads a snapshot of either layout whole, verifies it, and keeps its files where they can be read in any order.
 *
 * @throws TransshipError as `spoolArchive` and the backend do
 */
export function openSnapshot(backend: Backend, stored: StoredSnapshot, options: SpoolOptions): Promise<Spool> {
  return stored.layout === 'tree'
    ? spoolEntries(backend.readTree(stored, options.signal), options)
    : spoolArchive(backend.read(stored, options.signal), options);
}

/** A snapshot that is read once and kept nowhere. */
export interface SnapshotReading {
  /** Verified as they pass: only at the end it is known whether they are as written. */
  readonly entries: AsyncIterable<Entry>;
  /** Bytes as stored, and the digest that pins the snapshot; there only after the last entry. */
  result(): { readonly size: number; readonly digest: string };
}

/** Reads a snapshot of either layout and checks all its sizes and digests on the way. */
export function readSnapshot(backend: Backend, stored: StoredSnapshot, signal: AbortSignal): SnapshotReading {
  if (stored.layout === 'tree') return readTree(backend.readTree(stored, signal), signal);
  const { bytes, result } = measure(backend.read(stored, signal));
  return { entries: readArchive(bytes, signal), result };
}

/** Counts and digests bytes as they pass. */
function measure(source: Bytes): { bytes: Bytes; result(): { size: number; digest: string } } {
  const sha256 = createHash('sha256');
  let size = 0;
  async function* pass(): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      sha256.update(piece);
      size += piece.byteLength;
      yield piece;
    }
  }
  return { bytes: pass(), result: () => ({ size, digest: `sha256:${sha256.copy().digest('hex')}` }) };
}

/** The outputs that say which snapshot a run was about. */
export function snapshotOutputs({ id, location, size, digest, artifactId }: StoredSnapshot): Outputs {
  return { snapshot: id, location, size, digest, 'artifact-id': artifactId };
}
