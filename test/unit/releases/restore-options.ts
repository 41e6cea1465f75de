import type { Cluster } from '../../../src/cluster/cluster.ts';
import type { PreparedRelease } from '../../../src/releases/prepare.ts';
import { recordToObject } from '../../../src/releases/record.ts';
import type { RestoreOptions } from '../../../src/releases/restore.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import type { MemoryCluster } from './memory-cluster.ts';

/** Options of an import that may not run Helm. */
export function restoreOptions(cluster: Cluster, more: Partial<RestoreOptions> = {}): RestoreOptions {
  return {
    choice: { namespaces: [], exclude: [], history: 'all' },
    mayBeEmpty: true,
    namespaceMap: new Map(),
    replace: false,
    concurrency: 4,
    origin: 'snapshot x of stage',
    crdTimeout: 1000,
    helm: { path: 'helm', version: 'v4.3.1', major: 4 },
    runProgram: () => Promise.reject(new Error('Helm is not to run.')),
    cluster,
    env: {},
    temporaryDirectory: '',
    timeout: '1m',
    wait: false,
    noHooks: false,
    reporter: silentReporter,
    ...more,
  };
}

/** Puts the records of prepared releases into a cluster, as an import would. */
export async function putAll(cluster: MemoryCluster, releases: readonly PreparedRelease[]): Promise<void> {
  for (const { bundle, load } of releases) {
    for (const revision of bundle.revisions) {
      const object = await recordToObject(await load(revision));
      const plural = object.kind === 'Secret' ? 'secrets' : 'configmaps';
      cluster.objects.set(`/api/v1/namespaces/${object.metadata.namespace}/${plural}/${object.metadata.name}`, object);
    }
  }
}
