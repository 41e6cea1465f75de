import { inspectEncrypted } from '../archive/encryption.ts';
import type { Entry } from '../archive/entry.ts';
import { measure } from '../archive/measure.ts';
import { type OtherFormat, readArchive } from '../archive/read.ts';
import { parseSnapshotId } from '../archive/snapshot.ts';
import { type Spool, type SpoolOptions, spoolArchive, spoolEntries } from '../archive/spool.ts';
import { abortable } from '../archive/streams.ts';
import { checkEncryptedTree, readTree } from '../archive/tree.ts';
import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import { openBackend } from '../backends/open.ts';
import { isHelmExport } from '../helm-export/detect.ts';
import type { Storage } from '../inputs/rules.ts';
import type { Inputs, PromoteInputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';
import { joinWords } from '../report/format.ts';
import type { CollectedVms } from '../vms/collect.ts';

/** The inputs of a mode that reads or writes snapshots; those of promote with its storage laid in. */
export type StorageInputs = Exclude<Inputs, { mode: 'promote' | 'teardown' }> | (PromoteInputs & Storage);

/** Opens the backend that the inputs name. */
export function openStorage(inputs: StorageInputs): Backend {
  return openBackend({
    backend: inputs.backend,
    path: inputs.path,
    endpoint: inputs['s3-endpoint'],
    region: inputs['s3-region'],
    forcePathStyle: inputs['s3-path-style'],
    sseCustomerKey: inputs['s3-sse-customer-key'],
    token: inputs['github-token'],
    ...('run-id' in inputs ? { runId: inputs['run-id'], repository: inputs.repository } : {}),
    ...('s3-sse' in inputs ? { sse: inputs['s3-sse'] } : {}),
    ...('s3-sse-kms-key-id' in inputs ? { sseKmsKeyId: inputs['s3-sse-kms-key-id'] } : {}),
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
    : spoolArchive(backend.read(stored, options.signal), { ...options, other: helmExportOf(stored) });
}

/** A file of Helm releases, told by what is in it, whatever its name. Its library is loaded when there is one. */
function helmExportOf({ id }: StoredSnapshot): OtherFormat {
  return {
    detect: isHelmExport,
    read: async function* (bytes) {
      const { readHelmExport } = await import('../helm-export/read.ts');
      yield* readHelmExport(bytes, parseSnapshotId(id) ?? new Date(0));
    },
  };
}

/** A snapshot that is read once and kept nowhere. */
export interface SnapshotReading {
  /** Verified as they pass: only at the end it is known whether they are as written. */
  readonly entries: AsyncIterable<Entry>;
  /** Bytes as stored, and the digest that pins the snapshot; there only after the last entry. */
  result(): { readonly size: number; readonly digest: string };
}

/** Reads a snapshot of either layout and checks all its sizes and digests on the way. */
export function readSnapshot(
  backend: Backend,
  stored: StoredSnapshot,
  identities: readonly string[],
  signal: AbortSignal,
): SnapshotReading {
  if (stored.layout === 'tree') return readTree(backend.readTree(stored, signal), signal, identities);
  const { bytes, result } = measure(backend.read(stored, signal));
  return { entries: readArchive(bytes, signal, identities, helmExportOf(stored)), result };
}

/**
 * Reads an encrypted snapshot of either layout and checks what can be checked of it without a key.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` saying what is wrong
 */
export async function checkEncrypted(
  backend: Backend,
  stored: StoredSnapshot,
  signal: AbortSignal,
): Promise<{ size: number; digest: string }> {
  if (stored.layout === 'tree') return checkEncryptedTree(backend.readTree(stored, signal), signal);
  const { bytes, result } = measure(backend.read(stored, signal));
  await inspectEncrypted(abortable(bytes, signal));
  return result();
}

/** The outputs that say which snapshot a run was about. */
export function snapshotOutputs({ id, location, size, digest, artifactId }: StoredSnapshot): Outputs {
  return { snapshot: id, location, size, digest, 'artifact-id': artifactId };
}

/** The same with virtual machines, whose archives are a part of the snapshot. */
export function withVms(outputs: Outputs, { results }: Pick<CollectedVms, 'results'>): Outputs {
  const size = results.reduce((sum, result) => sum + (result.size ?? 0), outputs.size ?? 0);
  return { ...outputs, size, vms: results };
}

/** The outputs of an export whose snapshot is the archive of one virtual machine, and nothing else. */
export function bareOutputs({
  id,
  parts,
  results,
}: Pick<CollectedVms, 'parts' | 'results'> & { readonly id: string }): Outputs {
  const [part] = parts;
  const [result] = results;
  return { snapshot: id, location: result?.location, digest: part?.digest, size: part?.size, vms: results };
}

/** `releases`, `releases and virtual machines`: what `include` names, in words. */
export function nameIncluded(include: readonly string[]): string {
  return joinWords(include.map((what) => (what === 'vms' ? 'virtual machines' : what)));
}
