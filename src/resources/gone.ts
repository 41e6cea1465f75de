import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { waitFor } from '../cluster/wait.ts';
import type { Outage } from './outage.ts';

export interface GoneOptions {
  readonly cluster: Cluster;
  readonly outage: Outage;
  /** Milliseconds. */
  readonly timeout: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds: a namespace takes some seconds, and much may wait for it. */
const LONGEST_GAP = 1_000;

/**
 * Waits for an object that is being deleted to be gone; one that has been made since under its name is another.
 *
 * @param name - in messages
 * @throws TransshipError `TIMEOUT` naming the finalizers that hold it
 */
export async function waitUntilGone(
  { cluster, outage, timeout, clock, signal }: GoneOptions,
  path: string,
  name: string,
  uid: string | undefined,
): Promise<void> {
  await waitFor(
    async () => {
      const live = await outage.guard(() => findObject(cluster, path, signal));
      if (live === undefined || live.metadata.uid !== uid) return { done: true, value: undefined };
      const { finalizers = [] } = live.metadata;
      const holders = finalizers.length === 0 ? '' : `, and these finalizers hold it: ${finalizers.join(', ')}`;
      return { done: false, state: `it is being deleted${holders}` };
    },
    { timeout, describe: `${name} to be gone`, longestGap: LONGEST_GAP, signal, clock },
  );
}
