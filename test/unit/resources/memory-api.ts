import type { Clock } from '../../../src/cluster/clock.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import { isMap } from '../../../src/values.ts';

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
  let versions = 0;

  const stored = (path: string, object: KubeObject): KubeObject => {
    const live = structuredClone(object);
    live.metadata.resourceVersion = `${++versions}`;
    live.metadata.uid ??= `uid-of-${live.metadata.name}`;
    objects.set(path, live);
    return live;
  };

  function carryOut({ method, path, body, contentType }: ClusterRequest): unknown {
    if (path === '/version') return {};
    const live = objects.get(path);
    if (method === 'POST') {
      const object = body as KubeObject;
      const at = `${path}/${object.metadata.name}`;
      if (objects.has(at)) throw refusal(409, 'AlreadyExists', `"${object.metadata.name}" already exists`);
      const managedFields = [{ manager: 'transship', operation: 'Update' }];
      return stored(at, { ...object, metadata: { ...object.metadata, managedFields } });
    }
    if (live === undefined) throw refusal(404, 'NotFound', `${path} not found`);
    if (method === 'DELETE') objects.delete(path);
    if (method !== 'PATCH') return structuredClone(live);
    if (contentType !== 'application/merge-patch+json' || !isMap(body)) throw new Error(`No ${contentType} here.`);
    const { metadata = {}, ...rest } = body;
    if (
      isMap(metadata) &&
      (metadata.resourceVersion ?? live.metadata.resourceVersion) !== live.metadata.resourceVersion
    ) {
      throw refusal(409, 'Conflict', 'the object has been modified');
    }
    return stored(path, { ...live, ...rest, metadata: { ...live.metadata, ...(isMap(metadata) ? metadata : {}) } });
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
      async *list() {},
      async *listPages() {},
      async *listData() {},
      close: async () => {},
    },
  };
  return api;
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
