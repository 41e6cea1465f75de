import { snapshotId } from '../archive/snapshot.ts';
import { type Spool, spoolEntries } from '../archive/spool.ts';
import { writeTree } from '../archive/tree.ts';
import type { WrittenSnapshot } from '../backends/backend.ts';
import { openCluster } from '../cluster/connect.ts';
import type { PromoteInputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';
import { carryOut } from './carry-out.ts';
import { collectSnapshot } from './collect.ts';
import { beginImport, helmOf, openTarget, readTransforms } from './importing.ts';
import { planImport } from './plan.ts';
import type { RunContext, RunPromote } from './run.ts';
import { openStorage, snapshotOutputs } from './storage.ts';
import { storeSnapshot } from './store.ts';

/** Exports from one cluster and imports into another in one step. */
export const run: RunPromote = async (inputs, context) => {
  const transforms = await readTransforms(inputs);
  const helm = inputs.include.includes('releases') ? await helmOf(inputs, context) : undefined;
  // Whether the target can be reached is known before anything is read.
  const cluster = await openTarget(inputs, context);
  try {
    const { spool, written } = await collect(inputs, context);
    try {
      const location = written?.location;
      const importing = await beginImport(inputs, context, { cluster, spool, helm, transforms, location });
      const stored = written === undefined ? { snapshot: importing.snapshot.id } : storedOutputs(written);
      if (inputs['dry-run']) {
        const planned = await planImport(importing, { files: inputs['plan-files'] ?? [], exitCode: false });
        return { ...planned, outputs: { ...planned.outputs, ...stored } };
      }
      context.reporter.info(`Importing into ${cluster.context} (${cluster.server}).`);
      const { outputs, undone, failed } = await carryOut(importing, async () => undefined);
      return {
        outputs: { ...stored, ...outputs },
        summary: { mode: 'promote', cluster: cluster.context, source: importing.snapshot.cluster.context, undone },
        failed,
      };
    } finally {
      await spool.close();
    }
  } finally {
    await cluster.close();
  }
};

function storedOutputs(written: WrittenSnapshot): Outputs {
  return { ...snapshotOutputs(written), 'artifact-url': written.artifactUrl };
}

/** Reads the source into a temporary file of this run, and stores it where that is asked for. */
async function collect(
  inputs: PromoteInputs,
  context: RunContext,
): Promise<{ spool: Spool; written: WrittenSnapshot | undefined }> {
  const { reporter, signal, temporaryDirectory, env } = context;
  const cluster = await openCluster({
    kubeconfig: inputs.kubeconfig,
    context: inputs.context,
    concurrency: 8,
    ...{ temporaryDirectory, reporter, env },
  });
  try {
    const created = new Date();
    const id = snapshotId(created);
    const namespaces = inputs.namespace ?? [cluster.namespace];
    reporter.info(
      `Reading the ${inputs.include.join(' and ')} of ${namespaces.join(', ')} from ${cluster.context} (${cluster.server}).`,
    );
    const collection = collectSnapshot(cluster, { id, created, namespaces, inputs, context });
    const spool = await spoolEntries(writeTree(collection.entries, signal).entries, {
      directory: temporaryDirectory,
      signal,
    });
    if (inputs.storage === undefined) return { spool, written: undefined };
    try {
      const stored = { ...inputs, ...inputs.storage };
      const snapshot = { id, created, cluster: cluster.context, entries: entriesOf(spool) };
      return { spool, written: await storeSnapshot(openStorage(stored), snapshot, stored, context) };
    } catch (error) {
      await spool.close();
      throw error;
    }
  } finally {
    await cluster.close();
  }
}

async function* entriesOf(spool: Spool) {
  for (const path of spool.paths()) yield spool.entry(path);
}
