import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';

/** Whether a namespace of the target can take objects now: one that is on its way out can't. */
export type HasNamespace = (name: string) => Promise<boolean>;

const NAMESPACES = '/api/v1/namespaces';

/** Asks for all namespaces once, or where they may not be listed for each. One that may not be read is taken to exist. */
export function createHasNamespace(cluster: Cluster, signal?: AbortSignal): HasNamespace {
  let all: Promise<ReadonlySet<string> | 'forbidden'> | undefined;
  const each = new Map<string, Promise<boolean>>();
  return async (name) => {
    all ??= listNamespaces(cluster, signal);
    const names = await all;
    if (names !== 'forbidden') return names.has(name);
    const asked = each.get(name) ?? readNamespace(cluster, name, signal);
    each.set(name, asked);
    return asked;
  };
}

async function listNamespaces(cluster: Cluster, signal?: AbortSignal): Promise<ReadonlySet<string> | 'forbidden'> {
  const names = new Set<string>();
  try {
    for await (const namespace of cluster.list(NAMESPACES, { signal })) {
      if (!isEnding(namespace)) names.add(namespace.metadata.name);
    }
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return 'forbidden';
    throw error;
  }
  return names;
}

async function readNamespace(cluster: Cluster, name: string, signal?: AbortSignal): Promise<boolean> {
  try {
    const namespace = await findObject(cluster, `${NAMESPACES}/${encodeURIComponent(name)}`, signal);
    return namespace !== undefined && !isEnding(namespace);
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return true;
    throw error;
  }
}

/** Whether an object is being deleted: its name is taken for a while, and then free. */
export function isEnding({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}
