import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type ObjectMeta } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import type { Reporter } from '../report/reporter.ts';
import { keyOf, type ObjectId } from '../resources/resource.ts';
import { isSkippedKind } from '../resources/rules.ts';
import { forEachOf } from '../streams.ts';

/** An object to delete: just this one, and none that has been made since under its name. */
export interface PrunableObject {
  readonly id: ObjectId;
  /** On the API server, such as `/api/v1/namespaces/shop/configmaps/a`. */
  readonly path: string;
  readonly uid: string;
  readonly kind: ResourceKind;
}

/** An object that was found, as far as its metadata goes. */
export interface FoundObject extends PrunableObject {
  readonly metadata: ObjectMeta;
  /** The keys of all groups that serve it; its own is the first. */
  readonly keys: readonly string[];
}

/** A collection that could not be listed. */
export interface Unlisted {
  readonly kind: ResourceKind;
  /** Undefined for all. */
  readonly namespace: string | undefined;
  readonly error: ClusterError;
}

export interface Found {
  /** Each once, whatever groups serve it; sorted by key. */
  readonly objects: readonly FoundObject[];
  readonly unlisted: readonly Unlisted[];
}

export interface ListQuery {
  readonly kinds: readonly ResourceKind[];
  readonly labelSelector?: string | undefined;
  /** Where to look for objects of namespaced kinds. */
  readonly namespaces: readonly string[];
  /** Looks in all namespaces at once where that is allowed, and finds what is in others too. */
  readonly everywhere: boolean;
  readonly signal?: AbortSignal | undefined;
}

const LISTS_AT_ONCE = 8;

/** The kinds whose objects an import may have brought, and that can be found and deleted. */
export function deletableKinds({ kinds }: Discovery): ResourceKind[] {
  return kinds.filter(
    (kind) => kind.verbs.includes('list') && kind.verbs.includes('delete') && isSkippedKind(kind) === undefined,
  );
}

/**
 * Lists the metadata of objects of many kinds.
 *
 * @throws ClusterError but where a kind may not be listed, or what serves it is broken: that is told in the result
 */
export async function listMetadata(cluster: Cluster, query: ListQuery): Promise<Found> {
  const byUid = new Map<string, FoundObject>();
  const unlisted: Unlisted[] = [];
  const list = async (kind: ResourceKind, namespace: string | undefined): Promise<ClusterError | undefined> => {
    const { labelSelector, signal } = query;
    const found: FoundObject[] = [];
    try {
      const path = collectionPath(kind, namespace);
      for await (const page of cluster.listPages(path, { labelSelector, metadataOnly: true, signal })) {
        for (const { metadata } of page) found.push(...read(kind, metadata));
      }
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      // Gone since discovery, or of an extension server that says it lists what it does not.
      if (error.status === 404 || error.status === 405) return undefined;
      if (error.status !== 403 && (error.status < 500 || isBuiltInGroup(kind.group))) throw error;
      return error;
    }
    for (const object of found) {
      const same = byUid.get(object.uid);
      byUid.set(object.uid, same === undefined ? object : { ...same, keys: [...same.keys, ...object.keys] });
    }
    return undefined;
  };
  await forEachOf(query.kinds, LISTS_AT_ONCE, async (kind) => {
    const isAtOnce = query.everywhere || !kind.namespaced;
    const error = isAtOnce ? await list(kind, undefined) : undefined;
    if (isAtOnce && error === undefined) return;
    if (!kind.namespaced || (error !== undefined && error.status !== 403)) {
      if (error !== undefined) unlisted.push({ kind, namespace: undefined, error });
      return;
    }
    for (const namespace of query.namespaces) {
      const refusal = await list(kind, namespace);
      if (refusal !== undefined) unlisted.push({ kind, namespace, error: refusal });
    }
  });
  return { objects: [...byUid.values()].sort((a, b) => compare(keyOf(a.id), keyOf(b.id))), unlisted };
}

/**
 * Says what could not be looked through. Who may not list a kind of no namespace has hardly brought any: that is no warning.
 *
 * @param whatThen - what follows from it, as a sentence
 */
export function tellUnlisted(
  { context }: Cluster,
  unlisted: readonly Unlisted[],
  whatThen: string,
  reporter: Reporter,
): void {
  const forbidden = unlisted.filter(({ error }) => error.status === 403);
  const [inNamespaces, others] = [true, false].map((is) => forbidden.filter(({ kind }) => kind.namespaced === is));
  if (inNamespaces !== undefined && inNamespaces.length > 0) {
    const where = [...new Set(inNamespaces.map(({ namespace }) => namespace))].sort().join(', ');
    const what = `The user of the context "${context}" may not list ${namesOf(inNamespaces)} in ${where}.`;
    reporter.warn(`${what} ${whatThen} Grant the verb list on them.`, 'Not looked through');
  }
  if (others !== undefined && others.length > 0) {
    reporter.info(`Not looked through, for lack of the verb list: ${namesOf(others)}. ${whatThen}`);
  }
  for (const { kind, error } of unlisted.filter((one) => one.error.status !== 403)) {
    reporter.warn(`${nameKind(kind)} can't be listed: ${error.message} ${whatThen}`, 'Not looked through');
  }
}

/** A kind as kubectl names it: `deployments.apps`. */
export function nameKind({ group, plural }: Pick<ResourceKind, 'group' | 'plural'>): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function namesOf(places: readonly Unlisted[]): string {
  return [...new Set(places.map(({ kind }) => nameKind(kind)))].sort().join(', ');
}

/** An object without a uid can't be told from its successor: it is left alone. */
function read(kind: ResourceKind, metadata: ObjectMeta): FoundObject[] {
  const { name, namespace, uid } = metadata;
  if (uid === undefined) return [];
  const id = { group: kind.group, kind: kind.kind, namespace: kind.namespaced ? namespace : undefined, name };
  const path = `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
  const { labels, annotations, ownerReferences, creationTimestamp, deletionTimestamp } = metadata;
  // Managed fields would be most of what is kept.
  const kept = { name, labels, annotations, ownerReferences, creationTimestamp, deletionTimestamp };
  const present = Object.entries({ ...kept, namespace: id.namespace }).filter(([, value]) => value !== undefined);
  return [{ id, path, uid, kind, keys: [keyOf(id)], metadata: { ...Object.fromEntries(present), name } }];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
