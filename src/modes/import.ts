import { parseSnapshot, SNAPSHOT_PATH, type Snapshot } from '../archive/snapshot.ts';
import type { Spool } from '../archive/spool.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { openCluster } from '../cluster/connect.ts';
import { discover } from '../cluster/discovery.ts';
import { runProgram } from '../exec.ts';
import { formatDuration, type ImportInputs } from '../inputs.ts';
import { countOutcomes, hasChanges, type Outputs } from '../outputs.ts';
import { findHelm, type Helm } from '../releases/helm.ts';
import { prepareRestore, type ReleaseRestore } from '../releases/restore.ts';
import { prepareResources } from '../resources/prepare.ts';
import { type ResourceRestore, restoreResources } from '../resources/restore.ts';
import { findKinds, isReleasePattern } from '../resources/selection.ts';
import { namespaceMapOf } from '../transforms/namespace-map.ts';
import { type Content, readContent } from './content.ts';
import type { RunContext, RunImport } from './run.ts';
import { openSnapshot, openStorage, snapshotOutputs } from './storage.ts';

/** Requests at once for plain objects; of releases, each has a Helm of its own that also sends some. */
const REQUESTS_AT_ONCE = 16;

/** Brings a snapshot into the cluster. */
export const run: RunImport = async (inputs, context) => {
  const { reporter, signal, temporaryDirectory, env } = context;
  const backend = openStorage(inputs);
  // Where releases are asked for by name, a Helm that is missing is said before anything is downloaded.
  const early = inputs.include?.includes('releases') === true ? await helmOf(inputs, context) : undefined;
  const cluster = await openCluster({
    kubeconfig: inputs.kubeconfig,
    context: inputs.context,
    concurrency: Math.max(REQUESTS_AT_ONCE, inputs.concurrency * 2),
    temporaryDirectory,
    reporter,
    env,
  });
  try {
    const stored = await backend.find(inputs.snapshot);
    reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
    const spool = await openSnapshot(backend, stored, { directory: temporaryDirectory, digest: inputs.digest, signal });
    try {
      const snapshot = parseSnapshot(await spool.read(SNAPSHOT_PATH));
      const content = readContent(spool.paths(), inputs.include, inputs.namespace ?? []);
      if (!content.releases && !content.resources) reporter.warn('The snapshot is empty.', 'Nothing to import');
      const helm = content.releases ? (early ?? (await helmOf(inputs, context))) : undefined;
      const by = helm === undefined ? '' : ` with Helm ${helm.version}`;
      reporter.info(`Importing into ${cluster.context} (${cluster.server})${by}.`);
      const restored = await restore({ inputs, context, cluster, spool, snapshot, content, helm });
      const counts = countOutcomes(restored.releases ?? [], restored.resources);
      const outputs = { ...snapshotOutputs(stored), digest: spool.digest, size: spool.size };
      return {
        outputs: { ...outputs, ...restored, counts, changed: hasChanges(counts) || counts.failed > 0 },
        summary: { mode: 'import', cluster: cluster.context },
        failed: counts.failed > 0 || counts.skipped > 0 || signal.aborted,
      };
    } finally {
      await spool.close();
    }
  } finally {
    await cluster.close();
  }
};

function helmOf(inputs: ImportInputs, { reporter }: RunContext): Promise<Helm> {
  return findHelm(runProgram, inputs['helm-version'], async (version) => {
    reporter.progress(`Downloading Helm ${version}`);
    return (await import('../tool-cache.ts')).downloadHelm(version);
  });
}

interface Importing {
  readonly inputs: ImportInputs;
  readonly context: RunContext;
  readonly cluster: Cluster;
  readonly spool: Spool;
  readonly snapshot: Snapshot;
  readonly content: Content;
  readonly helm: Helm | undefined;
}

/**
 * Checks all that can be checked, of releases and of resources, before anything changes. Then what releases may need comes
 * before them, and what may need releases (workloads, custom resources, webhooks) after.
 */
async function restore(importing: Importing): Promise<Pick<Outputs, 'releases' | 'resources' | 'failures'>> {
  const { content } = importing;
  const releases = importing.helm === undefined ? undefined : await prepareReleases(importing, importing.helm);
  const resources = content.resources ? await prepareObjects(importing, releases?.crds ?? new Set()) : undefined;

  // From here on the cluster changes.
  await releases?.applyCrds();
  await resources?.before();
  const installed = await releases?.install();
  await resources?.after();
  return { releases: installed, ...resources?.result() };
}

function prepareReleases({ inputs, context, ...importing }: Importing, helm: Helm): Promise<ReleaseRestore> {
  const { cluster, spool, snapshot, content } = importing;
  const { reporter, signal, temporaryDirectory, env } = context;
  const { timeout } = inputs;
  return prepareRestore(spool, {
    choice: {
      namespaces: inputs.namespace ?? [],
      selector: inputs.selector,
      exclude: (inputs.exclude ?? []).filter(
        (one) => !content.resources || isReleasePattern(one, snapshot.kinds ?? []),
      ),
      history: inputs.history,
    },
    mayBeEmpty: content.resources,
    namespaceMap: namespaceMapOf(inputs['namespace-map']),
    origin: originOf(snapshot),
    helm,
    runProgram,
    cluster,
    env,
    temporaryDirectory,
    timeout: formatDuration(timeout),
    crdTimeout: timeout,
    wait: inputs.wait,
    noHooks: inputs['no-hooks'],
    replace: inputs.replace,
    concurrency: inputs.concurrency,
    reporter,
    signal,
  });
}

async function prepareObjects(importing: Importing, otherCrds: ReadonlySet<string>): Promise<ResourceRestore> {
  const { inputs, context, cluster, spool, snapshot, content } = importing;
  const { reporter, signal } = context;
  const kinds = snapshot.kinds ?? [];
  const restoreStatus = inputs['restore-status'] ?? [];
  const withStatus = new Set(
    restoreStatus
      .flatMap((name) => findKinds(name, kinds, 'restore-status', 'the snapshot'))
      .map(({ group, kind }) => `${group}/${kind}`),
  );
  const discovery = await discover(cluster, signal);
  const work = await prepareResources(spool, {
    cluster,
    discovery,
    kinds,
    origin: originOf(snapshot),
    choice: {
      namespaces: inputs.namespace ?? [],
      selector: inputs.selector,
      exclude: inputs.exclude ?? [],
      alsoReleases: content.releases,
    },
    namespaceMap: namespaceMapOf(inputs['namespace-map']),
    replace: inputs.replace,
    recreate: inputs.recreate,
    restoreStatus,
    otherCrds,
    concurrency: REQUESTS_AT_ONCE,
    reporter,
    signal,
  });
  return restoreResources(work, {
    cluster,
    discovery,
    restoreStatus: (kind, group) => withStatus.has(`${group}/${kind}`),
    timeout: inputs.timeout,
    concurrency: REQUESTS_AT_ONCE,
    reporter,
    signal,
  });
}

function originOf({ id, cluster }: Snapshot): string {
  return `snapshot ${id} of ${cluster.context}`;
}
