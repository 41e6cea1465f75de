import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import type { ImportInputs, PlanInputs } from '../inputs.ts';
import { readIdentities } from './identities.ts';
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
    const spool = await openSnapshot(backend, stored, {
      directory: temporaryDirectory,
      digest: inputs.digest,
      identities,
      signal,
    });
    try {
      const { location } = stored;
      const importing = await beginImport(inputs, context, { cluster, spool, helm, transforms, location });
      return await use(importing, { backend, stored });
    } finally {
      await spool.close();
    }
  } finally {
    await cluster.close();
  }
}
