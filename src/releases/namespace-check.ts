import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import type { Reporter } from '../report/reporter.ts';
import { missingNamespace } from '../selection/missing-namespace.ts';

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
    if (error.status === 404) throw await missingNamespace(cluster, namespace, signal);
  }
  reporter.warn(`Namespace ${namespace} has no Helm release.`, 'Nothing to export');
}
