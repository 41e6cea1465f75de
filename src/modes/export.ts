import { snapshotId } from '../archive/snapshot.ts';
import { openCluster } from '../cluster/connect.ts';
import { collectSnapshot } from './collect.ts';
import { exportVms } from './collect-vms.ts';
import type { RunExport } from './run.ts';
import { bareOutputs, nameIncluded, openStorage, snapshotOutputs, withVms } from './storage.ts';
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
    const begun = new Date();
    const namespaces = inputs.namespace ?? [cluster.namespace];
    reporter.info(
      `Exporting the ${nameIncluded(inputs.include)} of ${namespaces.join(', ')} from ${cluster.context} (${cluster.server}).`,
    );
    const vms = inputs.include.includes('vms')
      ? await exportVms(cluster, backend, { id: snapshotId(begun), created: begun, namespaces, inputs, context })
      : undefined;
    const summary = { mode: 'export', cluster: cluster.context } as const;
    if (vms?.store.isBare) {
      return { outputs: bareOutputs(vms), summary, failed: false };
    }
    const { id, created } = vms ?? { id: snapshotId(begun), created: begun };
    const collection = collectSnapshot(cluster, { id, created, namespaces, inputs, context, vms, owned: vms?.owned });
    const written = await storeSnapshot(
      backend,
      { id, created, cluster: cluster.context, entries: collection.entries },
      inputs,
      context,
    );
    await vms?.store.finish();
    const outputs = { ...snapshotOutputs(written), 'artifact-url': written.artifactUrl, ...collection.result() };
    return { outputs: vms === undefined ? outputs : withVms(outputs, vms), summary, failed: false };
  } finally {
    await cluster.close();
  }
};
