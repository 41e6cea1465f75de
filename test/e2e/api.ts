import { vi } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { createApiClient } from '../cluster/api-client.ts';
import type { RunningCluster } from './bed.ts';
import { asList, asMap } from './live-object.ts';

/** The API of a cluster, as its administrator sees it, for a test's own looks and changes. */
export interface Api {
  /** @throws Error when it is not there */
  get(path: string): Promise<KubeObject>;
  find(path: string): Promise<KubeObject | undefined>;
  /** The objects of a collection, without the ConfigMap that a controller puts into each namespace in its own time. */
  list(path: string): Promise<KubeObject[]>;
  /** The names of these, sorted. */
  names(path: string): Promise<string[]>;
  create(path: string, object: object): Promise<KubeObject>;
  /** Merges fields into an object: https://www.rfc-editor.org/rfc/rfc7386 */
  patch(path: string, fields: object): Promise<KubeObject>;
  remove(path: string): Promise<void>;
  /** Waits until an object is as the test wants it. */
  until(path: string, isSo: (object: KubeObject) => boolean): Promise<KubeObject>;
  untilGone(path: string): Promise<void>;
  /** The status of any request, with its answer. */
  send(method: string, path: string, body?: object): Promise<{ status: number; body: unknown }>;
  close(): void;
}

const WAIT = { timeout: 30_000, interval: 50 };

export function openApi(cluster: RunningCluster): Api {
  const client = createApiClient(cluster.server, adminOf(cluster));
  const request = async (method: string, path: string, body?: object, contentType?: string): Promise<KubeObject> => {
    const answer = await client.send(method, path, body, contentType);
    if (answer.status < 300 && isObject(answer.body)) return answer.body;
    throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  };
  const find = async (path: string): Promise<KubeObject | undefined> => {
    const { status, body } = await client.send('GET', path);
    if (status === 404) return undefined;
    if (status === 200 && isObject(body)) return body;
    throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
  };
  const list = async (path: string): Promise<KubeObject[]> => {
    const answer = await request('GET', path);
    return asList(answer.items)
      .filter(isObject)
      .filter(({ metadata }) => metadata.name !== 'kube-root-ca.crt');
  };
  return {
    get: (path) => request('GET', path),
    find,
    list,
    names: async (path) => (await list(path)).map(({ metadata }) => metadata.name).sort(),
    create: (path, object) => request('POST', path, object),
    patch: (path, fields) => request('PATCH', path, fields, 'application/merge-patch+json'),
    remove: async (path) => void (await request('DELETE', path)),
    until: (path, isSo) =>
      vi.waitFor(async () => {
        const object = await find(path);
        if (object !== undefined && isSo(object)) return object;
        throw new Error(`Waited in vain for ${path}, which is ${JSON.stringify(object)}`);
      }, WAIT),
    untilGone: (path) =>
      vi.waitFor(async () => {
        if ((await find(path)) !== undefined) throw new Error(`${path} is still there`);
      }, WAIT),
    send: (method, path, body) => client.send(method, path, body),
    close: () => client.close(),
  };
}

/** The certificate of a cluster's administrator, as a TLS client gives it. */
export function adminOf(cluster: RunningCluster): { ca: string; cert: string; key: string } {
  const user = cluster.access.contexts.find(({ name }) => name === cluster.context)?.user ?? {};
  const decode = (field: string) => Buffer.from(user[field] ?? '', 'base64').toString('utf8');
  return { ca: cluster.access.ca, cert: decode('client-certificate-data'), key: decode('client-key-data') };
}

function isObject(value: unknown): value is KubeObject {
  return asMap(asMap(value)?.metadata) !== undefined;
}

/** A field deep in an object: names of fields and places in lists. */
export function at(object: unknown, ...path: (string | number)[]): unknown {
  return path.reduce((value, step) => (typeof step === 'number' ? asList(value)[step] : asMap(value)?.[step]), object);
}
