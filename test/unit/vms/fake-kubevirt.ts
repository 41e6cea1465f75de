import { collectionPath } from '../../../src/cluster/apply.ts';
import type { Clock } from '../../../src/cluster/clock.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../../../src/cluster/discovery.ts';
import { cancelledBy } from '../../../src/errors.ts';
import type { Reporter } from '../../../src/report/reporter.ts';
import { isMap } from '../../../src/values.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

export const EXPORTS = 'export.kubevirt.io/v1beta1 virtualmachineexports VirtualMachineExport';
export const KUBEVIRT_KINDS: readonly ResourceKind[] = [
  kindOf('v1 secrets Secret'),
  kindOf('v1 persistentvolumeclaims PersistentVolumeClaim'),
  kindOf('v1 services Service'),
  kindOf('v1 endpoints Endpoints'),
  kindOf('kubevirt.io/v1 virtualmachines VirtualMachine', ['v1', 'v1alpha3']),
  kindOf('kubevirt.io/v1 virtualmachineinstances VirtualMachineInstance', ['v1', 'v1alpha3']),
  kindOf(EXPORTS, ['v1beta1', 'v1alpha1']),
  kindOf('snapshot.kubevirt.io/v1beta1 virtualmachinesnapshots VirtualMachineSnapshot', ['v1beta1', 'v1alpha1']),
];

/** A cluster with KubeVirt's kinds in memory; what its controllers would do a test says. */
export interface FakeKubevirt extends Cluster {
  readonly discovery: Discovery;
  /** By path. */
  readonly objects: Map<string, KubeObject>;
  /** `<method> <path>` of all requests, in the order they came. */
  readonly requests: string[];
  /** Asked before each request is carried out; what it throws is the answer. */
  intercept: (request: ClusterRequest) => unknown;
  /** The statuses the objects of a kind have when they are read, one after the other; the last one stays. */
  play(kind: string, ...statuses: unknown[]): void;
  /** The only object of a kind. */
  only(kind: string): KubeObject;
  /** What changes something, in the order it came. */
  changes(): string[];
}

export function fakeKubevirt(
  given: readonly KubeObject[] = [],
  { kinds = KUBEVIRT_KINDS, stale = [] as string[], isPod = false } = {},
): FakeKubevirt {
  const discovery = discoveryOf(kinds, stale);
  const objects = new Map<string, KubeObject>();
  const requests: string[] = [];
  const plays = new Map<string, unknown[]>();
  let made = 0;

  const pathOf = ({ apiVersion, kind, metadata }: KubeObject) => {
    const found = discovery.findKind(apiVersion, kind);
    if (found === undefined) throw new Error(`No ${kind} here.`);
    return `${collectionPath(found, metadata.namespace)}/${metadata.name}`;
  };
  const put = (path: string, object: KubeObject) => {
    made += 1;
    const metadata = { uid: `uid-${made}`, ...object.metadata, resourceVersion: `${made}` };
    const stored = structuredClone({ ...object, metadata });
    objects.set(path, stored);
    return stored;
  };
  for (const object of given) put(pathOf(object), object);

  const carryOut = ({ method, path, body }: ClusterRequest): unknown => {
    if (method === 'PUT' && path.startsWith('/apis/subresources.kubevirt.io/v1/')) return null;
    if (method === 'POST') return put(`${path}/${(body as KubeObject).metadata.name}`, body as KubeObject);
    const live = objects.get(path);
    if (live === undefined) throw refusal(404, 'NotFound', `${path} not found`);
    if (method === 'DELETE') {
      objects.delete(path);
      return { kind: 'Status', status: 'Success' };
    }
    if (method === 'PATCH') {
      const { resourceVersion } = (body as KubeObject).metadata;
      if (resourceVersion !== undefined && resourceVersion !== live.metadata.resourceVersion) {
        throw refusal(409, 'Conflict', 'the object has been modified');
      }
      return put(path, merge(live, body) as KubeObject);
    }
    const statuses = plays.get(live.kind) ?? [];
    if (statuses.length > 0) live.status = statuses.length > 1 ? statuses.shift() : statuses[0];
    return live;
  };
  const listed = function* (path: string, labelSelector = '') {
    requests.push(`LIST ${path}?${labelSelector}`);
    fake.intercept({ method: 'GET', path });
    const [key = '', value] = labelSelector.split('=');
    for (const object of [...objects.values()]) {
      const kind = discovery.findKind(object.apiVersion, object.kind);
      const isThere =
        kind !== undefined && [collectionPath(kind), collectionPath(kind, object.metadata.namespace)].includes(path);
      if (isThere && object.metadata.labels?.[key] === value) yield structuredClone(object);
    }
  };
  const fake: FakeKubevirt = {
    context: 'stage',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: isPod ? {} : { kubeconfig: '/home/me/.kube/config', context: 'stage' },
    discovery,
    objects,
    requests,
    intercept: () => {},
    play: (kind, ...statuses) => void plays.set(kind, statuses),
    only(kind) {
      const [found, ...more] = [...objects.values()].filter((object) => object.kind === kind);
      if (found === undefined || more.length > 0) throw new Error(`There are not just one ${kind}.`);
      return found;
    },
    changes: () => requests.filter((request) => !/^(GET|LIST) /.test(request)),
    async json<T>(request: ClusterRequest): Promise<T> {
      await Promise.resolve();
      if (request.signal?.aborted) throw cancelledBy(request.signal);
      requests.push(`${request.method} ${request.path}`);
      fake.intercept(request);
      return structuredClone(carryOut(request)) as T;
    },
    async *list(path, options) {
      yield* listed(path, options?.labelSelector);
    },
    async *listPages(path, options) {
      yield [...listed(path, options?.labelSelector)];
    },
    ...noWatch,
    async *listData() {},
    async close() {},
  };
  return fake;
}

/** https://www.rfc-editor.org/rfc/rfc7396 */
function merge(live: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const merged: Record<string, unknown> = isMap(live) ? { ...live } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}

export function refusal(status: number, reason: string, message: string): ClusterError {
  return new ClusterError(status, reason, message);
}

/** Time that passes only by sleeping. */
export function fakeClock(): Clock & { sleeps: number[] } {
  let now = 0;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => now,
    async sleep(milliseconds, signal) {
      await Promise.resolve();
      if (signal?.aborted) throw cancelledBy(signal);
      sleeps.push(milliseconds);
      now += milliseconds;
    },
  };
}

/** Keeps what it is told, each line after its sort: `warn: …`. */
export function listeningReporter(): Reporter & { lines: string[]; masked: string[] } {
  const lines: string[] = [];
  const masked: string[] = [];
  return {
    lines,
    masked,
    info: (message) => void lines.push(`info: ${message}`),
    warn: (message) => void lines.push(`warn: ${message}`),
    error: (message) => void lines.push(`error: ${message}`),
    debug: (message) => void lines.push(`debug: ${message}`),
    progress: (message) => void lines.push(`progress: ${message}`),
    mask: (value) => void masked.push(value),
  };
}

/** A condition of KubeVirt's. */
export function condition(type: string, status: string, reason = '', message = '') {
  return { type, status, reason, message, lastTransitionTime: '2026-01-31T12:00:00Z' };
}

/** The status of an export that is ready, with one disk. */
export function readyStatus({ external = false, cert = 'CA-1', name = 'disk' } = {}) {
  const volumesAt = (base: string) => [
    {
      name,
      formats: [
        { format: 'raw', url: `${base}/volumes/${name}/disk.img` },
        { format: 'gzip', url: `${base}/volumes/${name}/disk.img.gz` },
      ],
    },
  ];
  const proxied = 'https://export.example.com/api/export.kubevirt.io/v1/namespaces/shop/virtualmachineexports/x';
  return {
    phase: 'Ready',
    serviceName: 'virt-export-x',
    conditions: [condition('Ready', 'True', 'PodReady')],
    links: {
      internal: { cert, volumes: volumesAt('https://virt-export-x.shop.svc') },
      ...(external && { external: { cert: '', volumes: volumesAt(proxied) } }),
    },
  };
}
