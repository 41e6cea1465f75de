import type { SnapshotKind } from '../archive/snapshot.ts';
import { collectionPath } from '../cluster/apply.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { isSkippedKind } from './rules.ts';

/** One collection to list. */
export interface Listing {
  readonly kind: ResourceKind;
  /** Undefined for a whole cluster. */
  readonly namespace: string | undefined;
  readonly path: string;
}

/** What tells a kind, whatever its version. */
export type KindId = Pick<ResourceKind, 'group' | 'plural'>;

export const NAMESPACES: KindId = { group: '', plural: 'namespaces' };
export const VOLUMES: KindId = { group: '', plural: 'persistentvolumes' };
export const SERVICES: KindId = { group: '', plural: 'services' };
export const CRDS: KindId = { group: 'apiextensions.k8s.io', plural: 'customresourcedefinitions' };

/** Others wait for these. */
const FIRST = [NAMESPACES, VOLUMES, SERVICES];

/** Those that most objects of a cluster are of, the largest lists first: started late, they would be waited for alone. */
const LARGE = [
  'secrets',
  'configmaps',
  'pods',
  'replicasets',
  'deployments',
  'jobs',
  'persistentvolumeclaims',
  'endpointslices',
  'endpoints',
  'rolebindings',
  'roles',
  'serviceaccounts',
];

/** The kinds whose objects can travel; CRDs have a way of their own. */
export function travellingKinds({ kinds }: Discovery): ResourceKind[] {
  return kinds.filter(
    (kind) => kind.verbs.includes('list') && !isKind(kind, CRDS) && isSkippedKind(kind) === undefined,
  );
}

/** The kinds that `_snapshot.json` tells of: those that can be listed and are not always left out. */
export function snapshotKinds(discovery: Discovery): SnapshotKind[] {
  return travellingKinds(discovery).map(({ group, version, kind, plural, namespaced, versions }) => ({
    group,
    version,
    kind,
    plural,
    namespaced,
    versions,
  }));
}

/** The API versions whose server does not answer, but for those of which nothing would travel. */
export function staleVersions({ stale }: Discovery): string[] {
  return stale.filter((apiVersion) => {
    const group = apiVersion.slice(0, Math.max(0, apiVersion.indexOf('/')));
    return isSkippedKind({ group, kind: '', plural: '' }) === undefined;
  });
}

/** The plurals that several kinds go by. */
export function sharedPlurals({ kinds }: Discovery): Set<string> {
  const listable = kinds.filter(({ verbs }) => verbs.includes('list'));
  const byPlural = Map.groupBy(listable, ({ plural }) => plural);
  return new Set([...byPlural].filter(([, { length }]) => length > 1).map(([plural]) => plural));
}

/**
 * What to list, in order: what others wait for first, then the kinds with the most objects, cluster-scoped ones last.
 *
 * @param namespaces - to list one by one; undefined: all at once
 */
export function planListings(kinds: readonly ResourceKind[], namespaces: readonly string[] | undefined): Listing[] {
  return kinds
    .toSorted((a, b) => rankOf(a) - rankOf(b))
    .flatMap((kind) => {
      const places = kind.namespaced && namespaces !== undefined ? namespaces : [undefined];
      return places.map((namespace) => ({ kind, namespace, path: collectionPath(kind, namespace) }));
    });
}

/** Whether a kind is that one. */
export function isKind({ group, plural }: KindId, wanted: KindId): boolean {
  return plural === wanted.plural && group === wanted.group;
}

function rankOf(kind: ResourceKind): number {
  const first = FIRST.findIndex((wanted) => isKind(kind, wanted));
  if (first !== -1) return first - FIRST.length;
  const large = LARGE.indexOf(kind.plural);
  if (kind.namespaced) return large === -1 ? LARGE.length : large;
  return LARGE.length + 1;
}
