import { gzipSync } from 'node:zlib';
import type { Cluster, KubeObject, ListOptions } from '../../../src/cluster/cluster.ts';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { toDataObject } from '../../../src/cluster/data-objects.ts';
import type { Driver } from '../../../src/releases/record.ts';
import type { Reporter } from '../../../src/report/reporter.ts';
import { noWatch } from '../../helpers/no-watch.ts';

/** What a test says of a record; the rest is made up. */
export interface RecordSpec {
  readonly driver?: Driver;
  readonly namespace?: string;
  readonly release?: string;
  readonly revision?: number;
  readonly status?: string;
  readonly labels?: Record<string, string>;
  readonly manifest?: string;
  readonly chart?: Record<string, unknown>;
  /** Stored instead of the JSON made from the above. */
  readonly json?: string;
  readonly plain?: boolean;
  /** The text in `data.release`, as the API server shows it. */
  readonly payload?: string;
}

/** The JSON of a release, with the fields and order that Helm 4 writes. */
export function makeJson(spec: RecordSpec = {}): string {
  const { namespace = 'shop', release = 'web', revision = 1, status = 'deployed', manifest = '---\n# x\n' } = spec;
  const chart = spec.chart ?? { metadata: { name: 'app', version: '1.2.3', appVersion: '9.9' }, files: [] };
  return JSON.stringify({
    name: release,
    info: { first_deployed: '2026-01-02T03:04:05Z', description: 'Install complete', status },
    chart,
    config: {},
    manifest,
    version: revision,
    namespace,
    apply_method: 'ssa',
  });
}

/** A Secret or ConfigMap as the API server lists it. */
export function makeObject(spec: RecordSpec = {}): KubeObject {
  const { driver = 'secret', namespace = 'shop', release = 'web', revision = 1, status = 'deployed' } = spec;
  const json = Buffer.from(spec.json ?? makeJson(spec));
  const packed = (spec.plain ? json : gzipSync(json, { level: 9 })).toString('base64');
  const payload = spec.payload ?? (driver === 'secret' ? Buffer.from(packed).toString('base64') : packed);
  return {
    apiVersion: 'v1',
    kind: driver === 'secret' ? 'Secret' : 'ConfigMap',
    metadata: {
      name: `sh.helm.release.v1.${release}.v${revision}`,
      namespace,
      uid: `${driver}-${namespace}-${release}-${revision}`,
      labels: { owner: 'helm', name: release, version: String(revision), status, createdAt: '1', ...spec.labels },
    },
    ...(driver === 'secret' ? { type: 'helm.sh/release.v1' } : {}),
    data: { release: payload },
  };
}

/** What a {@link fakeCluster} was asked. */
export interface FakeCluster extends Cluster {
  readonly lists: string[];
  readonly gets: string[];
}

/** A cluster of the given objects, listed in the server's order; `forbidden` paths are refused. */
export function fakeCluster(
  objects: readonly KubeObject[],
  { namespaces = [] as string[], crds = [] as KubeObject[], forbidden = [] as string[] } = {},
): FakeCluster {
  const lists: string[] = [];
  const gets: string[] = [];
  const refuse = (path: string) => {
    if (forbidden.includes(path)) throw new ClusterError(403, 'Forbidden', `${path} is forbidden`);
  };
  return {
    context: 'fake',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: {},
    lists,
    gets,
    async json<T>({ path }: { path: string }): Promise<T> {
      gets.push(path);
      refuse(path);
      const found =
        crds.find((crd) => path.endsWith(`/${crd.metadata.name}`)) ??
        namespaces.map(namespaceOf).find((one) => path === `/api/v1/namespaces/${one.metadata.name}`);
      if (found === undefined) throw new ClusterError(404, 'NotFound', `${path} not found`);
      return JSON.parse(JSON.stringify(found));
    },
    async *list(path: string, { labelSelector }: ListOptions = {}): AsyncGenerator<KubeObject> {
      lists.push(labelSelector === undefined ? path : `${path}?labelSelector=${labelSelector}`);
      refuse(path);
      const [, , , , namespace, plural = path.split('/').at(-1)] = path.split('/');
      const kind = plural === 'secrets' ? 'Secret' : plural === 'configmaps' ? 'ConfigMap' : 'Namespace';
      const found = [...objects, ...namespaces.map(namespaceOf)]
        .filter((object) => object.kind === kind)
        .filter((object) => path.split('/').length < 6 || object.metadata.namespace === namespace)
        .filter((object) => labelSelector !== 'owner=helm' || object.metadata.labels?.owner === 'helm')
        .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
      yield* found;
    },
    async *listPages(path: string, options?: ListOptions) {
      const page: KubeObject[] = [];
      for await (const object of this.list(path, options)) page.push(object);
      yield page;
    },
    ...noWatch,
    async *listData(path: string, options?: ListOptions) {
      for await (const page of this.listPages(path, options))
        yield page.flatMap((object) => toDataObject(object) ?? []);
    },
    async close() {},
  };
}

/** A reporter that keeps its warnings. */
export function keepWarnings(): Reporter & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return {
    warnings,
    info() {},
    warn: (message) => warnings.push(message),
    error() {},
    debug() {},
    progress() {},
    mask() {},
  };
}

function namespaceOf(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Everything a stream yields. */
export async function readAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
