import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Api, at } from './api.ts';
import type { Bed, RunningCluster } from './bed.ts';
import {
  namespaceMapFlags,
  runTransship,
  type TransshipOptions,
  type TransshipRun,
  transship,
} from './run-transship.ts';

/** A namespace of one test, and the one it is imported to, in the same cluster. */
export interface Place {
  readonly source: string;
  readonly target: string;
  /** For files of its own. */
  readonly folder: string;
  /** Paths of collections and objects in either namespace, such as `configmaps/a` or `apps/deployments`. */
  from(path: string): string;
  to(path: string): string;
  export(...args: string[]): Promise<TransshipRun>;
  import(...args: string[]): Promise<TransshipRun>;
  /** Runs an import that need not succeed. */
  tryImport(args: readonly string[], options?: TransshipOptions): Promise<TransshipRun>;
}

const GROUPS: Readonly<Record<string, string>> = {
  '': '/api/v1',
  apps: '/apis/apps/v1',
  batch: '/apis/batch/v1',
  rbac: '/apis/rbac.authorization.k8s.io/v1',
  networking: '/apis/networking.k8s.io/v1',
  example: '/apis/example.com/v1',
};

/** Makes the namespace to export from. */
export async function makePlace(bed: Bed, cluster: RunningCluster, api: Api, name: string): Promise<Place> {
  const [source, target] = [`${name}-stage`, `${name}-prod`];
  const folder = join(bed.scratch, name);
  await mkdir(folder, { recursive: true });
  await makeNamespace(api, source);
  const options = { env: bed.environment(cluster, 'none') };
  let exports = 0;
  const latest = () => join(folder, `export-${exports}`);
  const importing = () => ['import', '--path', latest(), ...namespaceMapFlags({ [source]: target })];
  return {
    source,
    target,
    folder,
    from: (path) => pathIn(source, path),
    to: (path) => pathIn(target, path),
    export(...args) {
      // Each in a folder of its own: two of one second would have the same name.
      exports += 1;
      return transship(['export', '--include', 'resources', '-n', source, '--path', latest(), ...args], options);
    },
    import: (...args) => transship([...importing(), ...args], options),
    tryImport: (args, more) => runTransship([...importing(), ...args], { ...options, ...more }),
  };
}

/** Makes a namespace and waits until its default ServiceAccount is there, which pods need. */
export async function makeNamespace(api: Api, name: string): Promise<void> {
  await api.create('/api/v1/namespaces', { metadata: { name } });
  await api.until(
    `/api/v1/namespaces/${name}/serviceaccounts/default`,
    (account) => at(account, 'metadata') !== undefined,
  );
}

function pathIn(namespace: string, path: string): string {
  const [first = '', ...rest] = path.split('/');
  const isGroup = rest.length > 0 && Object.hasOwn(GROUPS, first);
  return `${GROUPS[isGroup ? first : '']}/namespaces/${namespace}/${isGroup ? rest.join('/') : path}`;
}
