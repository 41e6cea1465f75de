import type { Spool } from '../archive/spool.ts';
import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import type { ImportInputs, PlanInputs } from '../inputs.ts';
import { parseVms, VMS_PATH } from '../vms/part-list.ts';
import type { VmArchive } from '../vms/prepare-vms.ts';
import { openBareVm } from './bare-vm.ts';
import { readIdentities } from './identities.ts';
import { archivesOf, chooseParts, fromArchives, openParts } from './import-vms.ts';
import { beginImport, helmOf, type Importing, openTarget, readTransforms } from './importing.ts';
import type { RunContext, RunResult } from './run.ts';
import { openSnapshot, openStorage } from './storage.ts';

/** Where a snapshot was found. */
export interface Source {
  readonly backend: Backend;
  readonly stored: StoredSnapshot;
}

/** Opens what the inputs name, the snapshot and the cluster, for a function to use, and closes both after it. */
export async function openSource(
  inputs: ImportInputs | PlanInputs,
  context: RunContext,
  use: (importing: Importing, source: Source) => Promise<RunResult>,
): Promise<RunResult> {
  const { reporter, signal, temporaryDirectory } = context;
  const transforms = await readTransforms(inputs);
  const identities = await readIdentities(inputs.identity, reporter);
  const backend = openStorage(inputs);
  // Where releases are asked for by name, a Helm that is missing is said before anything is downloaded.
  const helm = inputs.include?.includes('releases') === true ? await helmOf(inputs, context) : undefined;
  const cluster = await openTarget(inputs, context);
  try {
    const stored = await backend.find(inputs.snapshot);
    reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
    const options = { directory: temporaryDirectory, digest: inputs.digest, identities, signal };
    const bare = await openBareVm(backend, stored, options);
    const spool = bare?.spool ?? (await openSnapshot(backend, stored, options));
    try {
      const { location } = stored;
      const archives = bare?.archives ?? (await readArchives(spool, { backend, stored }, inputs, context));
      const vms = {
        namespaces: archives.map(({ part }) => part?.namespace ?? ''),
        prepare: fromArchives(archives, identities),
      };
      const importing = await beginImport(inputs, context, { cluster, spool, helm, transforms, location, vms });
      return await use(importing, { backend, stored });
    } finally {
      await spool.close();
    }
  } finally {
    await cluster.close();
  }
}

/** The archives of virtual machines that the snapshot names and the inputs choose. */
export async function readArchives(
  spool: Spool,
  { backend, stored }: Source,
  inputs: Pick<ImportInputs, 'include' | 'vms' | 'namespace'>,
  { temporaryDirectory, signal }: Pick<RunContext, 'temporaryDirectory' | 'signal'>,
): Promise<VmArchive[]> {
  if (!spool.has(VMS_PATH) || inputs.include?.includes('vms') === false) return [];
  const parts = parseVms(await spool.read(VMS_PATH));
  // Of a snapshot without any, that is told by its content.
  const chosen = parts.length === 0 ? [] : chooseParts(parts, inputs);
  return archivesOf(chosen, `snapshot ${stored.id}`, openParts(backend, stored, temporaryDirectory, signal));
}
