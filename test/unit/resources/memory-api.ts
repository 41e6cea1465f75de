import type { Clock } from '../../../src/cluster/clock.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import { isMap } from '../../../src/values.ts';
import { noWatch } from '../../helpers/no-watch.ts';

/** An API server in memory that takes everything, but for what a test makes it refuse. */
export interface MemoryApi {
  readonly cluster: Cluster;
  /** By path. */
  readonly objects: Map<string, KubeObject>;
  /** `<method> <path>`, in the order they came. */
  readonly requests: string[];
  /** Asked for each request before it is carried out; what it throws is the answer. */
  intercept: (request: ClusterRequest) => unknown;
}

/** Makes an empty one. */
export function createMemoryApi(): MemoryApi {
  const objects = new Map<string, KubeObject>();
  const requests: string[] = [];
  const births = new Map<string, number>();
  let versions = 0;

  const stored = (path: string, object: KubeObject): KubeObject => {
    const live = structuredClone(object);
    live.metadata.resourceVersion = `${++versions}`;
    live.metadata.uid ??= bear(path, live.metadata.name);
    objects.set(path, live);
    return live;
  };

  /** One that is created again is another. */
  function bear(path: string, name: string): string {
    const count = (births.get(path) ?? 0) + 1;
    births.set(path, count);
    return count === 1 ? `uid-of-${name}` : `uid-of-${name}-${count}`;
  }

  /** As stored before where nothing is new. */
  const changed = (path: string, live: KubeObject, object: KubeObject, manager: object): KubeObject => {
    const strip = ({ metadata: { resourceVersion: _v, managedFields: _m, ...metadata }, ...rest }: KubeObject) =>
      JSON.stringify({ ...rest, metadata });
    if (strip(live) === strip(object)) return live;
    const { managedFields } = live.metadata;
    const others = (Array.isArray(managedFields) ? managedFields : []).filter(
      (one) => JSON.stringify(one) !== JSON.stringify(manager),
    );
    return stored(path, { ...object, metadata: { ...object.metadata, managedFields: [...others, manager] } });
  };

  function put(path: string, live: KubeObject, body: unknown): KubeObject {
    const object = body as KubeObject;
    refuseConflict(live, object.metadata.resourceVersion);
    const { uid } = live.metadata;
    // Status has a way of its own.
    const status = live.status === undefined ? {} : { status: live.status };
    const { status: _status, ...rest } = object;
    const put = { ...rest, ...status, metadata: { ...object.metadata, ...(uid === undefined ? {} : { uid }) } };
    return changed(path, live, put, { manager: 'transship', operation: 'Update' });
  }

  /** Knows what is done to managed fields, and no more. */
  function patchFields(path: string, live: KubeObject, body: unknown): KubeObject {
    const ops = body as { path: string; value: unknown }[];
    const valueAt = (at: string) => ops.find((op) => op.path === at)?.value;
    refuseConflict(live, valueAt('/metadata/resourceVersion'));
    const managedFields = valueAt('/metadata/managedFields');
    return stored(path, { ...live, metadata: { ...live.metadata, managedFields } });
  }

  /** Whole fields of the object and of its metadata; labels are taken to be the manager's. */
  function apply(path: string, live: KubeObject, { body, query }: ClusterRequest): KubeObject {
    const object = body as KubeObject;
    const { labels: _labels, ...kept } = live.metadata;
    const applied: KubeObject = { ...live, ...object, metadata: { ...kept, ...object.metadata } };
    if (query?.dryRun === 'All') return structuredClone(applied);
    return changed(path, live, applied, { manager: 'transship', operation: 'Apply' });
  }

  function carryOut(request: ClusterRequest): unknown {
    const { method, path, body, contentType } = request;
    if (path === '/version') return {};
    if (method === 'PUT' && path.endsWith('/status')) {
      const at = path.slice(0, -'/status'.length);
      const of = objects.get(at);
      if (of === undefined) throw refusal(404, 'NotFound', `${path} not found`);
      return structuredClone(stored(at, { ...of, status: (body as KubeObject).status }));
    }
    const live = objects.get(path);
    if (method === 'POST') {
      const object = body as KubeObject;
      const at = `${path}/${object.metadata.name}`;
      if (objects.has(at)) throw refusal(409, 'AlreadyExists', `"${object.metadata.name}" already exists`);
      const managedFields = [{ manager: 'transship', operation: 'Update' }];
      return stored(at, { ...object, metadata: { ...object.metadata, managedFields } });
    }
    if (live === undefined) throw refusal(404, 'NotFound', `${path} not found`);
    if (method === 'DELETE') return remove(path, live, body);
    if (method === 'PUT') return structuredClone(put(path, live, body));
    if (method !== 'PATCH') return structuredClone(live);
    if (contentType === 'application/json-patch+json') return structuredClone(patchFields(path, live, body));
    if (contentType === 'application/apply-patch+yaml') return structuredClone(apply(path, live, request));
    if (contentType !== 'application/merge-patch+json' || !isMap(body)) throw new Error(`No ${contentType} here.`);
    const { metadata = {}, ...rest } = body;
    refuseConflict(live, isMap(metadata) ? metadata.resourceVersion : undefined);
    return stored(path, { ...live, ...rest, metadata: { ...live.metadata, ...(isMap(metadata) ? metadata : {}) } });
  }

  function remove(path: string, live: KubeObject, body: unknown): unknown {
    const wanted = isMap(body) && isMap(body.preconditions) ? body.preconditions.uid : undefined;
    if (wanted !== undefined && wanted !== live.metadata.uid) {
      throw refusal(409, 'Conflict', 'the uid in the precondition does not match');
    }
    if ((live.metadata.finalizers ?? []).length > 0) {
      live.metadata.deletionTimestamp = '2026-01-31T12:00:00Z';
      return structuredClone(live);
    }
    objects.delete(path);
    return { kind: 'Status', status: 'Success' };
  }

  function listed(path: string, selector = ''): KubeObject[] {
    const [, root = '', plural = ''] = /^(.*)\/([^/]+)$/.exec(path) ?? [];
    const pattern = new RegExp(`^${root}(/namespaces/[^/]+)?/${plural}/[^/]+$`);
    const terms = selector.split(',').filter((term) => term !== '');
    return [...objects]
      .filter(([at]) => (root.includes('/namespaces/') ? at.startsWith(`${path}/`) : pattern.test(at)))
      .map(([, object]) => structuredClone(object))
      .filter(({ metadata: { labels = {} } }) =>
        terms.every((term) => labels[term.split('=')[0] ?? ''] === term.split('=')[1]),
      );
  }

  async function asked(path: string): Promise<void> {
    requests.push(`GET ${path}`);
    await api.intercept({ method: 'GET', path });
  }

  const api: MemoryApi = {
    objects,
    requests,
    intercept: () => undefined,
    cluster: {
      context: 'target',
      server: 'https://target',
      namespace: 'default',
      access: {},
      json: async <T>(request: ClusterRequest) => {
        requests.push(`${request.method} ${request.path}`);
        await api.intercept(request);
        return carryOut(request) as T;
      },
      async *list(path, options) {
        await asked(path);
        yield* listed(path, options?.labelSelector);
      },
      async *listPages(path, options) {
        await asked(path);
        yield listed(path, options?.labelSelector);
      },
      ...noWatch,
      async *listData() {},
      close: async () => {},
    },
  };
  return api;
}

function refuseConflict({ metadata: { resourceVersion } }: KubeObject, wanted: unknown): void {
  if (wanted === undefined || wanted === resourceVersion) return;
  throw refusal(409, 'Conflict', 'the object has been modified');
}

/** The server's no. */
export function refusal(status: number, reason: string, message: string): ClusterError {
  const answer = { kind: 'Status', message, reason, code: status };
  return new ClusterError(status, reason, `${message} (a request: ${status} ${reason})`, { answer });
}

/** No answer. */
export function silence(reason = 'Reset'): ClusterError {
  return new ClusterError(0, reason, 'The connection broke.');
}

/** A clock on which sleep takes no time; what is done at a time is done when it comes. */
export function createClock(): Clock & { at(time: number, act: () => void): void } {
  let time = 0;
  const plans: { time: number; act: () => void }[] = [];
  return {
    now: () => time,
    at: (when, act) => void plans.push({ time: when, act }),
    async sleep(milliseconds, signal) {
      await new Promise((resolve) => setImmediate(resolve));
      time += milliseconds;
      for (const plan of plans.splice(0)) {
        if (plan.time <= time) plan.act();
        else plans.push(plan);
      }
      signal?.throwIfAborted();
    },
  };
}
