import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { messageOf } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';

/**
 * Deletes objects that were made for a while, also after a cancel: it takes no signal. Those that are gone already are
 * fine; those that can't be deleted are told as a warning, for what they were made for has its own result.
 *
 * @param paths - of the objects on the API server
 * @param otherwise - what becomes of what is left, as a sentence
 */
export async function removeTemporary(
  cluster: Cluster,
  paths: readonly string[],
  otherwise: string,
  reporter: Reporter,
): Promise<void> {
  for (const path of paths) {
    try {
      await cluster.json({ method: 'DELETE', path, body: { apiVersion: 'v1', kind: 'DeleteOptions' } });
    } catch (error) {
      if (error instanceof ClusterError && error.status === 404) continue;
      reporter.warn(`Could not delete ${path}: ${messageOf(error)} ${otherwise}`, 'Left behind');
    }
  }
}
