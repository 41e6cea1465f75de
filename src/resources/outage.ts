import type { Clock } from '../cluster/clock.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { readRefusal } from './write-refusals.ts';

export interface OutageOptions {
  readonly cluster: Cluster;
  /** Milliseconds that the API server may be away. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Watches over an API server that may go away and come back while many requests are under way. */
export interface Outage {
  /**
   * Waits after a request without an answer until the server answers any. All who wait share one look at it, so that a
   * server that starts is not run over.
   *
   * @throws TransshipError `CLUSTER` when it stays away; from then on at once
   */
  passed(error: unknown): Promise<void>;
  /** Runs what can be run twice, again after each time its answer was lost, and a few times at most. */
  guard<T>(run: () => Promise<T>): Promise<T>;
  /** Why nothing more can be sent: the server stayed away. */
  lost(): string | undefined;
}

const TRIES = 4;
/** Milliseconds. */
const AGAIN_GAP = 50;
const FIRST_GAP = 500;
const LONGEST_GAP = 5_000;

/** Makes the one watch of an import. */
export function createOutage({ cluster, timeout, reporter, clock, signal }: OutageOptions): Outage {
  let looking: Promise<void> | undefined;
  let lost: TransshipError | undefined;

  async function look(error: unknown): Promise<void> {
    const deadline = clock.now() + timeout;
    let last = error;
    for (let gap = FIRST_GAP; ; gap = Math.min(gap * 2, LONGEST_GAP)) {
      try {
        await cluster.json({ method: 'GET', path: '/version', signal });
        return;
      } catch (failure) {
        if (!(failure instanceof ClusterError)) throw failure;
        if (readRefusal(failure).is !== 'lost') return;
        last = failure;
      }
      if (clock.now() >= deadline) break;
      reporter.progress(`Waiting for ${cluster.server}, which does not answer`);
      await clock.sleep(gap, signal);
    }
    const waited = `${cluster.server} (context "${cluster.context}") did not answer for ${timeout / 1000} s`;
    lost = new TransshipError('CLUSTER', `${waited}: ${messageOf(last)}`, {
      hint: 'Run the import again when the cluster is back: what is there already is left as it is.',
      cause: last,
    });
    throw lost;
  }

  async function passed(error: unknown): Promise<void> {
    if (lost !== undefined) throw lost;
    looking ??= look(error).finally(() => {
      looking = undefined;
    });
    await looking;
  }

  return {
    passed,
    lost: () => lost?.message,
    async guard(run) {
      for (let tries = 1; ; tries += 1) {
        try {
          return await run();
        } catch (error) {
          if (tries === TRIES || readRefusal(error).is !== 'lost') throw error;
          await passed(error);
          await clock.sleep(AGAIN_GAP * 2 ** tries, signal);
        }
      }
    },
  };
}
