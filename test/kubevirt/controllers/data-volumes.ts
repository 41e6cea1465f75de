import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isMap } from '../../../src/values.ts';
import { type Context, keyOf } from '../context.ts';
import { blankDisk, MIB } from '../disks.ts';
import {
  ANNOTATIONS,
  annotation,
  bytesOfQuantity,
  type Condition,
  field,
  isSame,
  maps,
  namespaceOf,
  ownedBy,
  PATHS,
  pathIn,
  text,
  withCondition,
} from '../objects.ts';
import { phaseOf } from '../pods.ts';
import { dataVolumeOf } from './export-sources.ts';

/** The share of a file system that its own structures take, as CDI reckons. */
const OVERHEAD = 0.055;

/**
 * Does for DataVolumes what CDI does: the claim, then the phase as the claim's annotations have it. A source other than
 * `upload` and `http` is there at once: with what a test has put into the claim, with a copy for `pvc`, with zeros for
 * `blank`.
 *
 * @see https://github.com/kubevirt/containerized-data-importer/tree/main/pkg/controller/datavolume
 */
export async function reconcileDataVolumes(context: Context): Promise<void> {
  for (const dataVolume of context.stores().all(PATHS.dataVolumes)) {
    if (dataVolume.metadata.deletionTimestamp === undefined) await reconcile(context, dataVolume);
  }
}

/** Whether a claim can be bound: by now, or as soon as a pod uses it. */
export async function isBindable(context: Context, claim: KubeObject): Promise<boolean> {
  if (phaseOf(claim) === 'Bound') return true;
  if (!(await waitsForConsumer(context, claim))) return false;
  return annotation(claim, ANNOTATIONS.bindNow) !== undefined;
}

/** Bytes of a disk that a claim has room for. */
export function roomOf(context: Context, claim: KubeObject): number {
  const dataVolume = dataVolumeOf(context, claim);
  const asked = field(dataVolume, 'spec', 'storage', 'resources', 'requests', 'storage');
  if (asked !== undefined) return bytesOfQuantity(asked);
  const request = bytesOfQuantity(field(claim, 'spec', 'resources', 'requests', 'storage'));
  return text(claim, 'spec', 'volumeMode') === 'Block' ? request : Math.floor(request * (1 - OVERHEAD));
}

async function reconcile(context: Context, dataVolume: KubeObject): Promise<void> {
  const namespace = namespaceOf(dataVolume);
  const { name } = dataVolume.metadata;
  const claim = context.stores().find(PATHS.claims, namespace, name);
  if (claim === undefined) {
    await createClaim(context, dataVolume);
    return;
  }
  const { phase, progress } = await phaseFor(context, dataVolume, claim);
  const before = isMap(dataVolume.status) ? dataVolume.status : {};
  const isBound = phaseOf(claim) === 'Bound';
  const isRunning = annotation(claim, ANNOTATIONS.podReady) === 'true';
  const isDone = phase === 'Succeeded';
  const failure = annotation(claim, 'cdi.kubevirt.io/storage.condition.running.message');
  const conditions = [
    condition('Bound', isBound, isBound ? 'Bound' : 'Pending', isBound ? `PVC ${name} Bound` : `PVC ${name} Pending`),
    condition('Ready', isDone, isDone ? '' : 'TransferRunning'),
    condition('Running', isRunning && !isDone, isDone ? 'Completed' : isRunning ? 'Pod is running' : 'Error', failure),
  ].reduce(withCondition, maps(before, 'conditions'));
  const restartCount = Number(annotation(claim, ANNOTATIONS.podRestarts) ?? 0);
  const status = { ...before, claimName: name, phase, progress, restartCount, conditions };
  if (!isSame(status, before)) {
    await context.kube.patch(pathIn(PATHS.dataVolumes, namespace, name, 'status'), { status });
  }
}

function condition(type: string, isTrue: boolean, reason: string, message = ''): Condition {
  return { type, status: isTrue ? 'True' : 'False', reason, message };
}

async function phaseFor(
  context: Context,
  dataVolume: KubeObject,
  claim: KubeObject,
): Promise<{ phase: string; progress: string }> {
  const source = field(dataVolume, 'spec', 'source');
  const podPhase = annotation(claim, ANNOTATIONS.podPhase);
  const progress = podPhase === 'Succeeded' ? '100.0%' : 'N/A';
  if (podPhase === 'Succeeded') return { phase: 'Succeeded', progress };
  if (!(await isBindable(context, claim))) {
    return { phase: (await waitsForConsumer(context, claim)) ? 'WaitForFirstConsumer' : 'Pending', progress };
  }
  const isReady = annotation(claim, ANNOTATIONS.podReady) === 'true';
  if (field(source, 'upload') !== undefined) return { phase: isReady ? 'UploadReady' : 'UploadScheduled', progress };
  if (field(source, 'http') !== undefined) {
    if (annotation(claim, 'cdi.kubevirt.io/storage.import.fatalError') === 'true') return { phase: 'Failed', progress };
    return { phase: podPhase === 'Running' ? 'ImportInProgress' : 'ImportScheduled', progress };
  }
  if (phaseOf(claim) !== 'Bound') return { phase: 'Pending', progress };
  fill(context, claim, source);
  return { phase: 'Succeeded', progress: '100.0%' };
}

/** What a claim holds whose source needs no transfer here. */
function fill(context: Context, claim: KubeObject, source: unknown): void {
  const namespace = namespaceOf(claim);
  const { name } = claim.metadata;
  if (context.volumes.get(namespace, name) !== undefined) return;
  const from = field(source, 'pvc');
  const copied = context.volumes.get(text(from, 'namespace') ?? namespace, text(from, 'name') ?? '');
  context.volumes.set(namespace, name, copied ?? { disk: blankDisk(roomOf(context, claim)) });
}

async function createClaim(context: Context, dataVolume: KubeObject): Promise<void> {
  const namespace = namespaceOf(dataVolume);
  const { name, uid, labels, annotations } = dataVolume.metadata;
  const source = field(dataVolume, 'spec', 'source');
  const isUpload = field(source, 'upload') !== undefined;
  const url = text(source, 'http', 'url');
  await context.kube.create(pathIn(PATHS.claims, namespace), {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name,
      namespace,
      labels: { ...labels, app: 'containerized-data-importer' },
      annotations: {
        ...annotations,
        [ANNOTATIONS.contentType]: text(dataVolume, 'spec', 'contentType') ?? 'kubevirt',
        [ANNOTATIONS.usePopulator]: 'false',
        [ANNOTATIONS.createdFor]: uid,
        ...(isUpload ? { [ANNOTATIONS.uploadTarget]: '' } : {}),
        ...(url === undefined ? {} : { [ANNOTATIONS.importEndpoint]: url }),
      },
      ...ownedBy(dataVolume),
    },
    spec: claimSpec(dataVolume),
  });
  context.received.delete(keyOf(namespace, name));
}

function claimSpec(dataVolume: KubeObject): object {
  const given = field(dataVolume, 'spec', 'pvc');
  if (isMap(given)) return given;
  const storage = field(dataVolume, 'spec', 'storage');
  const { accessModes = ['ReadWriteOnce'], volumeMode = 'Filesystem', ...rest } = isMap(storage) ? storage : {};
  const asked = bytesOfQuantity(field(storage, 'resources', 'requests', 'storage'));
  // Room for the file system itself is added, in whole MiB.
  const size = volumeMode === 'Block' ? asked : Math.ceil(asked / (1 - OVERHEAD) / MIB) * MIB;
  return { ...rest, accessModes, volumeMode, resources: { requests: { storage: String(size) } } };
}

async function waitsForConsumer(context: Context, claim: KubeObject): Promise<boolean> {
  const name = text(claim, 'spec', 'storageClassName');
  if (name === undefined) return false;
  const storageClass = await context.kube.get(`/apis/storage.k8s.io/v1/storageclasses/${name}`);
  return text(storageClass, 'volumeBindingMode') === 'WaitForFirstConsumer';
}
