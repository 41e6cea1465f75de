import { suffixOf } from '../archive/compression.ts';
import type { Entry } from '../archive/entry.ts';
import { snapshotEntry, snapshotId } from '../archive/snapshot.ts';
import { writeArchive } from '../archive/write.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { openCluster } from '../cluster/connect.ts';
import { discover } from '../cluster/discovery.ts';
import { readIdentity } from '../cluster/identity.ts';
import { collectCrds } from '../crds/collect.ts';
import type { ExportInputs } from '../inputs.ts';
import { collectReleases, type ReleaseCollection } from '../releases/collect.ts';
import { driversOf } from '../releases/drivers.ts';
import { inTurn } from '../streams.ts';
import type { RunContext, RunExport } from './run.ts';
import { openStorage, snapshotOutputs } from './storage.ts';

/** Writes a snapshot of the cluster to a backend. */
export const run: RunExport = async (inputs, context) => {
  const { reporter, signal, temporaryDirectory, env } = context;
  const { kubeconfig, context: kubeContext, concurrency, compression } = inputs;
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
    const { selector, exclude, history } = inputs;
    reporter.info(`Exporting the releases of ${namespaces.join(', ')} from ${cluster.context} (${cluster.server}).`);
    const collection = collectReleases(cluster, {
      namespaces,
      selector,
      exclude,
      history,
      drivers: driversOf(env.HELM_DRIVER),
      reporter,
      signal,
    });
    const archive = writeArchive(collectEntries(cluster, collection, { id, created, namespaces, inputs, context }), {
      compression,
      mtime: created,
      signal,
    });
    const written = await backend.write(id, suffixOf(compression), archive.bytes, signal);
    const { size, digest } = archive.summary();
    return {
      outputs: {
        ...snapshotOutputs(written),
        size,
        digest,
        'artifact-url': written.artifactUrl,
        releases: collection.result().releases,
      },
      summary: { mode: 'export', cluster: cluster.context },
      failed: false,
    };
  } finally {
    await cluster.close();
  }
};

interface Collecting {
  readonly id: string;
  readonly created: Date;
  readonly namespaces: readonly string[];
  readonly inputs: ExportInputs;
  readonly context: RunContext;
}

/** What an import needs to decide comes before what is large. */
async function* collectEntries(
  cluster: Cluster,
  collection: ReleaseCollection,
  collecting: Collecting,
): AsyncGenerator<Entry> {
  const { reporter, signal } = collecting.context;
  // The first records are on their way while the cluster says who it is.
  yield* inTurn([() => describeSnapshot(cluster, collecting), () => collection.entries], 1);
  const { crdNeeds } = collection.result();
  if (crdNeeds.kinds.size + crdNeeds.resources.size + crdNeeds.names.size === 0) return;
  const crds = await collectCrds(cluster, await discover(cluster, signal), crdNeeds, reporter, signal);
  if (crds.entry !== undefined) yield crds.entry;
}

async function* describeSnapshot(
  cluster: Cluster,
  { id, created, namespaces, inputs, context }: Collecting,
): AsyncGenerator<Entry> {
  const { include, selector, exclude, history } = inputs;
  const { uid, version } = await readIdentity(cluster, context.signal);
  yield snapshotEntry({
    id,
    created,
    tool: { name: 'transship', version: context.version },
    cluster: { uid, version, context: cluster.context },
    scope: { namespaces, include, selector, exclude, history },
  });
}
