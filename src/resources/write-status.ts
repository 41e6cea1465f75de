import { FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Outage } from './outage.ts';

export interface StatusWriterOptions {
  readonly cluster: Cluster;
  readonly outage: Outage;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the status of an object that was just written.
 *
 * @param path - of the object
 * @param live - as the server answered: a kind whose status is a field like others has it already
 */
export type WriteStatus = (kind: ResourceKind, path: string, status: unknown, live: KubeObject) => Promise<void>;

/** Makes the function that does; it warns once of each kind that has no status of its own. */
export function createStatusWriter({ cluster, outage, reporter, signal }: StatusWriterOptions): WriteStatus {
  const without = new Set<ResourceKind>();
  return async (kind, path, status, live) => {
    if (without.has(kind)) return;
    try {
      // Merged, for a controller may have begun to write one.
      await outage.guard(() =>
        cluster.json({
          method: 'PATCH',
          path: `${path}/status`,
          query: { fieldManager: FIELD_MANAGER },
          contentType: 'application/merge-patch+json',
          body: { status },
          signal,
        }),
      );
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status !== 404) throw error;
      // Others of the kind were under way when the first was answered.
      const isKnown = without.has(kind);
      without.add(kind);
      if (isKnown || live.status !== undefined) return;
      reporter.warn(
        `The target has no subresource for the status of ${kind.kind} (${kind.apiVersion}), so it is not restored.`,
        'Status',
      );
    }
  };
}
