import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { Context } from '../context.ts';
import { field, maps, namespaceOf, PATHS, pathIn, text, timestamp } from '../objects.ts';

const SNAPSHOT_FINALIZER = 'snapshot.kubevirt.io/vmsnapshot-protection';
const CONTENT_FINALIZER = 'snapshot.kubevirt.io/vmsnapshotcontent-protection';

/**
 * Does for snapshots what virt-controller does: the content object with the machine as it is and its claims, then
 * `readyToUse`. What the volumes hold is kept.
 *
 * @see https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/snapshot/snapshot.go
 */
export async function reconcileSnapshots(context: Context): Promise<void> {
  if (context.isHeld('snapshots')) return;
  for (const snapshot of context.stores().all(PATHS.snapshots)) {
    if (snapshot.metadata.deletionTimestamp === undefined) await take(context, snapshot);
    else await remove(context, snapshot);
  }
}

/** Under which the volumes of a snapshot are kept, beside those of claims. */
export function contentKey(content: KubeObject): string {
  return `content/${content.metadata.name}`;
}

async function take(context: Context, snapshot: KubeObject): Promise<void> {
  if (field(snapshot, 'status', 'readyToUse') === true) return;
  const namespace = namespaceOf(snapshot);
  const path = pathIn(PATHS.snapshots, namespace, snapshot.metadata.name);
  const status = (fields: object) => context.kube.patch(`${path}/status`, { status: fields });
  const vm = context.stores().find(PATHS.machines, namespace, text(snapshot, 'spec', 'source', 'name') ?? '');
  const condition = (type: string, isTrue: boolean, reason: string) => {
    const lastTransitionTime = timestamp(context.clock.now());
    return { type, status: isTrue ? 'True' : 'False', reason, lastProbeTime: null, lastTransitionTime };
  };
  if (vm === undefined) {
    if (text(snapshot, 'status', 'phase') === 'InProgress') return;
    const reason = 'Source does not exist';
    const conditions = [condition('Progressing', false, reason), condition('Ready', false, 'Not ready')];
    await status({ phase: 'InProgress', readyToUse: false, conditions });
    return;
  }
  if (!snapshot.metadata.finalizers?.includes(SNAPSHOT_FINALIZER)) {
    await context.kube.patch(path, { metadata: { finalizers: [SNAPSHOT_FINALIZER] } });
  }
  const name = `vmsnapshot-content-${snapshot.metadata.uid}`;
  const creationTime = timestamp(context.clock.now());
  const included = await createContent(context, snapshot, vm, name, creationTime);
  const isRunning = context.stores().find(PATHS.instances, namespace, vm.metadata.name) !== undefined;
  await status({
    sourceUID: vm.metadata.uid,
    virtualMachineSnapshotContentName: name,
    creationTime,
    phase: 'Succeeded',
    readyToUse: true,
    ...(isRunning ? { indications: ['Online', 'NoGuestAgent'] } : {}),
    snapshotVolumes: { includedVolumes: included },
    conditions: [condition('Progressing', false, 'Operation complete'), condition('Ready', true, 'Operation complete')],
  });
}

/** @returns the names of the volumes in it */
async function createContent(
  context: Context,
  snapshot: KubeObject,
  vm: KubeObject,
  name: string,
  creationTime: string,
): Promise<string[]> {
  const namespace = namespaceOf(snapshot);
  const backups = maps(vm, 'spec', 'template', 'spec', 'volumes').flatMap((volume) => {
    const claimName = text(volume, 'dataVolume', 'name') ?? text(volume, 'persistentVolumeClaim', 'claimName');
    const claim = claimName === undefined ? undefined : context.stores().find(PATHS.claims, namespace, claimName);
    if (claim === undefined) return [];
    const { metadata, spec } = claim;
    const volumeName = text(volume, 'name') ?? '';
    const kept = context.volumes.get(namespace, metadata.name);
    if (kept !== undefined) context.volumes.set(`content/${name}`, metadata.name, kept);
    const copy = { name: metadata.name, namespace, labels: metadata.labels, annotations: metadata.annotations };
    return [
      {
        volumeName,
        persistentVolumeClaim: { metadata: copy, spec },
        volumeSnapshotName: `vmsnapshot-${snapshot.metadata.uid}-volume-${volumeName}`,
      },
    ];
  });
  const { managedFields: _, ...machineMetadata } = vm.metadata;
  await context.kube.create(pathIn(PATHS.contents, namespace), {
    apiVersion: 'snapshot.kubevirt.io/v1beta1',
    kind: 'VirtualMachineSnapshotContent',
    metadata: { name, namespace, finalizers: [CONTENT_FINALIZER] },
    spec: {
      virtualMachineSnapshotName: snapshot.metadata.name,
      source: { virtualMachine: { metadata: machineMetadata, spec: vm.spec, status: vm.status } },
      volumeBackups: backups,
    },
  });
  const states = backups.map(({ volumeSnapshotName }) => ({ volumeSnapshotName, creationTime, readyToUse: true }));
  await context.kube.patch(pathIn(PATHS.contents, namespace, name, 'status'), {
    status: { creationTime, readyToUse: true, volumeSnapshotStatus: states },
  });
  return backups.map(({ volumeName }) => volumeName);
}

async function remove(context: Context, snapshot: KubeObject): Promise<void> {
  const namespace = namespaceOf(snapshot);
  const name = `vmsnapshot-content-${snapshot.metadata.uid}`;
  if (text(snapshot, 'spec', 'deletionPolicy') !== 'Retain') {
    const path = pathIn(PATHS.contents, namespace, name);
    await context.kube.patch(path, { metadata: { finalizers: null } });
    await context.kube.delete(path);
  }
  if ((snapshot.metadata.finalizers ?? []).length > 0) {
    const path = pathIn(PATHS.snapshots, namespace, snapshot.metadata.name);
    await context.kube.patch(path, { metadata: { finalizers: null } });
  }
}
