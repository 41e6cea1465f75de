import { FIELD_MANAGER } from '../cluster/apply.ts';
import type { Cluster, KubeObject, OwnerReference } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import type { Outage } from './outage.ts';
import { groupOf } from './resource.ts';
import { readRefusal } from './write-refusals.ts';

export interface LinkOptions {
  readonly cluster: Cluster;
  readonly outage: Outage;
  readonly signal?: AbortSignal | undefined;
  /** Told of the object before it is changed. */
  readonly changing?: ((path: string, before: KubeObject) => Promise<void>) | undefined;
}

const TRIES = 5;

/**
 * Sees to it that an object names these owners, beside those it names already. Whatever changes it at the same time, no
 * reference is lost. An object that is gone stays so.
 *
 * @param path - of the object
 * @param owners - with the uids they have at the target
 * @param live - the object, where it was just read
 * @throws ClusterError
 */
export async function linkOwners(
  { cluster, outage, signal, changing }: LinkOptions,
  path: string,
  owners: readonly OwnerReference[],
  live?: KubeObject,
): Promise<void> {
  let current = live;
  for (let tries = 1; ; tries += 1) {
    current ??= await outage.guard(() => findObject(cluster, path, signal));
    const ownerReferences = current && merge(current.metadata.ownerReferences ?? [], owners);
    if (current === undefined || ownerReferences === undefined) return;
    const { resourceVersion } = current.metadata;
    await changing?.(path, current);
    try {
      await cluster.json({
        method: 'PATCH',
        path,
        query: { fieldManager: FIELD_MANAGER },
        contentType: 'application/merge-patch+json',
        body: { metadata: { resourceVersion, ownerReferences } },
        signal,
      });
      return;
    } catch (error) {
      const { is } = readRefusal(error);
      if ((is !== 'soon' && is !== 'lost') || tries === TRIES) throw error;
      // It was changed, or the answer was lost: what is there now tells what is left to do.
      if (is === 'lost') await outage.passed(error);
      current = undefined;
    }
  }
}

/** The references with the owners among them; undefined when they are there already. */
function merge(there: readonly OwnerReference[], owners: readonly OwnerReference[]): OwnerReference[] | undefined {
  if (owners.every((owner) => there.some((one) => isSame(one, owner) && one.uid === owner.uid))) return undefined;
  // One of the same name and another uid is gone.
  return [...there.filter((one) => !owners.some((owner) => isSame(one, owner))), ...owners];
}

function isSame(a: OwnerReference, b: OwnerReference): boolean {
  return a.kind === b.kind && a.name === b.name && groupOf(a.apiVersion) === groupOf(b.apiVersion);
}
