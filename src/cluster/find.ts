import { type Cluster, ClusterError, type KubeObject } from './cluster.ts';

/** Reads one object; undefined when it does not exist. */
export async function findObject(
  cluster: Cluster,
  path: string,
  signal?: AbortSignal,
): Promise<KubeObject | undefined> {
  try {
    return await cluster.json<KubeObject>({ method: 'GET', path, signal });
  } catch (error) {
    if (error instanceof ClusterError && error.status === 404) return undefined;
    throw error;
  }
}
