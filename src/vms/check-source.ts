import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { describeStatus, inUse, nameSource, notFound, type VmSource } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { CLAIMS, findIn, type NamespacedKind } from './temporary-objects.ts';

/**
 * Refuses what can't be exported before anything is made for it: KubeVirt itself would leave it pending.
 *
 * @param purpose - what it is for, such as `Exporting the VM shop/web`
 * @throws TransshipError `CLUSTER` when it does not exist, runs or has failed
 */
export async function checkSource(
  cluster: Cluster,
  discovery: Discovery,
  source: VmSource,
  purpose: string,
  signal?: AbortSignal,
): Promise<void> {
  const find = (kind: NamespacedKind) => findIn(cluster, kind, source, purpose, signal);
  const { context } = cluster;
  if (source.kind === 'pvc') {
    const claim = await find(CLAIMS);
    if (claim === undefined) throw notFound(source);
    if (phaseOf(claim) === 'Lost') throw broken(source, claim);
    return;
  }
  if (source.kind === 'snapshot') {
    const snapshot = await find(needVmKind(discovery, 'VirtualMachineSnapshot', context));
    if (snapshot === undefined) throw notFound(source);
    if (phaseOf(snapshot) === 'Failed') throw broken(source, snapshot);
    return;
  }
  if ((await find(needVmKind(discovery, 'VirtualMachine', context))) === undefined) throw notFound(source);
  const instance = await find(needVmKind(discovery, 'VirtualMachineInstance', context));
  // One that is being deleted is on its way to be off.
  if (isActive(instance) && instance?.metadata.deletionTimestamp === undefined) throw inUse(source);
}

/** Whether a VirtualMachineInstance has not come to its end: only then its disks are in use. */
export function isActive(instance: KubeObject | undefined): boolean {
  return instance !== undefined && !['Succeeded', 'Failed'].includes(phaseOf(instance) ?? '');
}

function phaseOf({ status }: KubeObject): string | undefined {
  return isMap(status) && typeof status.phase === 'string' ? status.phase : undefined;
}

function broken(source: VmSource, object: KubeObject): TransshipError {
  return new TransshipError('CLUSTER', `The ${nameSource(source)} can't be exported: ${describeStatus(object)}.`, {
    hint: source.kind === 'snapshot' ? 'Take another snapshot.' : 'Its volume is gone.',
  });
}
