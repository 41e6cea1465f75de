import type { Cluster, KubeObject, ObjectMeta } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import { isMap, mapsIn } from '../values.ts';
import type { VmSource } from './export-object.ts';
import { describeStatus, nameSource, notFound } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { findIn } from './temporary-objects.ts';
import { mapIn, textIn } from './vm-references.ts';

/** A machine as it is, or as it was when a snapshot was taken. */
export interface Machine {
  readonly vm: KubeObject;
  /** The claims a snapshot has, in its order, without a status; undefined of a machine as it is. */
  readonly backups: readonly KubeObject[] | undefined;
}

/**
 * Reads the machine that a source is about.
 *
 * @throws TransshipError `CLUSTER` when there is none; `NOT_SERVED`; ClusterError
 */
export async function readMachine(
  cluster: Cluster,
  discovery: Discovery,
  source: VmSource,
  signal: AbortSignal | undefined,
): Promise<Machine> {
  const purpose = `Exporting the ${nameSource(source)}`;
  const { context } = cluster;
  if (source.kind === 'vm') {
    const kind = needVmKind(discovery, 'VirtualMachine', context);
    const vm = await findIn(cluster, kind, source, purpose, signal);
    if (vm === undefined) throw notFound(source);
    return { vm: templated(vm, source), backups: undefined };
  }
  const kind = needVmKind(discovery, 'VirtualMachineSnapshot', context);
  const snapshot = await findIn(cluster, kind, source, purpose, signal);
  if (snapshot === undefined) throw notFound(source);
  const name = textIn(snapshot.status, 'virtualMachineSnapshotContentName');
  if (name === undefined) throw empty(source, describeStatus(snapshot));
  const contents = needVmKind(discovery, 'VirtualMachineSnapshotContent', context);
  const content = await findIn(cluster, contents, { ...source, name }, purpose, signal);
  if (content === undefined) throw empty(source, `its VirtualMachineSnapshotContent ${name} does not exist`);
  const { apiVersion } = needVmKind(discovery, 'VirtualMachine', context);
  const metadata = mapIn(content.spec, 'source', 'virtualMachine', 'metadata');
  if (!isNamed(metadata)) throw empty(source, `its VirtualMachineSnapshotContent ${name} has no VirtualMachine`);
  const saved = mapIn(content.spec, 'source', 'virtualMachine');
  const vm = { apiVersion, kind: 'VirtualMachine', ...saved, metadata: { ...metadata, namespace: source.namespace } };
  return {
    vm: templated(vm, source),
    backups: mapsIn(mapIn(content.spec).volumeBackups).flatMap((one) => readBackup(one, source)),
  };
}

/** @throws TransshipError when it is no machine that KubeVirt could start */
function templated(vm: KubeObject, source: VmSource): KubeObject {
  if (isMap(mapIn(vm.spec, 'template').spec)) return vm;
  throw new TransshipError('CLUSTER', `The ${nameSource(source)} has no spec.template.spec.`, {
    hint: 'Leave it out with `exclude`, or repair it.',
  });
}

function readBackup({ persistentVolumeClaim }: Record<string, unknown>, { namespace }: VmSource): KubeObject[] {
  const { metadata, spec } = mapIn(persistentVolumeClaim);
  if (!isMap(metadata) || !isNamed(metadata)) return [];
  return [{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { ...metadata, namespace }, spec }];
}

function isNamed(metadata: Record<string, unknown>): metadata is ObjectMeta {
  return typeof metadata.name === 'string';
}

function empty(source: VmSource, state: string): TransshipError {
  return new TransshipError('CLUSTER', `The ${nameSource(source)} has no content to export: ${state}.`, {
    hint: `\`kubectl describe vmsnapshot -n ${source.namespace} ${source.name}\` says why. Wait until it is ready, or take another.`,
  });
}
