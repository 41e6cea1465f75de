import { entryOf } from '../../../src/archive/entry.ts';
import type { SnapshotKind } from '../../../src/archive/snapshot.ts';
import { collectionPath } from '../../../src/cluster/apply.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../../../src/cluster/discovery.ts';
import { loadDiff } from '../../../src/plan/diff.ts';
import type { Preflight } from '../../../src/preflight/preflight.ts';
import type { Reporter } from '../../../src/report/reporter.ts';
import {
  type PrepareOptions,
  planResources,
  prepareResources,
  type ResourceFiles,
  type ResourcePlan,
} from '../../../src/resources/prepare.ts';
import { idOf, nameObject } from '../../../src/resources/resource.ts';
import type { ImportWork } from '../../../src/resources/work.ts';
import { isMap } from '../../../src/values.ts';
import { noWatch } from '../../helpers/no-watch.ts';

/** A kind as discovery has it, from `apps/v1 deployments Deployment`; cluster-scoped after a `*`. */
export function kindOf(text: string, versions?: readonly string[]): ResourceKind {
  const [apiVersion = '', name = '', kind = ''] = text.split(' ');
  const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const plural = name.replace('*', '');
  const namespaced = !name.startsWith('*');
  const singular = kind.toLowerCase();
  return {
    group,
    version,
    apiVersion,
    kind,
    plural,
    singular,
    shortNames: [],
    namespaced,
    verbs: [],
    versions: versions ?? [version],
  };
}

export const KINDS: readonly ResourceKind[] = [
  kindOf('v1 configmaps ConfigMap'),
  kindOf('v1 secrets Secret'),
  kindOf('v1 serviceaccounts ServiceAccount'),
  kindOf('v1 persistentvolumeclaims PersistentVolumeClaim'),
  kindOf('v1 *persistentvolumes PersistentVolume'),
  kindOf('v1 *namespaces Namespace'),
  kindOf('apps/v1 deployments Deployment'),
  kindOf('batch/v1 jobs Job'),
  kindOf('storage.k8s.io/v1 *storageclasses StorageClass'),
  kindOf('rbac.authorization.k8s.io/v1 *clusterroles ClusterRole'),
  kindOf('rbac.authorization.k8s.io/v1 *clusterrolebindings ClusterRoleBinding'),
  kindOf('apiextensions.k8s.io/v1 *customresourcedefinitions CustomResourceDefinition'),
];

/** What a cluster with these kinds serves: each in all its versions. */
export function discoveryOf(kinds: readonly ResourceKind[], stale: readonly string[] = []): Discovery {
  const all = kinds.flatMap((kind) =>
    kind.versions.map((version) => ({
      ...kind,
      version,
      apiVersion: kind.group === '' ? version : `${kind.group}/${version}`,
    })),
  );
  return {
    kinds,
    stale,
    findKind: (apiVersion, kind) => all.find((one) => one.apiVersion === apiVersion && one.kind === kind),
    findByName: (name) => kinds.find(({ plural }) => plural === name),
  };
}

/** What a snapshot says of the kinds. */
export function snapshotKindsOf(kinds: readonly ResourceKind[]): SnapshotKind[] {
  return kinds.map(({ group, version, kind, plural, namespaced, versions }) => ({
    group,
    version,
    kind,
    plural,
    namespaced,
    versions,
  }));
}

/** An object from `v1 ConfigMap shop/app` or `v1 Namespace shop`, and the rest of it. */
export function objectOf(text: string, { metadata, ...rest }: Record<string, unknown> = {}): KubeObject {
  const [apiVersion = '', kind = '', id = ''] = text.split(' ');
  const [namespace, name = ''] = id.includes('/') ? id.split('/') : [undefined, id];
  const more = isMap(metadata) ? metadata : {};
  return { apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...more }, ...rest };
}

/** A CRD of `widgets.example.com` and its like. */
export function crdOf(
  name: string,
  kind: string,
  versions: readonly string[],
  more: Record<string, unknown> = {},
): KubeObject {
  const [plural = '', ...group] = name.split('.');
  const spec = {
    group: group.join('.'),
    names: { kind, plural, singular: kind.toLowerCase() },
    scope: 'Namespaced',
    versions: versions.map((version) => ({ name: version, served: true, storage: version === versions[0] })),
  };
  return objectOf(`apiextensions.k8s.io/v1 CustomResourceDefinition ${name}`, { spec, ...more });
}

/** A snapshot's files, each a List of objects. */
export function filesOf(lists: Record<string, readonly KubeObject[]>): ResourceFiles {
  return {
    paths: () => Object.keys(lists),
    entry: (path) => {
      const lines = (lists[path] ?? []).map((object) => JSON.stringify(object));
      return entryOf(
        path,
        `{"apiVersion":"v1","kind":"List","metadata":{},"items":[${lines.map((line) => `\n${line}`).join(',')}\n]}\n`,
      );
    },
  };
}

export interface Target extends Cluster {
  /** `<method> <path>` in the order they came. */
  readonly requests: string[];
}

export interface TargetOptions {
  readonly kinds?: readonly ResourceKind[];
  /** Answers a request instead; undefined: as usual. */
  readonly answer?: (request: ClusterRequest) => KubeObject | ClusterError | undefined;
}

/**
 * A cluster that has some objects and never changes: what is written to it is only tried. An apply lays the given fields
 * over those there are, as the server does.
 */
export function targetWith(
  objects: readonly KubeObject[],
  { kinds = KINDS, answer = () => undefined }: TargetOptions = {},
): Target {
  const { findKind } = discoveryOf(kinds);
  const there = new Map(
    objects.map((object) => {
      const kind = findKind(object.apiVersion, object.kind);
      if (kind === undefined) throw new Error(`The target serves no ${object.kind}.`);
      return [`${collectionPath(kind, object.metadata.namespace)}/${object.metadata.name}`, object];
    }),
  );
  const requests: string[] = [];
  const carryOut = (request: ClusterRequest): unknown => {
    requests.push(`${request.method} ${request.path}`);
    if (request.method !== 'GET' && request.query?.dryRun !== 'All')
      throw new Error(`${request.method} changes something.`);
    const given = answer(request);
    if (given instanceof ClusterError) throw given;
    if (given !== undefined) return given;
    if (request.method === 'POST' || request.method === 'PUT') return request.body;
    const live = there.get(request.path);
    if (live === undefined) throw new ClusterError(404, 'NotFound', `${request.path} not found`);
    return request.method === 'PATCH' ? overlay(live, request.body) : live;
  };
  return {
    context: 'prod',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: {},
    requests,
    json: async (request) => JSON.parse(JSON.stringify(carryOut(request))),
    async *list(path) {
      requests.push(`GET ${path}`);
      const given = answer({ method: 'GET', path });
      if (given instanceof ClusterError) throw given;
      for (const [place, object] of there) {
        if (place.slice(0, place.lastIndexOf('/')) === path) yield structuredClone(object);
      }
    },
    async *listPages(path, options) {
      const page: KubeObject[] = [];
      for await (const object of this.list(path, options)) page.push(object);
      yield page;
    },
    ...noWatch,
    async *listData() {},
    async close() {},
  };
}

function overlay(below: unknown, above: unknown): unknown {
  if (!isMap(below) || !isMap(above)) return above;
  const keys = Object.keys(above).map((key): [string, unknown] => [key, overlay(below[key], above[key])]);
  return { ...below, ...Object.fromEntries(keys) };
}

/** The server's refusal of a change, with the fields it is about. */
export function refusalOf(...fields: readonly string[]): ClusterError {
  const causes = fields.map((field) => ({
    reason: 'FieldValueForbidden',
    field,
    message: 'Forbidden: field is immutable',
  }));
  const answer = { kind: 'Status', message: 'is invalid', reason: 'Invalid', code: 422, details: { causes } };
  return new ClusterError(422, 'Invalid', 'is invalid', { answer });
}

/** A reporter that keeps what it is told, each line with its level. */
export function keepReports(): Reporter & { readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { lines, info: keep('info'), warn: keep('warn'), error: keep('error'), debug() {}, progress() {}, mask() {} };
}

/** What a test asks for; the rest is made up. */
export interface Asked extends Partial<Omit<PrepareOptions, 'cluster' | 'choice' | 'namespaceMap' | 'discovery'>> {
  readonly served?: readonly ResourceKind[];
  readonly stale?: readonly string[];
  readonly choice?: Partial<PrepareOptions['choice']>;
  readonly map?: Record<string, string>;
}

export function prepare(
  lists: Record<string, readonly KubeObject[]>,
  cluster: Cluster,
  asked: Asked = {},
): Promise<ImportWork> {
  return prepareResources(filesOf(lists), optionsOf(cluster, asked));
}

/** A plan, and what the preflight was told: `create ConfigMap shop/app`. */
export async function plan(
  lists: Record<string, readonly KubeObject[]>,
  cluster: Cluster,
  asked: Asked = {},
): Promise<ResourcePlan & { readonly noted: readonly string[] }> {
  const noted: string[] = [];
  const preflight: Preflight = {
    note: (object, _kind, change) => void noted.push(`${change} ${nameObject(idOf(object))}`),
    noteRelease() {},
    finish: async () => [],
  };
  const explain = { differ: await loadDiff(), preflight };
  return { ...(await planResources(filesOf(lists), { ...optionsOf(cluster, asked), explain })), noted };
}

function optionsOf(cluster: Cluster, { served = KINDS, stale, choice, map = {}, ...options }: Asked): PrepareOptions {
  return {
    cluster,
    discovery: discoveryOf(served, stale),
    kinds: snapshotKindsOf(KINDS),
    origin: 'snapshot 26-01-31_12-00-00 of stage',
    choice: { namespaces: [], exclude: [], alsoReleases: false, ...choice },
    namespaceMap: new Map(Object.entries(map)),
    replace: false,
    recreate: false,
    restoreStatus: [],
    otherCrds: new Set(),
    concurrency: 4,
    reporter: keepReports(),
    ...options,
  };
}

/** What is to be done: `new v1 ConfigMap shop/app`, in the order of the work. */
export async function linesOf(work: ImportWork): Promise<string[]> {
  const lines: string[] = [];
  for (const file of work.files) {
    for await (const { object, standing, recreate } of work.objects(file)) {
      const { apiVersion, kind, metadata } = object;
      const id = metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
      lines.push(`${recreate ? 'recreate' : standing} ${apiVersion} ${kind} ${id}`);
    }
  }
  return lines;
}

/** The objects of the work, in its order. */
export async function objectsOf(work: ImportWork): Promise<KubeObject[]> {
  const objects: KubeObject[] = [];
  for (const file of work.files) for await (const { object } of work.objects(file)) objects.push(object);
  return objects;
}
