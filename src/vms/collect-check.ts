import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import { silentReporter } from '../report/reporter.ts';
import { mapInOrder } from '../streams.ts';
import { mapsIn } from '../values.ts';
import { checkSource } from './check-source.ts';
import type { VmTarget } from './choose-vms.ts';
import { inOrderOf, joinFailures, type VmFailure } from './collect-failures.ts';
import { describeVm } from './describe-vm.ts';
import type { VmDescription } from './description.ts';
import { inUse, nameSource } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { checkSnapshot } from './snapshot-object.ts';
import { isVmRunning } from './stop-vm.ts';
import { mapIn, textIn } from './vm-references.ts';

/** What is done about a VM that runs. */
export type RunningVms = 'error' | 'snapshot' | 'stop';

const AT_ONCE = 8;

/** Of the pod that serves an export. */
const EXPORTER_LABEL = 'kubevirt.io.virt-export-service';

/**
 * Looks at all targets before anything is made for any of them.
 *
 * @throws TransshipError naming all that can't be exported, as far as that can be known, with the ways out
 */
export async function checkTargets(
  cluster: Cluster,
  discovery: Discovery,
  targets: readonly VmTarget[],
  running: RunningVms,
  signal: AbortSignal | undefined,
): Promise<void> {
  const failures: VmFailure[] = [];
  const on: VmTarget[] = [];
  const usersOf = createUsers(cluster, signal);
  let hasVolumes = false;

  async function check(target: VmTarget): Promise<void> {
    const purpose = `Exporting the ${nameSource(target)}`;
    if (target.kind !== 'vm') await checkSource(cluster, discovery, target, purpose, signal);
    // What there is to warn of is told when it is exported.
    const description = await describeVm(cluster, discovery, target, { reporter: silentReporter, signal });
    if (description.volumes.length === 0) return;
    hasVolumes = true;
    const isOn = target.kind === 'vm' && (await isVmRunning(cluster, discovery, target, signal));
    if (isOn && running === 'error') on.push(target);
    if (isOn && running === 'snapshot') {
      await checkSnapshot(cluster, discovery, target, signal);
      refuseEphemeral(target, description);
    }
    if (!isOn) await refuseUsed(target, description);
  }

  async function refuseUsed(target: VmTarget, { volumes }: VmDescription): Promise<void> {
    const { namespace } = target;
    for (const { pvc } of volumes.filter(({ alone }) => target.kind === 'pvc' || alone)) {
      const users = await usersOf(namespace, pvc);
      if (users.length === 0) continue;
      throw inUse({ kind: 'pvc', namespace, name: pvc }, `by ${users.map((name) => `the pod ${name}`).join(', ')}`);
    }
  }

  const checked = mapInOrder(targets, AT_ONCE, async (target) => {
    try {
      await check(target);
    } catch (error) {
      if (signal?.aborted) throw error;
      failures.push({ sources: [target], error });
    }
  });
  for await (const _ of checked);
  if (hasVolumes) needVmKind(discovery, 'VirtualMachineExport', cluster.context);
  failures.sort(inOrderOf(targets));
  on.sort((a, b) => targets.indexOf(a) - targets.indexOf(b));
  const [first] = on;
  if (first !== undefined) failures.unshift({ sources: on, error: on.length === 1 ? inUse(first) : areRunning(on) });
  if (failures.length > 0) throw joinFailures(failures, targets.length, 'can not be exported as they are');
}

function areRunning(targets: readonly VmTarget[]): TransshipError {
  const names = targets.map(({ namespace, name }) => `${namespace}/${name}`).join(', ');
  return new TransshipError('CLUSTER', `The VMs ${names} are running; only those that are off can be read.`, {
    hint: 'Set `running-vms: snapshot` to export snapshots of them, or `running-vms: stop` to stop each for the time of its export.',
  });
}

/** A snapshot does not hold what a machine only reads, and while that is in use it can't be exported either. */
function refuseEphemeral(target: VmTarget, { volumes }: VmDescription): void {
  const claims = volumes.filter(({ use }) => use === 'ephemeral').map(({ pvc }) => pvc);
  if (claims.length === 0) return;
  const what = nameSource(target);
  throw new TransshipError(
    'CLUSTER',
    `A snapshot of the ${what} would be without what its ephemeral volumes read from: ${claims.join(', ')}.`,
    { hint: 'Set `running-vms: stop`, or export it when it is off.' },
  );
}

/** The pods that use a claim; none where they may not be looked at, for then KubeVirt says it later. */
function createUsers(cluster: Cluster, signal: AbortSignal | undefined) {
  const pods = new Map<string, Promise<KubeObject[]>>();
  async function list(namespace: string): Promise<KubeObject[]> {
    const found: KubeObject[] = [];
    try {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
      for await (const pod of cluster.list(path, { withoutManagedFields: true, signal })) found.push(pod);
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    }
    return found;
  }
  return async (namespace: string, claim: string): Promise<string[]> => {
    const listed = pods.get(namespace) ?? list(namespace);
    pods.set(namespace, listed);
    return (await listed)
      .filter(({ metadata: { labels, deletionTimestamp }, spec, status }) => {
        const isOver = ['Succeeded', 'Failed'].includes(textIn(status, 'phase') ?? '');
        const volumes = mapsIn(mapIn(spec).volumes);
        // An export that was left behind is gone on with, or taken away.
        if (isOver || deletionTimestamp !== undefined || labels?.[EXPORTER_LABEL] !== undefined) return false;
        return volumes.some((volume) => textIn(volume, 'persistentVolumeClaim', 'claimName') === claim);
      })
      .map(({ metadata }) => metadata.name);
  };
}
