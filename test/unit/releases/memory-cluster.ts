import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import { toDataObject } from '../../../src/cluster/data-objects.ts';
import { noWatch } from '../../helpers/no-watch.ts';

/** What happens to a request: it is not carried out, or it is and its answer is lost. */
export type Fault = ClusterError | { readonly after: ClusterError };

export interface MemoryCluster extends Cluster {
  /** By path. */
  readonly objects: Map<string, KubeObject>;
  /** `<method> <path>` in the order they came. */
  readonly requests: string[];
}

export const reset = new ClusterError(0, 'Reset', 'The connection broke.');

/**
 * A cluster that keeps objects as an API server does, in memory.
 *
 * @param fail - asked for each request; without an answer it is carried out
 */
export function memoryCluster(
  fail: (request: ClusterRequest, count: number) => Fault | undefined = () => undefined,
): MemoryCluster {
  const objects = new Map<string, KubeObject>();
  const requests: string[] = [];
  return {
    context: 'memory',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: {},
    objects,
    requests,
    async json<T>(request: ClusterRequest): Promise<T> {
      requests.push(`${request.method} ${request.path}`);
      // What was sent stays as it was sent, and what comes back is nobody else's.
      await Promise.resolve();
      const fault = fail(request, requests.length);
      if (fault instanceof ClusterError) throw fault;
      const answer = carryOut(objects, request);
      if (fault !== undefined) throw fault.after;
      return JSON.parse(JSON.stringify(answer));
    },
    async *list(path, { labelSelector = '' } = {}) {
      requests.push(`GET ${path}?labelSelector=${labelSelector}`);
      const found = [...objects].filter(
        ([key, object]) => key.startsWith(`${path}/`) && selects(labelSelector, object),
      );
      for (const [, object] of found.sort(([a], [b]) => (a < b ? -1 : 1))) yield JSON.parse(JSON.stringify(object));
    },
    async *listPages(path, options) {
      const page: KubeObject[] = [];
      for await (const object of this.list(path, options)) page.push(object);
      yield page;
    },
    ...noWatch,
    async *listData(path, options) {
      for await (const page of this.listPages(path, options))
        yield page.flatMap((object) => toDataObject(object) ?? []);
    },
    async close() {},
  };
}

function carryOut(objects: Map<string, KubeObject>, { method, path, query, body }: ClusterRequest): unknown {
  const there = objects.get(path);
  if (method === 'POST') {
    const object = written(body, query?.fieldManager);
    const place = `${path}/${object.metadata.name}`;
    if (objects.has(place)) throw new ClusterError(409, 'AlreadyExists', `${place} already exists`);
    objects.set(place, object);
    return object;
  }
  if (method === 'PATCH') {
    objects.set(path, { ...written(body, query?.fieldManager), status: ESTABLISHED });
    return objects.get(path);
  }
  if (there === undefined) throw new ClusterError(404, 'NotFound', `${path} not found`);
  if (method === 'PUT') objects.set(path, written(body, query?.fieldManager));
  if (method === 'DELETE') objects.delete(path);
  return objects.get(path) ?? there;
}

/** As a CRD has it a moment after it was applied. */
const ESTABLISHED = {
  conditions: [
    { type: 'NamesAccepted', status: 'True' },
    { type: 'Established', status: 'True' },
  ],
};

function written(body: unknown, manager: unknown): KubeObject {
  const object: KubeObject = JSON.parse(JSON.stringify(body));
  object.metadata.managedFields = [{ manager }];
  return object;
}

/** Understands `a=b` and `a in (b,c)`, as far as Helm's labels need it. */
function selects(selector: string, { metadata }: KubeObject): boolean {
  const terms = selector.match(/[^,(]+(?:\([^)]*\))?/g) ?? [];
  return terms.every((term) => {
    const [, label = '', values = ''] = /^(\w+)(?:=| in \()([^)]*)\)?$/.exec(term) ?? [];
    return values.split(',').includes(metadata.labels?.[label] ?? '');
  });
}
