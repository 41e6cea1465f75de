import { collectionPath } from '../cluster/apply.ts';
import type { Cluster, ListOptions } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { RECORD_LABELS } from '../releases/list-records.ts';
import type { Driver } from '../releases/record.ts';
import { isKind, NAMESPACES, planListings, travellingKinds } from '../resources/list-kinds.ts';
import { labelsOfListed, needsManagedFields } from '../resources/list-pages.ts';
import type { ResourceFilter } from '../resources/selection.ts';
import type { ReflectorSource } from './reflector.ts';

/** A collection to watch. */
export interface PlannedCollection {
  readonly kind: ResourceKind;
  /** Undefined for a whole cluster. */
  readonly namespace: string | undefined;
  readonly path: string;
  readonly labelSelector: string | undefined;
  /** Where it is one object rather than a collection. */
  readonly isObject: boolean;
}

export interface PlanOptions {
  readonly discovery: Discovery;
  /** The namespaces, where all are given by name. */
  readonly names: readonly string[] | undefined;
  /** For plain resources; undefined where none are exported. */
  readonly filter: ResourceFilter | undefined;
  /** Whether cluster-scoped objects are exported at all. */
  readonly withClusterScoped: boolean;
  /** For releases; empty where none are exported. */
  readonly drivers: readonly Driver[];
}

/** What there is to watch: what an export would list. */
export function planCollections(options: PlanOptions): PlannedCollection[] {
  const { discovery, names, filter, withClusterScoped, drivers } = options;
  const kinds =
    filter === undefined
      ? []
      : travellingKinds(discovery).filter(
          (kind) => isKind(kind, NAMESPACES) || (filter.takesKind(kind) && (kind.namespaced || withClusterScoped)),
        );
  const planned = planListings(kinds, names).flatMap(({ kind, namespace, path }): PlannedCollection[] => {
    if (names !== undefined && isKind(kind, NAMESPACES)) return names.map((name) => planNamespace(kind, name));
    return [{ kind, namespace, path, labelSelector: labelsOfListed(kind), isObject: false }];
  });
  const paths = new Set(planned.map(({ path }) => path));
  const recordKinds = drivers.flatMap(
    (driver) => discovery.findKind('v1', driver === 'secret' ? 'Secret' : 'ConfigMap') ?? [],
  );
  const records = planListings(recordKinds, names)
    .filter(({ path }) => !paths.has(path))
    .map((listing) => ({ ...listing, labelSelector: RECORD_LABELS, isObject: false }));
  return [...planned, ...records];
}

/**
 * Who has rights in a namespace only may watch it alone, and by no other path than this older one:
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/
 */
function planNamespace(kind: ResourceKind, name: string): PlannedCollection {
  const path = `${collectionPath(kind)}/${encodeURIComponent(name)}`;
  return { kind, namespace: undefined, path, labelSelector: undefined, isObject: true };
}

/** How what is planned is read. */
export function sourceOf(cluster: Cluster, planned: PlannedCollection, pageBytes: number): ReflectorSource {
  const { kind, path, labelSelector, isObject } = planned;
  const withoutManagedFields = !needsManagedFields(kind);
  const shared: ListOptions = { labelSelector, withoutManagedFields };
  const watchPath = isObject ? path.replace('/api/v1/', '/api/v1/watch/') : path;
  async function* get(signal: AbortSignal) {
    const object = await findObject(cluster, path, signal);
    if (object !== undefined) yield [object];
  }
  return {
    list: ({ signal, onVersion }) =>
      isObject ? get(signal) : cluster.listPages(path, { ...shared, pageBytes, signal, onVersion }),
    watch: (options) => cluster.watch(watchPath, { ...options, ...shared }),
  };
}
