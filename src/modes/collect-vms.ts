import type { PartStore } from '../archive/part.ts';
import { parseSnapshotId } from '../archive/snapshot.ts';
import type { Backend } from '../backends/backend.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { readIdentity } from '../cluster/identity.ts';
import { TransshipError } from '../errors.ts';
import type { ExportInputs, PromoteInputs } from '../inputs.ts';
import { silentReporter } from '../report/reporter.ts';
import type { VmTarget } from '../vms/choose-vms.ts';
import type { CollectedVms } from '../vms/collect.ts';
import type { RunContext } from './run.ts';
import { refuseDisks } from './store.ts';

/** Virtual machines whose archives are stored, of a snapshot that is still to be. */
export interface ExportedVms extends CollectedVms {
  /** Of the snapshot: the one that was begun, or one that was interrupted and is gone on with. */
  readonly id: string;
  readonly created: Date;
  readonly store: PartStore;
  readonly targets: readonly VmTarget[];
}

/** What virtual machines are exported with. */
export interface ExportVmsOptions {
  readonly id: string;
  readonly created: Date;
  readonly namespaces: readonly string[];
  readonly inputs: ExportInputs | PromoteInputs;
  /** Of the cluster. */
  readonly discovery: Discovery;
  readonly context: RunContext;
}

/** What the inputs choose of the virtual machines. */
export async function chooseTargets(
  cluster: Cluster,
  { namespaces, inputs, discovery, context }: Pick<ExportVmsOptions, 'namespaces' | 'inputs' | 'discovery' | 'context'>,
): Promise<VmTarget[]> {
  const { signal } = context;
  const choice = {
    namespaces,
    vms: inputs.vms,
    snapshots: inputs['vm-snapshots'],
    pvcs: inputs.pvcs,
    selector: inputs.selector,
    // Of both kinds of patterns, those of one word or two can be a machine's.
    exclude: inputs.exclude?.filter((one) => one.split('/').length < 3),
  };
  const { chooseVms } = await import('../vms/choose-vms.ts');
  return chooseVms(cluster, discovery, choice, { signal });
}

/**
 * Exports virtual machines into archives of their own, beside the snapshot's: it names them, and is written after them.
 *
 * @throws TransshipError listing those that failed; what is stored of them stays for the next export to go on with
 */
export async function exportVms(cluster: Cluster, backend: Backend, options: ExportVmsOptions): Promise<ExportedVms> {
  const { inputs, discovery, context } = options;
  const { reporter, signal, env, run } = context;
  const [{ collectVms, scopeOf }, { checkTargets }] = await Promise.all([
    import('../vms/collect.ts'),
    import('../vms/collect-check.ts'),
  ]);
  await refuseDisks(backend, inputs, env);
  const [{ uid }, targets] = await Promise.all([readIdentity(cluster, signal), chooseTargets(cluster, options)]);
  // What can't be exported as it is leaves no unfinished snapshot either.
  await checkTargets(cluster, discovery, targets, inputs['running-vms'], signal);
  const compression = inputs.compression ?? 'xz';
  const encryptTo = inputs['encrypt-to'];
  const store = await backend.beginParts(
    options.id,
    scopeOf(uid, targets, { compression, encryptTo, running: inputs['running-vms'] }),
    signal,
  );
  return closeOnFailure(store, async () => {
    if (store.isBare) checkBare(inputs, targets);
    // The ids of snapshots sort by time.
    if (store.id < options.id) {
      reporter.info(`Going on with snapshot ${store.id}, which was interrupted.`);
    }
    const created = parseSnapshotId(store.id) ?? options.created;
    const collected = await collectVms(cluster, discovery, targets, store, {
      ...{ compression, encryptTo, created, env, reporter, signal, run },
      running: inputs['running-vms'],
      links: inputs['vm-links'],
      ttl: inputs['vm-export-ttl'],
      timeout: inputs.timeout,
      concurrency: inputs.concurrency,
    });
    return { ...collected, id: store.id, created, store, targets };
  });
}

/** Does what is between the parts of a snapshot and the end of its export; after a failure others need not wait. */
export async function closeOnFailure<T>(store: PartStore | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What fails here leaves a lock that ends with the process.
    await store?.close().catch(() => {});
    throw error;
  }
}

/** A file can be the archive of one virtual machine, and then is nothing else. */
function checkBare(inputs: ExportInputs | PromoteInputs, targets: readonly VmTarget[]) {
  const { mode, include } = inputs;
  const path = inputs.mode === 'promote' ? inputs.storage?.path : inputs.path;
  const problem =
    include.length > 1
      ? `include has ${include.join(', ')}`
      : mode === 'promote'
        ? 'promote stores a snapshot'
        : targets.length > 1
          ? `these are ${targets.length}: ${targets.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')}`
          : undefined;
  if (problem === undefined) return;
  throw new TransshipError(
    'INPUT',
    `path: ${JSON.stringify(path)} is one file, which can be the archive of one virtual machine alone, and ${problem}.`,
    {
      hint: mode === 'promote' ? 'Give a folder.' : 'Give a folder, or take one virtual machine only.',
    },
  );
}

/** What belongs to machines that the target reads from this cluster itself: whoever takes all objects leaves it out. */
export async function ownedByTargets(
  cluster: Cluster,
  targets: readonly VmTarget[],
  { inputs, discovery, context: { signal } }: Pick<ExportVmsOptions, 'inputs' | 'discovery' | 'context'>,
): Promise<CollectedVms['owned']> {
  // Without resources nobody takes all objects.
  if (targets.length === 0 || !inputs.include.includes('resources')) return [];
  const [{ describeVm }, { ownedBy }] = await Promise.all([
    import('../vms/describe-vm.ts'),
    import('../vms/export-vm.ts'),
  ]);
  const owned: CollectedVms['owned'][number][] = [];
  for (const target of targets) {
    // What can't be had of it is told when it is cloned.
    owned.push(...ownedBy(target, await describeVm(cluster, discovery, target, { reporter: silentReporter, signal })));
  }
  return owned;
}
