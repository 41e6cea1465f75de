import { request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { isMap, mapsIn } from '../../src/values.ts';
import { createApiClient } from '../cluster/api-client.ts';

/** How the stand-ins for controllers talk to the API server: as its administrator. */
export interface Kube {
  /** @returns undefined where it is not there */
  get(path: string): Promise<KubeObject | undefined>;
  /** Whether the API server knows what a group it passes on serves: a moment later than the group is available. */
  serves(group: string, version: string): Promise<boolean>;
  list(path: string): Promise<KubeObject[]>;
  /** @returns undefined where there is one of that name already */
  create(path: string, object: object): Promise<KubeObject | undefined>;
  /** Merges fields: https://www.rfc-editor.org/rfc/rfc7386. What is gone by now is left alone. */
  patch(path: string, fields: object): Promise<KubeObject | undefined>;
  delete(path: string): Promise<void>;
  /** Keeps a copy of collections, and says when one of their objects has changed. */
  watch(paths: readonly string[], onChange: () => void): Promise<Stores>;
  close(): void;
}

/** Copies of collections, by path. */
export interface Stores {
  all(path: string): readonly KubeObject[];
  find(path: string, namespace: string | undefined, name: string): KubeObject | undefined;
}

export interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export function openKube(server: string, credentials: Credentials): Kube {
  const client = createApiClient(server, credentials);
  const ended = new AbortController();
  const send = async (method: string, path: string, body?: object, type?: string, allowed: readonly number[] = []) => {
    const answer = await client.send(method, path, body, type);
    if (answer.status < 300 && isObject(answer.body)) return answer.body;
    if (allowed.includes(answer.status)) return undefined;
    throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  };
  const read = async (path: string) => {
    const { status, body } = await client.send('GET', path);
    if (status !== 200 || !isMap(body)) throw new Error(`GET ${path} answered ${status}`);
    const { resourceVersion = '' } = isMap(body.metadata) ? body.metadata : {};
    // Items of built-in kinds come without their kind.
    const kind = String(body.kind).replace(/List$/, '');
    const items = mapsIn(body.items).filter(isObject);
    return { items: items.map((item) => ({ ...item, apiVersion: String(body.apiVersion), kind })), resourceVersion };
  };
  return {
    get: (path) => send('GET', path, undefined, undefined, [404]),
    // https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
    async serves(group, version) {
      const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
      const { body } = await client.send('GET', '/apis', undefined, undefined, accept);
      const groups = mapsIn(isMap(body) ? body.items : undefined).filter(isObject);
      const found = groups.find(({ metadata }) => metadata.name === group);
      return mapsIn(found?.versions).some((one) => one.version === version && one.freshness === 'Current');
    },
    list: async (path) => (await read(path)).items,
    create: (path, object) => send('POST', path, object, undefined, [409]),
    patch: (path, fields) => send('PATCH', path, fields, 'application/merge-patch+json', [404]),
    delete: async (path) => void (await send('DELETE', path, undefined, undefined, [404])),
    async watch(paths, onChange) {
      const stores = new Map<string, Map<string, KubeObject>>();
      await Promise.all(
        paths.map(async (path) => {
          const store = new Map<string, KubeObject>();
          stores.set(path, store);
          const relist = async () => {
            const { items, resourceVersion } = await read(path);
            store.clear();
            for (const item of items) store.set(keyOf(item), item);
            return String(resourceVersion);
          };
          const version = await relist();
          void follow({ server, path, credentials, signal: ended.signal, store, onChange, relist }, version);
        }),
      );
      return {
        all: (path) => [...(stores.get(path)?.values() ?? [])],
        find: (path, namespace, name) => stores.get(path)?.get(`${namespace ?? ''}/${name}`),
      };
    },
    close() {
      ended.abort();
      client.close();
    },
  };
}

interface Followed {
  readonly server: string;
  readonly path: string;
  readonly credentials: Credentials;
  readonly signal: AbortSignal;
  readonly store: Map<string, KubeObject>;
  onChange(): void;
  relist(): Promise<string>;
}

/** Follows a collection until the end of the client, through restarts of the server. */
async function follow(followed: Followed, version: string): Promise<void> {
  let from = version;
  while (!followed.signal.aborted) {
    try {
      await watchOnce(followed, from);
      from = await followed.relist();
      followed.onChange();
    } catch {
      await delay(200, undefined, { signal: followed.signal, ref: false }).catch(() => undefined);
    }
  }
}

function watchOnce({ server, path, credentials, signal, store, onChange }: Followed, from: string): Promise<void> {
  const url = new URL(`${path}?watch=true&resourceVersion=${from}`, server);
  return new Promise((resolve) => {
    const sent = request(url, { ...credentials, agent: false, signal }, (answer) => {
      let rest = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) apply(store, line);
        onChange();
      });
      answer.on('end', resolve).on('error', () => resolve());
    });
    sent.on('error', () => resolve());
    sent.end();
  });
}

function apply(store: Map<string, KubeObject>, line: string): void {
  const event: unknown = JSON.parse(line);
  if (!isMap(event) || !isObject(event.object)) return;
  if (event.type === 'DELETED') store.delete(keyOf(event.object));
  // An error ends the watch, and the list is read anew.
  else if (event.type === 'ADDED' || event.type === 'MODIFIED') store.set(keyOf(event.object), event.object);
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

export function isObject(value: unknown): value is KubeObject {
  return isMap(value) && isMap(value.metadata);
}
