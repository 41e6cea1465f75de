import { damaged } from '../archive/damage.ts';
import { readFirstPath } from '../archive/first-path.ts';
import { measureAll } from '../archive/measure.ts';
import { snapshotEntry } from '../archive/snapshot.ts';
import { type Spool, type SpoolOptions, spoolEntries } from '../archive/spool.ts';
import { writeTree } from '../archive/tree.ts';
import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import type { VmArchive } from '../vms/prepare-vms.ts';

/** An archive of one virtual machine that is no snapshot: what `virtctl` or a path that is a file makes. */
export interface BareVm {
  /** A snapshot that holds nothing, in its place, with the size and digest of the file. */
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
  const { identities = [], signal, directory, digest: expected } = options;
  const first = await readFirstPath(backend.read(stored, signal), identities, signal);
  if (first === undefined || !/^(manifest$|resources(\/|$)|volumes(\/|$))/.test(first)) return undefined;
  const measured = await measureAll(backend.read(stored, signal));
  if (expected !== undefined && measured.digest !== expected) {
    throw damaged(`The archive is not the expected one: its digest is ${measured.digest}, expected is ${expected}.`);
  }
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
    spool: { ...spool, ...measured },
    archives: [{ part: undefined, origin: stored.location, open }],
  };
}
