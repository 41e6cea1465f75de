import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { nearestNames } from './name-patterns.ts';

/**
 * The error for a namespace that was asked for by name and does not exist.
 *
 * @returns TransshipError `INPUT` naming those with a similar name, where they may be listed
 */
export async function missingNamespace(
  cluster: Cluster,
  namespace: string,
  signal: AbortSignal | undefined,
): Promise<TransshipError> {
  const similar = nearestNames(namespace, await listNames(cluster, signal));
  return new TransshipError('INPUT', `namespace names "${namespace}", which does not exist in ${cluster.context}.`, {
    hint:
      similar.length > 0 ? `Did you mean ${similar.join(' or ')}?` : 'kubectl get namespaces lists those there are.',
  });
}

async function listNames(cluster: Cluster, signal: AbortSignal | undefined): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { metadata } of cluster.list('/api/v1/namespaces', { signal })) names.push(metadata.name);
  } catch (error) {
    // Only for a better message: one who may not list namespaces still gets the plain one.
    if (!(error instanceof ClusterError)) throw error;
  }
  return names;
}
