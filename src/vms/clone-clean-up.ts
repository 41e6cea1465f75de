import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { CleanUpOptions } from './clean-up.ts';
import { findVmKind } from './kinds.ts';
import { RUN_LABEL } from './temporary-objects.ts';

/**
 * The label of all that a clone makes at the target to stay, with the run as its value, until the clone is whole. Not
 * {@link RUN_LABEL}: source and target may be one cluster, where that one is on the machine that is cloned.
 */
export const UNFINISHED_LABEL = 'transship.dev/unfinished-clone';

/**
 * Deletes an object if it is one that a clone of this run has made and not finished; and what it owns with it.
 *
 * @returns whether there was one
 * @throws ClusterError
 */
export async function removeUnfinished(cluster: Cluster, path: string, run: string): Promise<boolean> {
  return removeLabelled(cluster, path, UNFINISHED_LABEL, run);
}

/**
 * Takes away what the clones of a run have left at the target, as they do when they are killed: tokens, certificates and
 * unfinished machines with their disks. A clone that is whole is not touched.
 *
 * @param run - what the clones were labelled with
 * @returns what was found and deleted, by path
 * @throws TransshipError `CLUSTER` naming all that is left, once all that is possible is done
 */
export async function cleanUpClones(
  cluster: Cluster,
  discovery: Discovery,
  run: string,
  { namespaces }: CleanUpOptions = {},
): Promise<string[]> {
  const done: string[] = [];
  const problems: string[] = [];
  const removeAll = async (kind: ResourceKind | undefined, label: string) => {
    if (kind === undefined) return;
    for (const namespace of namespaces ?? [undefined]) {
      try {
        const options = { labelSelector: `${label}=${run}`, metadataOnly: true };
        for await (const { metadata } of cluster.list(collectionPath(kind, namespace), options)) {
          const path = `${collectionPath(kind, metadata.namespace ?? namespace)}/${encodeURIComponent(metadata.name)}`;
          try {
            if (await removeLabelled(cluster, path, label, run)) done.push(path);
          } catch (error) {
            problems.push(`${path}: ${messageOf(error)}`);
          }
        }
      } catch (error) {
        // Where they may not be listed, this run made none either.
        if (error instanceof ClusterError && error.status === 403) continue;
        problems.push(`${kind.plural}: ${messageOf(error)}`);
      }
    }
  };
  // A machine goes with its disks; while it is there it would make them anew.
  await removeAll(findVmKind(discovery, 'VirtualMachine'), UNFINISHED_LABEL);
  await removeAll(findVmKind(discovery, 'DataVolume'), UNFINISHED_LABEL);
  for (const kind of cloneableKinds(discovery)) await removeAll(kind, UNFINISHED_LABEL);
  await removeAll(discovery.findKind('v1', 'Secret'), RUN_LABEL);
  await removeAll(discovery.findKind('v1', 'ConfigMap'), RUN_LABEL);
  if (problems.length > 0) {
    throw new TransshipError('CLUSTER', `Some of what the clone made is still there. ${problems.join(' ')}`, {
      hint: `\`kubectl get vm,dv,secret,configmap -A -l '${UNFINISHED_LABEL}=${run}'\`, and again with the label ${RUN_LABEL}, show what.`,
    });
  }
  return done;
}

/** Deletes the very object that was seen, and what it owns with it; one that is gone is fine. */
export async function removeExactly(cluster: Cluster, path: string, uid: string | undefined): Promise<void> {
  try {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid }, propagationPolicy: 'Background' };
    await cluster.json({ method: 'DELETE', path, body });
  } catch (error) {
    // 409: another has its name.
    if (!(error instanceof ClusterError) || (error.status !== 404 && error.status !== 409)) throw error;
  }
}

const CORE = ['Secret', 'ConfigMap', 'ServiceAccount'];
const GROUPS = ['instancetype.kubevirt.io', 'k8s.cni.cncf.io'];

/** Kinds of what a machine needs and brings. */
function cloneableKinds({ kinds }: Discovery): ResourceKind[] {
  return kinds.filter(
    ({ group, kind }) =>
      (group === '' && CORE.includes(kind)) ||
      (group === 'apps' && kind === 'ControllerRevision') ||
      GROUPS.includes(group),
  );
}

async function removeLabelled(cluster: Cluster, path: string, label: string, run: string): Promise<boolean> {
  const live = await findObject(cluster, path);
  if (live === undefined || !isLabelled(live, label, run)) return false;
  await removeExactly(cluster, path, live.metadata.uid);
  return true;
}

function isLabelled({ metadata }: KubeObject, label: string, run: string): boolean {
  return metadata.labels?.[label] === run;
}
