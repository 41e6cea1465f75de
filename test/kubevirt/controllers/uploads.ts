import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type Context, keyOf } from '../context.ts';
import { ANNOTATIONS, annotation, nameFor, namespaceOf, PATHS, pathIn } from '../objects.ts';
import { createPod, isReady, phaseOf, podsUsing } from '../pods.ts';
import { grownDisk } from '../received-disk.ts';
import type { UploadClaim } from '../upload-proxy.ts';
import { createUploadServer } from '../upload-server.ts';
import { isBindable, roomOf } from './data-volumes.ts';

/**
 * Does for claims that are targets of an upload what CDI does: a pod, its state in the annotations, until a disk is
 * stored.
 *
 * @see https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/controller/upload-controller.go
 */
export async function reconcileUploads(context: Context): Promise<void> {
  const pods = new Set(
    context
      .stores()
      .all(PATHS.pods)
      .map(({ metadata }) => metadata.uid),
  );
  for (const [uid, server] of context.uploads) {
    if (pods.has(uid)) continue;
    server.die();
    context.uploads.delete(uid);
  }
  if (context.isHeld('uploads')) return;
  for (const claim of context.stores().all(PATHS.claims)) {
    const isTarget = annotation(claim, ANNOTATIONS.uploadTarget) !== undefined;
    if (!isTarget) continue;
    if (claim.metadata.deletionTimestamp === undefined) await reconcile(context, claim);
    else await deleteUploadPod(context, claim);
  }
}

/** What the upload proxy finds out about a claim. */
export async function findUpload(context: Context, namespace: string, name: string): Promise<UploadClaim | undefined> {
  const claim = context.stores().find(PATHS.claims, namespace, name);
  if (claim === undefined) return undefined;
  const pod = context.stores().find(PATHS.pods, namespace, uploadPodName(name));
  return {
    isTarget: annotation(claim, ANNOTATIONS.uploadTarget) !== undefined,
    contentType: annotation(claim, ANNOTATIONS.contentType),
    podPhase: annotation(claim, ANNOTATIONS.podPhase),
    isReady: annotation(claim, ANNOTATIONS.podReady) === 'true',
    server: context.uploads.get(pod?.metadata.uid ?? ''),
  };
}

/** The name of the pod that takes the upload to a claim. */
export function uploadPodName(claim: string): string {
  return nameFor('cdi-upload', claim);
}

/** A claim stays as long as a pod uses it. */
async function deleteUploadPod(context: Context, claim: KubeObject): Promise<void> {
  const [namespace, name] = [namespaceOf(claim), uploadPodName(claim.metadata.name)];
  if (context.stores().find(PATHS.pods, namespace, name) === undefined) return;
  await context.kube.delete(pathIn(PATHS.pods, namespace, name));
}

async function reconcile(context: Context, claim: KubeObject): Promise<void> {
  const namespace = namespaceOf(claim);
  const { name } = claim.metadata;
  const podName = uploadPodName(name);
  const pod = context.stores().find(PATHS.pods, namespace, podName);
  if (annotation(claim, ANNOTATIONS.podPhase) === 'Succeeded') {
    if (pod !== undefined) await context.kube.delete(pathIn(PATHS.pods, namespace, podName));
    return;
  }
  if (pod === undefined) {
    // A pod that is gone leaves the annotations as they are until there is another: uploads meanwhile end with 502.
    if (!(await isBindable(context, claim)) || podsUsing(context, claim).length > 0) return;
    await createPod(context, { namespace, name: podName, owner: claim, claims: [name] });
    return;
  }
  const { uid = '' } = pod.metadata;
  if (isReady(pod) && phaseOf(pod) === 'Running' && !context.uploads.has(uid)) openServer(context, claim, uid);
  const isDone = context.uploads.get(uid)?.state === 'done';
  await annotate(context, claim, {
    [ANNOTATIONS.podPhase]: isDone ? 'Succeeded' : (phaseOf(pod) ?? 'Pending'),
    [ANNOTATIONS.podReady]: String(!isDone && isReady(pod) && phaseOf(pod) === 'Running'),
  });
}

/** Sets annotations of a claim, where they are not so already. */
export async function annotate(
  context: Context,
  claim: KubeObject,
  annotations: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  if (Object.entries(annotations).every(([name, value]) => annotation(claim, name) === value)) return;
  const fields = Object.entries(annotations).map(([name, value]) => [name, value ?? null]);
  await context.kube.patch(pathIn(PATHS.claims, namespaceOf(claim), claim.metadata.name), {
    metadata: { annotations: Object.fromEntries(fields) },
  });
}

function openServer(context: Context, claim: KubeObject, uid: string): void {
  const namespace = namespaceOf(claim);
  const { name } = claim.metadata;
  const capacity = roomOf(context, claim);
  const server = createUploadServer({
    capacity,
    keep: context.keepUploads,
    ...(context.processUpload === undefined ? {} : { process: context.processUpload }),
    onStored(disk) {
      context.received.set(keyOf(namespace, name), disk);
      // What is smaller than its volume is grown.
      if (context.keepUploads) context.volumes.set(namespace, name, { disk: grownDisk(disk, capacity) });
      context.again();
    },
  });
  context.uploads.set(uid, server);
}
