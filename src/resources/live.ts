import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { fingerprint } from './equality.ts';
import type { KnownKinds } from './known-kinds.ts';
import type { StripContext } from './rules.ts';
import { stripObject } from './strip.ts';
import { isEnding } from './target-namespaces.ts';
import { ownersOf } from './wanted.ts';

/** What is remembered of an object of the target: enough to tell whether it is as wanted. */
export interface LiveMark {
  /** Of the object as an export would have it. */
  readonly fingerprint: string;
  /** The keys of its owners; undefined for none. */
  readonly owners: readonly string[] | undefined;
}

/** By name. What is being deleted is not there: the name is new as soon as it is gone. */
export type LiveMarks = ReadonlyMap<string, LiveMark>;

export interface LiveContext {
  readonly cluster: Cluster;
  readonly known: KnownKinds;
  readonly strip: StripContext;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads the objects of one kind, in one namespace where the kind has them.
 *
 * @returns `forbidden` where they may not be listed
 * @throws ClusterError
 */
export async function readLive(
  { cluster, known, strip, signal }: LiveContext,
  kind: ResourceKind,
  namespace: string | undefined,
): Promise<LiveMarks | 'forbidden'> {
  const marks = new Map<string, LiveMark>();
  try {
    for await (const page of cluster.listPages(collectionPath(kind, namespace), { signal })) {
      for (const live of page) if (!isEnding(live)) marks.set(live.metadata.name, markOf(live, known, strip));
    }
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return 'forbidden';
    // The kind went since discovery.
    if (error instanceof ClusterError && error.status === 404) return new Map();
    throw error;
  }
  return marks;
}

function markOf(live: KubeObject, known: KnownKinds, strip: StripContext): LiveMark {
  const owners = ownersOf(live, known).map(({ key }) => key);
  return { fingerprint: fingerprint(stripObject(live, strip)), owners: owners.length === 0 ? undefined : owners };
}
