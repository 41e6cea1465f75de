import { collectionPath, FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { causesOf } from './causes.ts';
import { describeRefusal } from './plan-refusal.ts';
import { saidBy } from './write-refusals.ts';

/** What a dry run of a creation came to: the object with all that the server fills in, or why it would not have it. */
export type Tried = { readonly made: KubeObject } | { readonly error: ClusterError };

export interface TryOptions {
  readonly cluster: Cluster;
  readonly kind: ResourceKind;
  /** As it is sent: see {@link bodyOf}. */
  readonly object: KubeObject;
  /** Default: the object's. */
  readonly namespace?: string | undefined;
  /** Refuse fields that the kind does not know, which the server else drops. */
  readonly strict?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A name that is free for sure, so that only what is wrong with an object itself is refused. */
const PROBE_NAME = 'transship-dry-run';

/** What is sent: owner references need uids, which only the import knows, and status has a way of its own. */
export function bodyOf({ status: _status, metadata, ...rest }: KubeObject): KubeObject {
  const { ownerReferences: _ownerReferences, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

/**
 * Lets the server check a creation, and keep nothing of it.
 *
 * @throws ClusterError when the API server can't be asked
 */
export async function tryCreate(options: TryOptions): Promise<Tried> {
  const { cluster, kind, object, namespace = object.metadata.namespace, strict = false, signal } = options;
  try {
    const made = await cluster.json<KubeObject>({
      method: 'POST',
      path: collectionPath(kind, namespace),
      query: { fieldManager: FIELD_MANAGER, dryRun: 'All', fieldValidation: strict ? 'Strict' : undefined },
      body: namespace === undefined ? object : { ...object, metadata: { ...object.metadata, namespace } },
      signal,
    });
    return { made };
  } catch (error) {
    if (error instanceof ClusterError && error.status >= 400) return { error };
    throw error;
  }
}

/** {@link tryCreate} under a name that nobody has; what is made of it bears the object's own. */
export async function tryAnew(options: TryOptions): Promise<Tried> {
  const { metadata } = options.object;
  const tried = await tryCreate({
    ...options,
    object: { ...options.object, metadata: { ...metadata, name: PROBE_NAME } },
  });
  if ('error' in tried) return tried;
  return { made: { ...tried.made, metadata: { ...tried.made.metadata, name: metadata.name } } };
}

/** Why the server would not create such an object anew: to delete one that it then refuses would be a loss. */
export function readUnfit(tried: Tried, object: KubeObject): string | undefined {
  if ('made' in tried || tried.error.status !== 422) return undefined;
  const causes = causesOf(tried.error);
  // The existing object holds its own name, ports and addresses; they are free once it is gone.
  const own = causes.filter(
    ({ field, message }) => field !== 'metadata.name' && field !== 'name' && !message.includes('already allocated'),
  );
  if (own.length === 0 && causes.length > 0) return undefined;
  return own.length === 0 ? describeRefusal(tried.error, object) : own.map(({ field }) => field).join(', ');
}

/**
 * Which fields of an object its kind does not know in the version it is rewritten to; undefined when it knows all.
 *
 * @param options.namespace - one that exists, which need not be the object's
 */
export async function findMisfit(options: Omit<TryOptions, 'strict'>): Promise<string | undefined> {
  const tried = await tryAnew({ ...options, object: bodyOf(options.object), strict: true });
  if ('made' in tried || tried.error.status !== 400) return undefined;
  const [, fields] = /strict decoding error: (.*)$/s.exec(saidBy(tried.error)) ?? [];
  return fields;
}
