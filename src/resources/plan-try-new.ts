import type { Cluster } from '../cluster/cluster.ts';
import { type Refused, readRefused } from './plan-refusal.ts';
import { bodyOf, tryCreate } from './probe.ts';
import type { HasNamespace } from './target-namespaces.ts';
import type { Wanted } from './wanted.ts';

/** Tries an object that the target lacks; undefined when nothing is to be said of it. */
export type TryNew = (wanted: Wanted) => Promise<Refused | undefined>;

export interface TryNewOptions {
  readonly cluster: Cluster;
  readonly hasNamespace: HasNamespace;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes the function that lets the server check, admit and default what is new, in a dry run: validation, webhooks, policies
 * and quotas have their say. What goes into a namespace or is of a kind that is still to come can't be tried.
 */
export function createTryNew({ cluster, hasNamespace, signal }: TryNewOptions): TryNew {
  return async ({ object, servable }) => {
    if (servable?.isServed !== true) return undefined;
    const { namespace } = object.metadata;
    if (namespace !== undefined && !(await hasNamespace(namespace))) return undefined;
    const tried = await tryCreate({ cluster, kind: servable.kind, object: bodyOf(object), strict: true, signal });
    if ('made' in tried) return undefined;
    // Credentials that have expired say nothing of the object.
    if (tried.error.status === 401) throw tried.error;
    return readRefused(tried.error, object);
  };
}
