import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { nearestNames } from '../selection/name-patterns.ts';

/**
 * Looks why a namespace that was asked for by name has no release: the server answers a LIST in a namespace that does
 * not exist with nothing. One that exists, or may not be looked at, is said in a note.
 *
 * @throws TransshipError `INPUT` when it does not exist, naming those with a similar name
 */
export async function checkNamespace(
  cluster: Cluster,
  namespace: string,
  releases: number,
  reporter: Reporter,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (releases > 0) return;
  try {
    await cluster.json({ method: 'GET', path: `/api/v1/namespaces/${namespace}`, signal });
  } catch (error) {
    if (!(error instanceof ClusterError) || (error.status !== 404 && error.status !== 403)) throw error;
    if (error.status === 404) throw await missing(cluster, namespace, signal);
  }
  reporter.warn(`Namespace ${namespace} has no Helm release.`, 'Nothing to export');
}

async function missing(cluster: Cluster, namespace: string, signal: AbortSignal | undefined): Promise<TransshipError> {
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
