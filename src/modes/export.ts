import { snapshotId } from '../archive/snapshot.ts';
import { openCluster } from '../cluster/connect.ts';
import { collectSnapshot } from './collect.ts';
import type { RunExport } from './run.ts';
import { openStorage, snapshotOutputs } from './storage.ts';
import { storeSnapshot } from './store.ts';

/** Writes a snapshot of the cluster to a backend. */
export const run: RunExport = async (inputs, context) => {
  const { reporter, temporaryDirectory, env } = context;
  const { kubeconfig, context: kubeContext, concurrency } = inputs;
  const backend = openStorage(inputs);
  const cluster = await openCluster({
    kubeconfig,
    context: kubeContext,
    concurrency,
    temporaryDirectory,
    reporter,
    env,
  });
  try {
    const created = new Date();
    const id = snapshotId(created);
    const namespaces = inputs.namespace ?? [cluster.namespace];
    reporter.info(
      `Exporting the ${inputs.include.join(' and ')} of ${namespaces.join(', ')} from ${cluster.context} (${cluster.server}).`,
    );
    const collection = collectSnapshot(cluster, { id, created, namespaces, inputs, context });
    const written = await storeSnapshot(
      backend,
      { id, created, cluster: cluster.context, entries: collection.entries },
      inputs,
      context,
    );
    return {
      outputs: { ...snapshotOutputs(written), 'artifact-url': written.artifactUrl, ...collection.result() },
      summary: { mode: 'export', cluster: cluster.context },
      failed: false,
    };
  } finally {
    await cluster.close();
  }
};
