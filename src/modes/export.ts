import { snapshotId } from '../archive/snapshot.ts';
import type { Backend } from '../backends/backend.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { openCluster } from '../cluster/connect.ts';
import { discover } from '../cluster/discovery.ts';
import type { ExportInputs } from '../inputs.ts';
import { collectSnapshot } from './collect.ts';
import { closeOnFailure, exportVms } from './collect-vms.ts';
import { type Managing, retain, whileManaging } from './managing.ts';
import type { RunExport, RunResult } from './run.ts';
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
    return await whileManaging(inputs, cluster, backend, context, (managing) =>
      exportTo(backend, cluster, inputs, managing),
    );
  } finally {
    await cluster.close();
  }
};

async function exportTo(
  backend: Backend,
  cluster: Cluster,
  inputs: ExportInputs,
  { manager, context, guard }: Managing,
): Promise<RunResult> {
  const { reporter, signal } = context;
  const begun = new Date();
  const namespaces = inputs.namespace ?? [cluster.namespace];
  reporter.info(
    `Exporting the ${nameIncluded(inputs.include)} of ${namespaces.join(', ')} from ${cluster.context} (${cluster.server}).`,
  );
  const snapshot = { id: snapshotId(begun), created: begun };
  const discovery = inputs.include.includes('vms') ? await discover(cluster, signal) : undefined;
  const collecting = { ...snapshot, namespaces, inputs, manager, context, discovery };
  const vms = discovery && (await exportVms(cluster, backend, { ...collecting, discovery }));
  return await closeOnFailure(vms?.store, async () => {
    const summary = { mode: 'export', cluster: cluster.context } as const;
    if (vms?.store.isBare) {
      await vms.store.finish();
      const outputs = bareOutputs(vms);
      const bare = { id: vms.id, layout: 'archive', location: outputs.location ?? inputs.path } as const;
      const kept = await retain(backend, bare, inputs, context);
      return { outputs: { ...outputs, ...kept.outputs }, summary, failed: kept.failed };
    }
    const { id, created } = vms ?? snapshot;
    const collection = collectSnapshot(cluster, { ...collecting, id, created, vms, owned: vms?.owned });
    const written = await storeSnapshot(
      backend,
      { id, created, cluster: cluster.context, entries: guard(collection.entries) },
      inputs,
      context,
    );
    await vms?.store.finish();
    const kept = await retain(backend, written, inputs, context);
    const stored = { ...snapshotOutputs(written), 'artifact-url': written.artifactUrl, ...collection.result() };
    const outputs = { ...(vms === undefined ? stored : withVms(stored, vms)), ...kept.outputs };
    return { outputs, summary, failed: kept.failed };
  });
}
