import { collectionPath } from '../cluster/apply.ts';
import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { waitFor } from '../cluster/wait.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { needVmKind } from './kinds.ts';

export interface RemoveOptions {
  /** Milliseconds for what is deleted to be gone. */
  readonly timeout: number;
  readonly clock?: Clock | undefined;
}

/** Milliseconds: pods that took an upload end within 30 s. */
const LONGEST_WAIT = 120_000;

/**
 * Deletes what an import has made of a machine: the machine, or the DataVolume of a claim alone, then its DataVolumes and
 * claims, and waits until they are gone. It takes no signal: it is what follows a cancel.
 *
 * @param path - of the machine or DataVolume
 * @param volumes - names of the DataVolumes
 * @returns what could not be deleted and why, each as `PersistentVolumeClaim shop/web-root-abcde (…)`
 */
export async function removeMachine(
  cluster: Cluster,
  discovery: Discovery,
  path: string,
  live: KubeObject,
  volumes: readonly string[],
  options: RemoveOptions,
): Promise<string[]> {
  const { uid = '', namespace = '' } = live.metadata;
  const dataVolumes = collectionPath(needVmKind(discovery, 'DataVolume', cluster.context), namespace);
  const claims = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
  const owned = await findOwned(cluster, [dataVolumes, claims], volumes, uid);
  const left: string[] = [];
  const done = new Set<string>();
  // KubeVirt makes a DataVolume again as long as its machine is there.
  for (const kind of [live.kind, 'DataVolume', 'PersistentVolumeClaim']) {
    const some = [{ path, live }, ...owned].filter((one) => one.live.kind === kind && !done.has(one.path));
    await Promise.all(
      some.map(async (one) => {
        done.add(one.path);
        const why = await removeObject(cluster, one.path, one.live.metadata.uid, options);
        if (why !== undefined) left.push(`${kind} ${namespace}/${one.live.metadata.name} (${why})`);
      }),
    );
  }
  return left;
}

/**
 * Deletes one object and waits until it is gone.
 *
 * @returns why it is still there; undefined when it is not, or is another one by now
 */
export async function removeObject(
  cluster: Cluster,
  path: string,
  uid: string | undefined,
  { timeout, clock = systemClock }: RemoveOptions,
): Promise<string | undefined> {
  const body = {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: 'Background',
    ...(uid !== undefined && { preconditions: { uid } }),
  };
  try {
    await waitFor<void>(
      async () => {
        try {
          await cluster.json({ method: 'DELETE', path, body });
        } catch (error) {
          // 409: somebody has made another one of that name.
          if (error instanceof ClusterError && (error.status === 404 || error.status === 409)) {
            return { done: true, value: undefined };
          }
          if (!(error instanceof ClusterError) || (error.status !== 0 && error.status < 500)) throw error;
          return { done: false, state: error.message };
        }
        return { done: false, state: 'it is being deleted' };
      },
      { timeout: Math.min(timeout, LONGEST_WAIT), describe: `${path} to be gone`, clock },
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof TransshipError)) throw error;
    return messageOf(error).replace(/\.$/, '');
  }
}

/** DataVolumes and claims that belong to the machine, directly or by another of them: DataVolumes first. */
async function findOwned(
  cluster: Cluster,
  [dataVolumes, claims]: readonly [string, string] | readonly string[],
  names: readonly string[],
  uid: string,
): Promise<{ path: string; live: KubeObject }[]> {
  const owners = new Set([uid]);
  const found: { path: string; live: KubeObject }[] = [];
  for (const [collection, kind, apiVersion] of [
    [dataVolumes, 'DataVolume', 'cdi.kubevirt.io/v1beta1'],
    [claims, 'PersistentVolumeClaim', 'v1'],
  ] as const) {
    for (const name of names) {
      const path = `${collection}/${encodeURIComponent(name)}`;
      const live = await findObject(cluster, path).catch((error: unknown) => {
        if (!(error instanceof ClusterError)) throw error;
        return undefined;
      });
      const isOwned = live?.metadata.ownerReferences?.some((owner) => owners.has(owner.uid)) === true;
      if (live === undefined || !isOwned) continue;
      owners.add(live.metadata.uid ?? '');
      found.push({ path, live: { ...live, kind, apiVersion } });
    }
  }
  return found;
}
