import { createHash } from 'node:crypto';
import { damaged } from '../archive/damage.ts';
import { readFirstPath } from '../archive/first-path.ts';
import { snapshotEntry } from '../archive/snapshot.ts';
import { type Spool, type SpoolOptions, spoolEntries } from '../archive/spool.ts';
import { writeTree } from '../archive/tree.ts';
import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import type { VmArchive } from '../vms/prepare-vms.ts';

/** An archive of one virtual machine that is no snapshot: what `virtctl` or a path that is a file makes. */
export interface BareVm {
  /** A snapshot that holds nothing, in its place. */
  readonly spool: Spool;
  readonly archives: readonly VmArchive[];
}

/**
 * Opens a file that is the archive of one virtual machine alone.
 *
 * @returns undefined for a snapshot
 * @throws TransshipError `ARCHIVE_DAMAGED` for one that has not the digest that was asked for
 */
export async function openBareVm(
  backend: Backend,
  stored: StoredSnapshot,
  options: SpoolOptions,
): Promise<BareVm | undefined> {
  // Elsewhere a path is never one file.
  if (backend.name !== 'local' || stored.layout === 'tree') return undefined;
  const { identities = [], signal, directory, digest } = options;
  const first = await readFirstPath(backend.read(stored, signal), identities, signal);
  if (first === undefined || !/^(manifest$|resources(\/|$)|volumes(\/|$))/.test(first)) return undefined;
  if (digest !== undefined) await checkDigest(backend, stored, digest, signal);
  const created = new Date(0);
  const empty = snapshotEntry({
    id: stored.id,
    created,
    tool: { name: 'unknown', version: '' },
    cluster: { version: '', context: stored.location },
    scope: { namespaces: [], include: ['vms'], history: 'all' },
  });
  async function* entries() {
    yield empty;
  }
  const spool = await spoolEntries(writeTree(entries(), signal).entries, { directory, signal });
  const open = () => backend.openPart(stored, '', directory, signal);
  return {
    spool: { ...spool, digest: digest ?? stored.digest ?? spool.digest, size: stored.size },
    archives: [{ part: undefined, origin: stored.location, open }],
  };
}

async function checkDigest(backend: Backend, stored: StoredSnapshot, expected: string, signal?: AbortSignal) {
  const sha256 = createHash('sha256');
  for await (const piece of backend.read(stored, signal)) sha256.update(piece);
  const digest = `sha256:${sha256.digest('hex')}`;
  if (digest === expected) return;
  throw damaged(`The archive is not the expected one: its digest is ${digest}, expected is ${expected}.`);
}
