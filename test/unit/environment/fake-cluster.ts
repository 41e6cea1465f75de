import { collectionPath } from '../../../src/cluster/apply.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import { toDataObject } from '../../../src/cluster/data-objects.ts';
import type { Discovery, ResourceKind } from '../../../src/cluster/discovery.ts';
import { ENVIRONMENT_LABEL } from '../../../src/environment/environment.ts';
import type { RunProgram } from '../../../src/releases/helm.ts';
import { groupOf } from '../../../src/resources/resource.ts';
import { isMap } from '../../../src/values.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf, kindOf, objectOf } from '../resources/target-bed.ts';

const SERVED = [
  'v1 configmaps ConfigMap',
  'v1 secrets Secret',
  'v1 services Service',
  'v1 endpoints Endpoints',
  'v1 events Event',
  'v1 pods Pod',
  'v1 serviceaccounts ServiceAccount',
  'v1 persistentvolumeclaims PersistentVolumeClaim',
  'v1 *persistentvolumes PersistentVolume',
  'v1 *namespaces Namespace',
  'apps/v1 deployments Deployment',
  'apps/v1 statefulsets StatefulSet',
  'apps/v1 replicasets ReplicaSet',
  'extensions/v1beta1 ingresses Ingress',
  'networking.k8s.io/v1 ingresses Ingress',
  'discovery.k8s.io/v1 endpointslices EndpointSlice',
  'rbac.authorization.k8s.io/v1 *clusterroles ClusterRole',
  'apiextensions.k8s.io/v1 *customresourcedefinitions CustomResourceDefinition',
  'shop.example.com/v1 orders Order',
  'shop.example.com/v1 *tenants Tenant',
  'admissionregistration.k8s.io/v1 *validatingwebhookconfigurations ValidatingWebhookConfiguration',
];

export const KINDS: readonly ResourceKind[] = SERVED.map((text) => ({
  ...kindOf(text),
  verbs: ['create', 'delete', 'get', 'list', 'patch'],
}));

export interface FakeCluster extends Cluster {
  readonly discovery: Discovery;
  /** By path. */
  readonly objects: Map<string, KubeObject>;
  /** `<method> <path>` of what changes something, in the order it came. */
  readonly changes: string[];
  /** Lists, as `<path>?<selector>`. */
  readonly lists: string[];
  has(what: string): boolean;
}

export interface FakeOptions {
  readonly stale?: readonly string[];
  /** Answers instead of carrying it out, when it returns an error. */
  readonly refuse?: (method: string, path: string) => ClusterError | undefined;
}

let made = 0;

/** An object of the environment `pr-7`, unless told otherwise: `v1 ConfigMap shop/a`. */
export function own(what: string, more: Record<string, unknown> = {}): KubeObject {
  const { labels, ...metadata } = isMap(more.metadata) ? more.metadata : {};
  const all = { [ENVIRONMENT_LABEL]: 'pr-7', ...(isMap(labels) ? labels : {}) };
  return live(what, { ...more, metadata: { ...metadata, labels: all } });
}

/** An object of somebody else. */
export function live(what: string, more: Record<string, unknown> = {}): KubeObject {
  const object = objectOf(what, more);
  made += 1;
  object.metadata.uid ??= `uid-${made}`;
  object.metadata.creationTimestamp ??= '2026-01-31T12:00:00Z';
  return object;
}

/** What an owner's dependent says of it. */
export function ownedBy(owner: KubeObject, controller = true) {
  const { apiVersion, kind, metadata } = owner;
  return [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, controller }];
}

/** A cluster that keeps these objects, deletes them as the API server does, and collects what no owner is left of. */
export function fakeCluster(given: readonly KubeObject[], { stale = [], refuse }: FakeOptions = {}): FakeCluster {
  const discovery = discoveryOf(KINDS, stale);
  const objects = new Map<string, KubeObject>();
  const changes: string[] = [];
  const lists: string[] = [];
  const pathOf = (object: KubeObject) => {
    const kind = discovery.findKind(object.apiVersion, object.kind);
    if (kind === undefined) throw new Error(`No ${object.kind} here.`);
    return `${collectionPath(kind, object.metadata.namespace)}/${object.metadata.name}`;
  };
  for (const object of given) objects.set(pathOf(object), object);

  const collect = () => {
    const uids = new Set([...objects.values()].map(({ metadata }) => metadata.uid));
    for (const [path, { metadata }] of objects) {
      const owners = metadata.ownerReferences ?? [];
      if (owners.length > 0 && owners.every(({ uid }) => !uids.has(uid))) objects.delete(path);
    }
  };
  const remove = (path: string, live: KubeObject, body: unknown): unknown => {
    const { preconditions } = isMap(body) ? body : {};
    if (isMap(preconditions) && preconditions.uid !== live.metadata.uid) throw answer(409, 'Conflict', path);
    if (live.kind === 'Namespace') {
      for (const inside of objects.keys())
        if (inside.includes(`/namespaces/${live.metadata.name}/`)) objects.delete(inside);
    }
    if ((live.metadata.finalizers ?? []).length > 0) {
      live.metadata.deletionTimestamp = '2026-01-31T12:00:01Z';
      return live;
    }
    objects.delete(path);
    collect();
    return { kind: 'Status', status: 'Success' };
  };
  const carryOut = ({ method, path, body, contentType }: ClusterRequest): unknown => {
    const live = objects.get(path);
    if (method === 'PATCH' && contentType === 'application/apply-patch+yaml' && isMap(body)) {
      const [namespace = ''] = /\/namespaces\/[^/]+/.exec(path) ?? [];
      if (![...objects.keys()].some((key) => key.endsWith(namespace))) throw answer(404, 'NotFound', path);
      const { metadata = {}, ...rest } = body;
      made += 1;
      const applied = { ...rest, metadata: { uid: `uid-${made}`, ...(isMap(metadata) ? metadata : {}) } };
      objects.set(path, JSON.parse(JSON.stringify(applied)));
      return objects.get(path);
    }
    if (live === undefined) throw answer(404, 'NotFound', path);
    if (method === 'DELETE') return remove(path, live, body);
    if (method === 'PATCH' && isMap(body) && isMap(body.metadata)) {
      live.metadata.labels = {
        ...live.metadata.labels,
        ...(isMap(body.metadata.labels) ? textsOf(body.metadata.labels) : {}),
      };
    }
    return live;
  };
  const listed = function* (path: string, labelSelector = '') {
    lists.push(`${path}${labelSelector === '' ? '' : `?${labelSelector}`}`);
    const refusal = refuse?.('LIST', path);
    if (refusal !== undefined) throw refusal;
    for (const object of objects.values()) {
      // Both groups serve the same Ingresses, as those of Kubernetes 1.14 did.
      for (const kind of KINDS.filter((one) => one.kind === object.kind && isServedBy(one, object))) {
        const places = [collectionPath(kind, object.metadata.namespace), collectionPath(kind)];
        if (places.includes(path) && selects(labelSelector, object)) yield structuredClone(object);
      }
    }
  };
  const cluster: FakeCluster = {
    context: 'fake',
    server: 'https://fake',
    namespace: 'default',
    access: {},
    discovery,
    objects,
    changes,
    lists,
    has: (what) => objects.has(pathOf(objectOf(what))),
    async json<T>(request: ClusterRequest): Promise<T> {
      await Promise.resolve();
      if (request.method !== 'GET') changes.push(`${request.method} ${request.path}`);
      const refusal = refuse?.(request.method, request.path);
      if (refusal !== undefined) throw refusal;
      return structuredClone(carryOut(request)) as T;
    },
    async *list(path, options) {
      yield* listed(path, options?.labelSelector);
    },
    async *listPages(path, options) {
      yield [...listed(path, options?.labelSelector)];
    },
    ...noWatch,
    async *listData(path, options) {
      yield [...listed(path, options?.labelSelector)].flatMap((object) => toDataObject(object) ?? []);
    },
    close: async () => {},
  };
  return cluster;
}

/** A helm that deletes the records of what it uninstalls, and what bears the release's name but is to be kept. */
export function fakeHelm(cluster: FakeCluster, fails: readonly string[] = []): RunProgram & { calls: string[] } {
  const calls: string[] = [];
  const run: RunProgram = async (_command, args) => {
    const [, name = '', , namespace = ''] = args;
    calls.push(args.join(' '));
    if (fails.includes(name)) return { exitCode: 1, stdout: '', stderr: `Error: ${name} has a hook that fails` };
    for (const [path, { metadata }] of cluster.objects) {
      const isRecord = metadata.name.startsWith(`sh.helm.release.v1.${name}.v`) && metadata.namespace === namespace;
      const isPart = metadata.annotations?.['meta.helm.sh/release-name'] === name;
      const isKept = metadata.annotations?.['helm.sh/resource-policy'] === 'keep';
      if (isRecord || (isPart && !isKept)) cluster.objects.delete(path);
    }
    return { exitCode: 0, stdout: '', stderr: '' };
  };
  return Object.assign(run, { calls });
}

/** What Helm puts on all that a release brings. */
export function partOf(release: string, namespace = 'shop') {
  return {
    labels: { 'app.kubernetes.io/managed-by': 'Helm' },
    annotations: { 'meta.helm.sh/release-name': release, 'meta.helm.sh/release-namespace': namespace },
  };
}

export function answer(status: number, reason: string, path: string): ClusterError {
  return new ClusterError(status, reason, `${path}: ${reason}`);
}

/** Refuses a list, or what else is asked, with 403. */
export function forbid(...requests: readonly string[]): FakeOptions {
  return {
    refuse: (method, path) => (requests.includes(`${method} ${path}`) ? answer(403, 'Forbidden', path) : undefined),
  };
}

function isServedBy(kind: ResourceKind, { apiVersion, kind: name }: KubeObject): boolean {
  return name === 'Ingress' || kind.group === groupOf(apiVersion);
}

function selects(selector: string, { metadata: { labels = {} } }: KubeObject): boolean {
  return selector
    .split(',')
    .filter((term) => term !== '')
    .every((term) => {
      const [key = '', value] = term.split('=');
      return value === undefined ? labels[key] !== undefined : labels[key] === value;
    });
}

function textsOf(map: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, String(value)]));
}
