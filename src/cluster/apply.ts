import { TransshipError } from '../errors.ts';
import { type Cluster, ClusterError, type KubeObject } from './cluster.ts';
import type { Discovery, ResourceKind } from './discovery.ts';

/** The field manager of everything this program writes. */
export const FIELD_MANAGER = 'transship';

/** Enough of an object to find it. A namespaced one without a namespace is in the cluster's default one. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined };
}

export interface WriteOptions {
  /** The server checks, defaults and admits, but keeps nothing. */
  readonly dryRun?: boolean | undefined;
  /** Default {@link FIELD_MANAGER}. */
  readonly fieldManager?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ApplyOptions extends WriteOptions {
  /** Takes over fields that another manager owns, instead of failing with 409 Conflict. */
  readonly force?: boolean | undefined;
}

export interface DeleteOptions {
  /** Deletes only the object that has this uid: not one made since under the same name. */
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  /** What becomes of what the object owns; the server's default is `Background` for almost every kind. */
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan' | undefined;
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Server-side apply: https://kubernetes.io/docs/reference/using-api/server-side-apply/
 *
 * @returns the object as it is now
 * @throws ClusterError `Conflict` (409) naming the other manager, without `force`
 */
export function applyObject(
  cluster: Cluster,
  discovery: Discovery,
  object: KubeObject,
  options: ApplyOptions = {},
): Promise<KubeObject> {
  return cluster.json<KubeObject>({
    method: 'PATCH',
    path: objectPath(cluster, discovery, object),
    query: { ...writeQuery(options), force: options.force === true ? true : undefined },
    // JSON is YAML, and this is the only content type that every server with server-side apply takes.
    contentType: 'application/apply-patch+yaml',
    body: object,
    signal: options.signal,
  });
}

/** @throws ClusterError `AlreadyExists` (409) */
export function createObject(
  cluster: Cluster,
  discovery: Discovery,
  object: KubeObject,
  options: WriteOptions = {},
): Promise<KubeObject> {
  const kind = kindOf(discovery, object);
  return cluster.json<KubeObject>({
    method: 'POST',
    path: collectionPath(kind, namespaceOf(cluster, kind, object)),
    query: writeQuery(options),
    body: object,
    signal: options.signal,
  });
}

/**
 * Puts `object` in place of the existing one. With a `metadata.resourceVersion` only if that is still the existing one's.
 *
 * @throws ClusterError `Conflict` (409) or `NotFound` (404)
 */
export function replaceObject(
  cluster: Cluster,
  discovery: Discovery,
  object: KubeObject,
  options: WriteOptions = {},
): Promise<KubeObject> {
  return cluster.json<KubeObject>({
    method: 'PUT',
    path: objectPath(cluster, discovery, object),
    query: writeQuery(options),
    body: object,
    signal: options.signal,
  });
}

/** @returns undefined when there is no such object, or no such kind in the cluster any more */
export function getObject(
  cluster: Cluster,
  discovery: Discovery,
  ref: ObjectRef,
  signal?: AbortSignal,
): Promise<KubeObject | undefined> {
  const path = objectPath(cluster, discovery, ref);
  return unlessNotFound(cluster.json<KubeObject>({ method: 'GET', path, signal }));
}

/**
 * Asks for the deletion of an object; finalizers may keep it for a while after.
 *
 * @returns whether there was one
 * @throws ClusterError `Conflict` (409) when a precondition does not hold
 */
export async function deleteObject(
  cluster: Cluster,
  discovery: Discovery,
  ref: ObjectRef,
  options: DeleteOptions = {},
): Promise<boolean> {
  const { uid, resourceVersion } = options;
  const answer = await unlessNotFound(
    cluster.json<unknown>({
      method: 'DELETE',
      path: objectPath(cluster, discovery, ref),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion },
        propagationPolicy: options.propagation,
        dryRun: options.dryRun === true ? ['All'] : undefined,
      },
      signal: options.signal,
    }),
  );
  return answer !== undefined;
}

/** The path of one object. */
export function objectPath(cluster: Cluster, discovery: Discovery, ref: ObjectRef): string {
  const kind = kindOf(discovery, ref);
  return `${collectionPath(kind, namespaceOf(cluster, kind, ref))}/${encodeURIComponent(ref.metadata.name)}`;
}

/** The path of a collection; of a namespaced kind without `namespace`, over all namespaces. */
export function collectionPath(kind: ResourceKind, namespace?: string): string {
  const root = kind.group === '' ? '/api' : '/apis';
  const scope = kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}/${kind.apiVersion}${scope}/${kind.plural}`;
}

function kindOf(discovery: Discovery, { apiVersion, kind, metadata }: ObjectRef): ResourceKind {
  const found = discovery.findKind(apiVersion, kind);
  if (found === undefined) {
    const other = discovery.kinds.find(
      (one) => one.kind === kind && apiVersion.split('/').at(-2) === (one.group === '' ? undefined : one.group),
    );
    throw new TransshipError('CLUSTER', `The cluster serves no ${kind} of ${apiVersion} (for "${metadata.name}").`, {
      hint:
        other === undefined
          ? 'Its CustomResourceDefinition or API service has to be installed first.'
          : `It serves the same kind as ${other.apiVersion}.`,
    });
  }
  return found;
}

function namespaceOf(cluster: Cluster, kind: ResourceKind, ref: ObjectRef): string | undefined {
  return kind.namespaced ? (ref.metadata.namespace ?? cluster.namespace) : undefined;
}

function writeQuery({ dryRun, fieldManager = FIELD_MANAGER }: WriteOptions): Record<string, string | undefined> {
  return { fieldManager, dryRun: dryRun === true ? 'All' : undefined };
}

async function unlessNotFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ClusterError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}
