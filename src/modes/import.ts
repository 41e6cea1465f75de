import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { spoolArchive } from '../archive/spool.ts';
import { openCluster } from '../cluster/connect.ts';
import { runProgram } from '../exec.ts';
import { formatDuration } from '../inputs.ts';
import { countReleases, hasChanges } from '../outputs.ts';
import { findHelm } from '../releases/helm.ts';
import { restoreReleases } from '../releases/restore.ts';
import { namespaceMapOf } from '../transforms/namespace-map.ts';
import type { RunImport } from './run.ts';
import { openStorage, snapshotOutputs } from './storage.ts';

/** Brings a snapshot into the cluster. */
export const run: RunImport = async (inputs, context) => {
  const { reporter, signal, temporaryDirectory, env } = context;
  const { kubeconfig, context: kubeContext, concurrency, replace, wait, timeout, digest } = inputs;
  const backend = openStorage(inputs);
  const helm = await findHelm(runProgram, inputs['helm-version'], async (version) => {
    reporter.progress(`Downloading Helm ${version}`);
    return (await import('../tool-cache.ts')).downloadHelm(version);
  });
  const cluster = await openCluster({
    kubeconfig,
    context: kubeContext,
    concurrency: Math.max(8, concurrency * 2),
    temporaryDirectory,
    reporter,
    env,
  });
  try {
    const stored = await backend.find(inputs.snapshot);
    reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
    const spool = await spoolArchive(backend.read(stored, signal), { directory: temporaryDirectory, digest, signal });
    try {
      const snapshot = parseSnapshot(await spool.read(SNAPSHOT_PATH));
      reporter.info(`Importing into ${cluster.context} (${cluster.server}) with Helm ${helm.version}.`);
      const releases = await restoreReleases(spool, {
        choice: {
          namespaces: inputs.namespace ?? [],
          selector: inputs.selector,
          exclude: inputs.exclude ?? [],
          history: inputs.history,
        },
        namespaceMap: namespaceMapOf(inputs['namespace-map']),
        origin: `snapshot ${snapshot.id} of ${snapshot.cluster.context}`,
        helm,
        runProgram,
        cluster,
        env,
        temporaryDirectory,
        timeout: formatDuration(timeout),
        crdTimeout: timeout,
        wait,
        noHooks: inputs['no-hooks'],
        replace,
        concurrency,
        reporter,
        signal,
      });
      const counts = countReleases(releases);
      const outputs = { ...snapshotOutputs(stored), digest: spool.digest, size: spool.size };
      return {
        outputs: { ...outputs, releases, counts, changed: hasChanges(counts) || counts.failed > 0 },
        summary: { mode: 'import', cluster: cluster.context },
        failed: counts.failed > 0 || signal.aborted,
      };
    } finally {
      await spool.close();
    }
  } finally {
    await cluster.close();
  }
};
