import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import { missingNamespace } from '../selection/missing-namespace.ts';
import { CRDS, isKind, type KindId, type Listing, NAMESPACES, SERVICES } from './list-kinds.ts';
import type { NamespaceScope } from './scope.ts';

type Pages = AsyncIterable<readonly KubeObject[]>;

export interface PageOptions {
  readonly scope: NamespaceScope;
  /** Of the objects asked for. */
  readonly selector: string | undefined;
  /** Whether Helm's records are read elsewhere. */
  readonly alsoReleases: boolean;
  /** Called when one of several namespaces may not be read. */
  refuse(error: ClusterError): void;
  readonly signal: AbortSignal;
}

/** Several lists are read at once, each with a page that is parsed and one on its way. */
const PAGE_BYTES = 512 * 1024;

/** Leaves out Helm's records, which travel as releases. */
export const NO_RECORDS = 'type!=helm.sh/release.v1';

/**
 * What the server can leave out, for the rules would: endpoints of every Service and records of every release can be
 * much of what a cluster has to send.
 */
const LEFT_OUT: readonly (KindId & {
  readonly labels?: string;
  readonly fields?: string;
  readonly withReleases?: true;
})[] = [
  { group: '', plural: 'endpoints', labels: 'endpoints.kubernetes.io/managed-by!=endpoint-controller' },
  {
    group: 'discovery.k8s.io',
    plural: 'endpointslices',
    labels:
      'endpointslice.kubernetes.io/managed-by notin (endpointslice-controller.k8s.io,endpointslicemirroring-controller.k8s.io)',
  },
  { group: '', plural: 'secrets', fields: NO_RECORDS, withReleases: true },
];

/** Asks for the objects of a listing, as few as will do; the first page is on its way before it is read. */
export function pagesOf(cluster: Cluster, listing: Listing, options: PageOptions): Pages {
  const { scope, selector, alsoReleases, signal } = options;
  const { kind, path } = listing;
  if (isKind(kind, NAMESPACES)) {
    return scope.names === undefined
      ? listNamespaces(cluster, path, scope, signal)
      : getNamespaces(cluster, path, options, scope.names);
  }
  const leftOut = LEFT_OUT.find((one) => isKind(kind, one) && (alsoReleases || one.withReleases !== true));
  // All Services are looked at for what their endpoints are, and cluster-scoped objects for whether they are needed.
  const labels = [kind.namespaced && !isKind(kind, SERVICES) ? selector : undefined, leftOut?.labels];
  return startNow(
    cluster.listPages(path, {
      labelSelector: labels.filter((label) => label !== undefined).join(',') || undefined,
      fieldSelector: leftOut?.fields,
      pageBytes: PAGE_BYTES,
      withoutManagedFields: !needsManagedFields(kind),
      signal,
    }),
  );
}

/** What the server leaves out of every list of the kind: such endpoints never travel. */
export function labelsOfListed(kind: ResourceKind): string | undefined {
  return LEFT_OUT.find((one) => isKind(kind, one))?.labels;
}

/**
 * Whether managed fields are to be left in lists of the kind. Services tell by them which ports were asked for; what others
 * wrote into an object may have a field of that name.
 */
export function needsManagedFields(kind: ResourceKind): boolean {
  return (
    isKind(kind, SERVICES) ||
    isKind(kind, CONTROLLER_REVISIONS) ||
    kind.group === 'resource.k8s.io' ||
    !isBuiltInGroup(kind.group)
  );
}

const CONTROLLER_REVISIONS: KindId = { group: 'apps', plural: 'controllerrevisions' };

/** The names of all CRDs; only their metadata is asked for. */
export async function listCrds(cluster: Cluster, signal: AbortSignal | undefined): Promise<KubeObject[]> {
  const { items } = await cluster.json<{ readonly items: readonly KubeObject[] | null }>({
    method: 'GET',
    path: `/apis/${CRDS.group}/v1/${CRDS.plural}`,
    accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
    signal,
  });
  return (items ?? []).map((item) => ({ ...item, apiVersion: `${CRDS.group}/v1` }));
}

/** @throws TransshipError `INPUT` for a namespace that was named beside globs and does not exist */
async function* listNamespaces(
  cluster: Cluster,
  path: string,
  { required }: NamespaceScope,
  signal: AbortSignal,
): AsyncGenerator<readonly KubeObject[]> {
  const missing = new Set(required);
  for await (const page of cluster.listPages(path, { signal })) {
    for (const { metadata } of page) missing.delete(metadata.name);
    yield page;
  }
  for (const name of missing) throw await missingNamespace(cluster, name, signal);
}

/**
 * One by one: who has rights in a namespace only may often get it, but never list all.
 *
 * @throws TransshipError `INPUT` for one that does not exist
 */
async function* getNamespaces(
  cluster: Cluster,
  path: string,
  { refuse, signal }: PageOptions,
  names: readonly string[],
): AsyncGenerator<readonly KubeObject[]> {
  const found = await Promise.all(names.map((name) => getNamespace(cluster, `${path}/${name}`, refuse, signal)));
  for (const [index, name] of names.entries()) {
    if (found[index] === undefined) throw await missingNamespace(cluster, name, signal);
  }
  yield found.filter((namespace) => typeof namespace === 'object');
}

async function getNamespace(
  cluster: Cluster,
  path: string,
  refuse: (error: ClusterError) => void,
  signal: AbortSignal,
): Promise<KubeObject | 'forbidden' | undefined> {
  try {
    return await findObject(cluster, path, signal);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    refuse(error);
    return 'forbidden';
  }
}

function startNow<T>(source: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = source[Symbol.asyncIterator]();
  const first = iterator.next();
  // It is met by the reader, if any.
  first.catch(() => {});
  async function* read() {
    try {
      for (let next = await first; next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return read();
}
