import type { ServerResponse } from 'node:http';
import type { Cluster, KubeObject } from '../../../src/cluster/cluster.ts';
import { answerJson, answerStatus, kubeconfigOf, openTestCluster, startServer } from '../cluster/misbehaving-server.ts';

/** A kind that the server serves. */
export interface ServedKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs?: readonly string[];
}

/** An API server that lists and watches as the real one does, and breaks when told to. */
export interface WatchServer {
  readonly cluster: Cluster;
  readonly kinds: ServedKind[];
  /** Creates or changes an object. */
  put(object: KubeObject): void;
  /** Deletes an object. */
  remove(object: KubeObject): void;
  /** Sends the version that there is now to all who watch. */
  bookmark(): void;
  /** Cuts all watches, in the middle of a line where one is given. */
  drop(cut?: string): void;
  /** Forgets all changes so far: who watches from before is told so, as an answer or as an event. */
  expire(as?: 'answer' | 'event'): void;
  /** Asked for each request by verb, and path; a status is the answer. */
  refuse: (verb: 'list' | 'watch' | 'get', path: string) => number | undefined;
  /** `list <path>` and `watch <path> <version>`, in the order they came. */
  readonly asked: string[];
  /** Watches that are open. */
  watches(): number;
}

interface Change {
  readonly version: number;
  readonly type: string;
  readonly object: KubeObject;
}

interface Watching {
  readonly response: ServerResponse;
  readonly holds: (object: KubeObject) => boolean;
}

const CONFIG_MAPS = { group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true };

export async function startWatchServer(): Promise<WatchServer> {
  const kinds: ServedKind[] = [CONFIG_MAPS];
  const objects = new Map<string, KubeObject>();
  const asked: string[] = [];
  const watching = new Set<Watching>();
  let changes: Change[] = [];
  let version = 100;
  let oldest = 0;
  let expiredAs: 'answer' | 'event' = 'answer';

  const server = await startServer((request, response) => {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://x');
    if (path === '/api' || path === '/apis') {
      answerJson(response, discoveryOf(kinds, path === '/api'));
      return;
    }
    const verb = query.has('watch') || path.includes('/watch/') ? 'watch' : query.has('limit') ? 'list' : 'get';
    asked.push(`${verb} ${path}${verb === 'watch' ? ` ${query.get('resourceVersion') ?? '-'}` : ''}`);
    const status = api.refuse(verb, path);
    if (status !== undefined) {
      answerStatus(response, status, status === 403 ? 'Forbidden' : 'Refused', `${verb} ${path} is refused`);
    } else if (verb === 'get') {
      const object = [...objects.values()].find(
        (one) => `${collectionOf(one, kinds, '')}/${one.metadata.name}` === path,
      );
      if (object === undefined) answerStatus(response, 404, 'NotFound', `${path} not found`);
      else answerJson(response, object);
    } else if (!kinds.some(({ plural }) => path.endsWith(`/${plural}`)) && !path.includes('/watch/')) {
      answerStatus(response, 404, 'NotFound', 'the server could not find the requested resource');
    } else if (verb === 'list') list(response, path, query);
    else watch(response, path, query);
  }, 'plain');

  function list(response: ServerResponse, path: string, query: URLSearchParams): void {
    const kind = kinds.find(({ plural }) => path.endsWith(`/${plural}`));
    const items = [...objects]
      .filter(([, object]) => isIn(path, object, kinds) && isSelected(object, query))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { apiVersion: _v, kind: _k, ...item }]) => item);
    const apiVersion = kind?.group ? `${kind.group}/${kind.version}` : (kind?.version ?? 'v1');
    const metadata = { resourceVersion: `${version}` };
    answerJson(response, { apiVersion, kind: `${kind?.kind}List`, metadata, items });
  }

  function watch(response: ServerResponse, path: string, query: URLSearchParams): void {
    const from = query.get('resourceVersion');
    const isExpired = from !== null && Number(from) < oldest;
    const gone = { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` };
    if (isExpired && expiredAs === 'answer') {
      answerStatus(response, 410, 'Expired', gone.message);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (isExpired) {
      response.end(line('ERROR', gone));
      return;
    }
    const one = { response, holds: (object: KubeObject) => isIn(path, object, kinds) && isSelected(object, query) };
    const before =
      from === null
        ? [...objects.values()].map((object) => ({ version, type: 'ADDED', object }))
        : changes.filter((change) => change.version > Number(from));
    for (const change of before) if (one.holds(change.object)) response.write(line(change.type, change.object));
    watching.add(one);
    response.on('close', () => watching.delete(one));
  }

  function note(type: string, object: KubeObject): void {
    changes.push({ version, type, object });
    for (const { response, holds } of watching) if (holds(object)) response.write(line(type, object));
  }

  const api: WatchServer = {
    cluster: await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) }),
    kinds,
    asked,
    refuse: () => undefined,
    put(object) {
      version += 1;
      const type = objects.has(keyOf(object)) ? 'MODIFIED' : 'ADDED';
      const { name } = object.metadata;
      const stored = { ...object, metadata: { uid: `uid-${name}`, ...object.metadata, resourceVersion: `${version}` } };
      objects.set(keyOf(object), stored);
      note(type, stored);
    },
    remove(object) {
      const stored = objects.get(keyOf(object));
      if (stored === undefined) throw new Error(`There is no ${keyOf(object)}.`);
      version += 1;
      objects.delete(keyOf(object));
      note('DELETED', { ...stored, metadata: { ...stored.metadata, resourceVersion: `${version}` } });
    },
    bookmark() {
      const object = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { resourceVersion: `${version}` } };
      for (const { response } of watching) response.write(line('BOOKMARK', object));
    },
    drop(cut) {
      for (const { response } of watching) {
        if (cut === undefined) response.destroy();
        else response.write(cut, () => response.destroy());
      }
    },
    expire(as = 'answer') {
      expiredAs = as;
      version += 1;
      oldest = version;
      changes = [];
      for (const { response } of watching) response.end();
    },
    watches: () => watching.size,
  };
  return api;
}

function line(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function keyOf({ apiVersion, kind, metadata }: KubeObject): string {
  return `${apiVersion}/${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

/** @param scope - `/namespaces/<name>`, or empty for all namespaces */
function collectionOf({ apiVersion, kind }: KubeObject, kinds: readonly ServedKind[], scope: string): string {
  const plural = kinds.find((one) => one.kind === kind)?.plural ?? '';
  return `/${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}${scope}/${plural}`;
}

function isIn(path: string, object: KubeObject, kinds: readonly ServedKind[]): boolean {
  const { namespace, name } = object.metadata;
  const whole = collectionOf(object, kinds, '');
  return (
    path === whole ||
    path === collectionOf(object, kinds, `/namespaces/${namespace}`) ||
    path === `${whole}/${name}`.replace('/api/v1/', '/api/v1/watch/')
  );
}

/** Understands what an export asks for. */
function isSelected({ metadata, ...object }: KubeObject, query: URLSearchParams): boolean {
  const labels = query.get('labelSelector') ?? '';
  const fields = query.get('fieldSelector') ?? '';
  const isRecord = object.type === 'helm.sh/release.v1';
  return (labels !== 'owner=helm' || metadata.labels?.owner === 'helm') && (fields === '' || !isRecord);
}

function discoveryOf(kinds: readonly ServedKind[], isCore: boolean): object {
  const ofRoot = kinds.filter(({ group }) => (group === '') === isCore);
  const groups = Map.groupBy(ofRoot, ({ group }) => group);
  return {
    kind: 'APIGroupDiscoveryList',
    items: [...groups].map(([name, members]) => ({
      metadata: { name },
      versions: [...Map.groupBy(members, ({ version }) => version)].map(([version, served]) => ({
        version,
        freshness: 'Current',
        resources: served.map(({ kind, plural, namespaced, verbs = ['get', 'list', 'watch'] }) => ({
          resource: plural,
          responseKind: { kind },
          scope: namespaced ? 'Namespaced' : 'Cluster',
          verbs,
        })),
      })),
    })),
  };
}
