import { snapshotId } from '../archive/snapshot.ts';
import { type Spool, spoolEntries } from '../archive/spool.ts';
import { writeTree } from '../archive/tree.ts';
import type { Backend, WrittenSnapshot } from '../backends/backend.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { openCluster } from '../cluster/connect.ts';
import { discover } from '../cluster/discovery.ts';
import type { PromoteInputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';
import type { VmResult } from '../report/results.ts';
import { carryOut } from './carry-out.ts';
import { collectSnapshot } from './collect.ts';
import { chooseTargets, closeOnFailure, type ExportVmsOptions, exportVms, ownedByTargets } from './collect-vms.ts';
import { archivesOf, fromArchives, fromCluster, openParts } from './import-vms.ts';
import { beginImport, helmOf, openTarget, readTransforms, type VmsOfSnapshot } from './importing.ts';
import { planImport } from './plan.ts';
import type { RunContext, RunPromote } from './run.ts';
import { nameIncluded, openStorage, snapshotOutputs, withVms } from './storage.ts';
import { storeSnapshot } from './store.ts';

/** Exports from one cluster and imports into another in one step. */
export const run: RunPromote = async (inputs, context) => {
  const transforms = await readTransforms(inputs);
  const helm = inputs.include.includes('releases') ? await helmOf(inputs, context) : undefined;
  // Whether the target can be reached is known before anything is read.
  const cluster = await openTarget(inputs, context);
  try {
    const source = await openFrom(inputs, context);
    try {
      const { spool, written, vms, results } = await collect(source, inputs, context);
      try {
        const location = written?.location;
        const importing = await beginImport(inputs, context, { cluster, spool, helm, transforms, location, vms });
        const stored =
          written === undefined ? { snapshot: importing.snapshot.id } : storedOutputs(written, { results });
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
      await source.close();
    }
  } finally {
    await cluster.close();
  }
};

function openFrom({ kubeconfig, context }: PromoteInputs, { temporaryDirectory, reporter, env }: RunContext) {
  return openCluster({ kubeconfig, context, concurrency: 8, temporaryDirectory, reporter, env });
}

function storedOutputs(written: WrittenSnapshot, { results }: Pick<Collected, 'results'>): Outputs {
  const outputs = { ...snapshotOutputs(written), 'artifact-url': written.artifactUrl };
  return withVms(outputs, { results });
}

/** What was read of the source. */
interface Collected {
  readonly spool: Spool;
  /** Where that is asked for. */
  readonly written: WrittenSnapshot | undefined;
  readonly vms: VmsOfSnapshot | undefined;
  /** Of virtual machines that are stored. */
  readonly results: readonly VmResult[];
}

/**
 * Reads the source into a temporary file of this run, and stores it where that is asked for. The disks of virtual machines
 * come from where they are stored; of those that are not, the target reads them from the source.
 */
async function collect(source: Cluster, inputs: PromoteInputs, context: RunContext): Promise<Collected> {
  const { reporter, signal, temporaryDirectory } = context;
  const begun = new Date();
  const namespaces = inputs.namespace ?? [source.namespace];
  reporter.info(
    `Reading the ${nameIncluded(inputs.include)} of ${namespaces.join(', ')} from ${source.context} (${source.server}).`,
  );
  const takesVms = inputs.include.includes('vms');
  // A plan stores no disks, and stops no machine to read them.
  const storage = takesVms && inputs['dry-run'] ? undefined : inputs.storage;
  const stored = storage && { ...inputs, ...storage };
  const backend = stored && openStorage(stored);
  const discovery = takesVms ? await discover(source, signal) : undefined;
  const collecting = { id: snapshotId(begun), created: begun, namespaces, inputs, context, discovery };
  const machines = discovery && (await takeVms(source, backend, { ...collecting, discovery }));
  const exported = machines?.exported;
  return closeOnFailure(exported?.store, async () => {
    const { id, created } = exported ?? collecting;
    const collection = collectSnapshot(source, { ...collecting, id, created, vms: exported, owned: machines?.owned });
    const spool = await spoolEntries(writeTree(collection.entries, signal).entries, {
      directory: temporaryDirectory,
      signal,
    });
    try {
      if (backend === undefined || stored === undefined) {
        return { spool, written: undefined, vms: machines?.cloned, results: [] };
      }
      const snapshot = { id, created, cluster: source.context, entries: entriesOf(spool) };
      const written = await storeSnapshot(backend, snapshot, stored, context);
      await exported?.store.finish();
      const { parts = [], results = [] } = exported ?? {};
      if (machines !== undefined && inputs['encrypt-to'] !== undefined) {
        // What is stored can't be read back without the identity, which nobody has given.
        return { spool, written, vms: machines.cloned, results };
      }
      const archives = archivesOf(parts, `snapshot ${id}`, openParts(backend, written, temporaryDirectory, signal));
      const prepare = fromArchives(archives, []);
      return { spool, written, vms: { namespaces: parts.map(({ namespace }) => namespace), prepare }, results };
    } catch (error) {
      await spool.close();
      throw error;
    }
  });
}

/** Exports virtual machines where they are to be stored; else just chooses them, for the target to read. */
async function takeVms(source: Cluster, backend: Backend | undefined, options: ExportVmsOptions) {
  const exported = backend && (await exportVms(source, backend, options));
  const targets = exported?.targets ?? (await chooseTargets(source, options));
  const owned = exported?.owned ?? (await ownedByTargets(source, targets, options));
  const cloned: VmsOfSnapshot = {
    namespaces: targets.map(({ namespace }) => namespace),
    prepare: fromCluster({ cluster: source, discovery: options.discovery }, targets),
  };
  return { exported, owned, cloned };
}

async function* entriesOf(spool: Spool) {
  for (const path of spool.paths()) yield spool.entry(path);
}
