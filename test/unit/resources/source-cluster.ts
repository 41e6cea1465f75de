import { type Cluster, ClusterError, type KubeObject, type ListOptions } from '../../../src/cluster/cluster.ts';
import type { Reporter } from '../../../src/report/reporter.ts';
import { noWatch } from '../../helpers/no-watch.ts';

/** A kind as `<plural>[.<group>] <version> <Kind>`; cluster-scoped where the plural has a `*` before it. */
const KINDS = [
  '*namespaces v1 Namespace',
  '*persistentvolumes v1 PersistentVolume',
  'services v1 Service',
  'configmaps v1 ConfigMap',
  'secrets v1 Secret',
  'events v1 Event',
  'endpoints v1 Endpoints',
  'persistentvolumeclaims v1 PersistentVolumeClaim',
  'deployments.apps v1 Deployment',
  'services.serving.example.com v1 Service',
  'widgets.example.com v1 Widget',
  '*gadgets.example.com v1 Gadget',
  '*clusterroles.rbac.authorization.k8s.io v1 ClusterRole',
  'rolebindings.rbac.authorization.k8s.io v1 RoleBinding',
  '*customresourcedefinitions.apiextensions.k8s.io v1 CustomResourceDefinition',
];

export interface SourceOptions {
  readonly objects: readonly KubeObject[];
  /** Called for each page; what it returns is thrown. */
  readonly refuse?: (path: string, page: number) => Error | undefined;
  /** Called before each page is served. */
  readonly before?: (path: string, page: number) => Promise<void>;
  readonly pageSize?: number;
  /** `group/version` of API services that do not answer. */
  readonly stale?: string;
}

export interface SourceCluster extends Cluster {
  /** Each path that was listed, with its selectors, and each that was got. */
  readonly asked: string[];
}

/** A cluster in memory that can be discovered and listed; lists are in the order of the objects given. */
export function sourceCluster({ objects, refuse, before, pageSize = 500, stale }: SourceOptions): SourceCluster {
  const asked: string[] = [];
  const listed = (path: string) =>
    objects.filter((object) => isIn(path, object)).map((object) => structuredClone(object));
  async function* listPages(path: string, { labelSelector, fieldSelector, signal }: ListOptions = {}) {
    asked.push([path, labelSelector, fieldSelector].filter((part) => part !== undefined).join(' '));
    const all = listed(path);
    for (let page = 0; page === 0 || page * pageSize < all.length; page += 1) {
      await before?.(path, page);
      signal?.throwIfAborted();
      const error = refuse?.(path, page);
      if (error !== undefined) throw error;
      yield all.slice(page * pageSize, (page + 1) * pageSize);
    }
  }
  return {
    context: 'stage',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: {},
    asked,
    async json<T>({ path }: { path: string }): Promise<T> {
      asked.push(path);
      const error = refuse?.(path, 0);
      if (error !== undefined) throw error;
      return JSON.parse(JSON.stringify(answer(path, objects, stale)));
    },
    async *list(path, options) {
      for await (const page of listPages(path, options)) yield* page;
    },
    listPages,
    ...noWatch,
    async *listData() {},
    async close() {},
  };
}

function answer(path: string, objects: readonly KubeObject[], stale: string | undefined): unknown {
  if (path === '/api' || path === '/apis') return discoveryOf(path, stale);
  if (path.endsWith('/customresourcedefinitions')) {
    // Of partial metadata, items are of another kind.
    const items = objects.filter((object) => isIn(path, object));
    return { kind: 'PartialObjectMetadataList', items: items.map(({ metadata }) => ({ metadata })) };
  }
  const name = path.split('/').at(-1);
  const found = objects.find((object) => object.kind === 'Namespace' && object.metadata.name === name);
  if (found === undefined) throw new ClusterError(404, 'NotFound', `${path} not found`);
  return found;
}

function discoveryOf(path: string, stale: string | undefined): unknown {
  const parsed = KINDS.map(parseKind).filter(({ group }) => (group === '') === (path === '/api'));
  const groups = [...Map.groupBy(parsed, ({ group }) => group)].map(([group, kinds]) => ({
    metadata: { name: group },
    versions: [
      {
        version: 'v1',
        freshness: 'Current',
        resources: kinds.map(({ plural, kind, namespaced }) => ({
          resource: plural,
          responseKind: { kind },
          scope: namespaced ? 'Namespaced' : 'Cluster',
          singularResource: kind.toLowerCase(),
          verbs: ['get', 'list', 'create'],
        })),
      },
    ],
  }));
  const [group, version] = stale?.split('/') ?? [];
  const down = { metadata: { name: group }, versions: [{ version, freshness: 'Stale' }] };
  return { kind: 'APIGroupDiscoveryList', items: path === '/apis' && stale !== undefined ? [...groups, down] : groups };
}

function parseKind(text: string) {
  const [name = '', , kind = ''] = text.split(' ');
  const namespaced = !name.startsWith('*');
  const [plural = '', ...group] = name.replace('*', '').split('.');
  return { plural, group: group.join('.'), kind, namespaced };
}

/** Whether an object is in the collection at a path. */
function isIn(path: string, { apiVersion, kind, metadata }: KubeObject): boolean {
  const [, plural] = /([^/]+)$/.exec(path) ?? [];
  const [, namespace] = /\/namespaces\/([^/]+)\//.exec(path) ?? [];
  const group = path.startsWith('/api/') ? '' : path.split('/')[2];
  const [version = '', ofGroup = ''] = apiVersion.split('/').reverse();
  const found = KINDS.map(parseKind).find((one) => one.plural === plural && one.group === group);
  return (
    version !== '' &&
    found?.kind === kind &&
    found.group === ofGroup &&
    (namespace === undefined || namespace === metadata.namespace)
  );
}

/** An object as the server sends it: `<apiVersion> <Kind> [<namespace>/]<name>` and what else it has. */
export function sent(what: string, more: Partial<KubeObject> = {}): KubeObject {
  const [apiVersion = '', kind = '', place = ''] = what.split(' ');
  const [name = '', namespace] = place.split('/').reverse();
  const { metadata, ...rest } = more;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: `uid-${what}`,
      resourceVersion: '7',
      managedFields: [{ manager: 'kubectl' }],
      ...metadata,
    },
    ...rest,
  };
}

/** What a server answers to one without rights. */
export function forbidden(path: string): ClusterError {
  return new ClusterError(403, 'Forbidden', `${path} is forbidden`);
}

/** A reporter that keeps what was said. */
export function keepMessages(): Reporter & { readonly warnings: string[]; readonly notes: string[] } {
  const warnings: string[] = [];
  const notes: string[] = [];
  return {
    warnings,
    notes,
    info() {},
    warn: (message) => warnings.push(message),
    error() {},
    debug: (message) => notes.push(message),
    progress() {},
    mask() {},
  };
}
