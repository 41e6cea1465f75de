import { type Cluster, ClusterError, type KubeObject } from './cluster.ts';

/** What tells one cluster from another. */
export interface ClusterIdentity {
  /** The uid of the namespace kube-system, which lives as long as its cluster; undefined when it may not be read. */
  readonly uid: string | undefined;
  /** Of the API server, such as `v1.35.4`. */
  readonly version: string;
}

/** Reads which cluster this is and what version it runs. */
export async function readIdentity(cluster: Cluster, signal?: AbortSignal): Promise<ClusterIdentity> {
  const [uid, { gitVersion }] = await Promise.all([
    systemUid(cluster, signal),
    cluster.json<{ gitVersion: string }>({ method: 'GET', path: '/version', signal }),
  ]);
  return { uid, version: gitVersion };
}

async function systemUid(cluster: Cluster, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    const path = '/api/v1/namespaces/kube-system';
    return (await cluster.json<KubeObject>({ method: 'GET', path, signal })).metadata.uid;
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) {
      return undefined;
    }
    throw error;
  }
}
