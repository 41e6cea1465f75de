import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { mapAsDone } from '../streams.ts';
import { createGates } from './gates.ts';
import { isKind, type Listing, NAMESPACES } from './list-kinds.ts';
import { pagesOf } from './list-pages.ts';
import { type Gathered, gatherListing, type ReadContext } from './read-listing.ts';
import type { Refusals } from './refusals.ts';

export interface ReadOptions {
  readonly selector?: string | undefined;
  readonly alsoReleases: boolean;
  /** How many at once; those that are done but not taken yet count too. */
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads several listings at once, those first that tell of others. They come as they are done, without those that are
 * refused.
 */
export function readListings(
  cluster: Cluster,
  listings: readonly Listing[],
  context: ReadContext,
  refusals: Refusals,
  { selector, alsoReleases, concurrency, signal }: ReadOptions,
): AsyncIterable<Gathered | undefined> {
  const gates = createGates(listings);
  const refuse = (listing: Listing, error: unknown): boolean => {
    // Read for what they tell only, not to travel.
    const isAside = isKind(listing.kind, NAMESPACES) && context.clusterResources === 'none';
    const isForbidden = error instanceof ClusterError && error.status === 403;
    return (isAside && isForbidden) || refusals.note(listing, error);
  };
  return mapAsDone(listings, concurrency, async (listing, stop) => {
    const either = signal === undefined ? stop : AbortSignal.any([signal, stop]);
    const pages = pagesOf(cluster, listing, {
      scope: context.scope,
      selector,
      alsoReleases,
      refuse: (error) => refuse(listing, error),
      signal: either,
    });
    try {
      await gates.wait(listing, either);
      return await gatherListing(context, listing, pages);
    } catch (error) {
      if (refuse(listing, error)) return undefined;
      throw error;
    } finally {
      gates.pass(listing);
    }
  });
}
