import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import type { States } from '../plan/states.ts';
import { forEachOf } from '../streams.ts';
import { kindKey } from './known-kinds.ts';
import { bindPresence } from './plan-states.ts';
import { groupOf, idOf, keyOf } from './resource.ts';
import type { Owner, Scan, ScannedGroup } from './scan.ts';
import type { HasNamespace } from './target-namespaces.ts';
import type { ReadWanted } from './wanted.ts';

export interface OwnerContext {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly read: ReadWanted;
  readonly hasNamespace: HasNamespace;
  readonly concurrency: number;
  readonly states?: States | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The keys of owners that come along, or that the target has already. */
export async function findOwners(
  scans: readonly Scan[],
  groups: readonly ScannedGroup[],
  context: OwnerContext,
): Promise<Set<string>> {
  const named = new Map(scans.flatMap(({ owners }) => [...owners]));
  if (named.size === 0) return new Set();
  const found = new Set<string>();
  const kinds = new Set([...named.values()].map(({ apiVersion, kind }) => kindKey(groupOf(apiVersion), kind)));
  // Who is an owner is known only now: the few files that have any are read again, rather than all names kept.
  const paths = groups.filter(({ kind }) => kinds.has(kindKey(kind.group, kind.kind))).map(({ path }) => path);
  for (const path of new Set(paths)) {
    for await (const { object, servable } of context.read(path)) {
      const key = keyOf(idOf(object));
      if (servable !== undefined && named.delete(key)) found.add(key);
    }
  }
  for (const key of await findLiveOwners(named, context)) found.add(key);
  return found;
}

/** One that may not be read counts as absent: its uid could not be had. */
async function findLiveOwners(
  owners: ReadonlyMap<string, Owner>,
  { cluster, discovery, hasNamespace, concurrency, states, signal }: OwnerContext,
): Promise<Set<string>> {
  const found = new Set<string>();
  await forEachOf(owners, concurrency, async ([key, { apiVersion, kind, namespace, name }]) => {
    const served = serving(discovery, apiVersion, kind);
    const isThere = served !== undefined && (namespace === undefined || (await hasNamespace(namespace)));
    const path = served && `${collectionPath(served, namespace)}/${encodeURIComponent(name)}`;
    const live = isThere && path !== undefined ? await findReadable(cluster, path, signal) : undefined;
    bindPresence(states, key, live?.metadata.uid ?? live !== undefined);
    if (live !== undefined) found.add(key);
  });
  return found;
}

async function findReadable(cluster: Cluster, path: string, signal?: AbortSignal): Promise<KubeObject | undefined> {
  try {
    return await findObject(cluster, path, signal);
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return undefined;
    throw error;
  }
}

function serving({ findKind, kinds }: Discovery, apiVersion: string, kind: string): ResourceKind | undefined {
  return findKind(apiVersion, kind) ?? kinds.find((one) => one.group === groupOf(apiVersion) && one.kind === kind);
}
