import type { WrittenSnapshot } from '../backends/backend.ts';
import type { Clock } from '../cluster/clock.ts';
import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { createBell } from './bell.ts';
import { createChanges } from './changes.ts';
import { createFigures, metricsOf, type Step } from './figures.ts';
import { createGaps } from './gaps.ts';
import { createIds } from './ids.ts';
import { createMaker, type Maker } from './maker.ts';
import type { DaemonParts, HeldLease, Watching } from './parts.ts';
import { isManaged, isPermanent } from './permanent.ts';
import { renderMetrics } from './prometheus.ts';
import { createPulse } from './pulse.ts';
import { createPusher, type Pusher } from './pusher.ts';
import { createQueue, type Queue } from './queue.ts';
import { sayError } from './say-error.ts';
import type { Status } from './status-server.ts';

/** What is in hand may take so long when the daemon is stopped; Kubernetes kills after 30 seconds. In milliseconds. */
export const GRACE = 20_000;

/** How the daemon is set up. Durations in milliseconds. */
export interface DaemonOptions {
  readonly clock: Clock;
  /** The time of day. */
  readonly now: () => Date;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly interval: number;
  readonly settle: number;
  readonly retry: number;
  readonly version: string;
  readonly reporter: Reporter;
}

/** What a daemon did before it was stopped. */
export interface DaemonResult {
  /** Snapshots that were stored. */
  readonly stored: number;
  readonly last: WrittenSnapshot | undefined;
}

/** A daemon that can be asked how it is from the moment it is made. */
export interface Daemon {
  readonly status: Status;
  /**
   * Keeps the stored state up to date until `stop` fires: that is no failure.
   *
   * @throws TransshipError `MANAGED` when another manager writes here
   * @throws TransshipError at the start, what will not heal
   */
  run(stop: AbortSignal): Promise<DaemonResult>;
}

export function createDaemon<C>(parts: DaemonParts<C>, options: DaemonOptions): Daemon {
  const { clock, now, random, reporter } = options;
  const figures = createFigures();
  const changes = createChanges(options.settle, clock.now);
  const pulses = [createPulse(clock.now), createPulse(clock.now)] as const;
  const started = now().getTime() / 1000;
  let watching: Watching | undefined;
  let queue: Queue<C> | undefined;
  let maker: Maker | undefined;
  let stopping: AbortSignal | undefined;

  const isStarted = () => figures.lastSuccess !== undefined;
  const lag = () => {
    const oldest = [changes.dirty()?.first, maker?.making(), queue?.oldest()].filter((since) => since !== undefined);
    return oldest.length === 0 ? 0 : Math.max(0, clock.now() - Math.min(...oldest));
  };
  const status: Status = {
    stuck: () => pulses.map((pulse) => pulse.stuck()).find((trouble) => trouble !== undefined),
    lacks() {
      if (stopping?.aborted) return 'stopping';
      if (!figures.isManager) return 'the lease of the path is not held';
      if (parts.watch !== undefined && watching === undefined) return 'the cluster is not watched yet';
      const broken = watching?.stats().broken ?? 0;
      if (broken > 0) return broken === 1 ? 'a watch is broken' : `${broken} watches are broken`;
      return isStarted() ? undefined : 'no snapshot is stored yet';
    },
    metrics: () =>
      renderMetrics(
        metricsOf(figures, {
          version: options.version,
          lag: lag(),
          pending: queue?.size() ?? 0,
          watch: watching?.stats(),
          process: { started, cpu: process.cpuUsage(), memory: process.memoryUsage.rss() },
        }),
      ),
  };

  async function run(stop: AbortSignal): Promise<DaemonResult> {
    stopping = stop;
    let lease: HeldLease | undefined;
    try {
      lease = await persist('lease', stop, () => parts.acquire(stop));
      figures.isManager = true;
      return await keepUp(lease, stop);
    } catch (error) {
      const isStop = stop.aborted && error instanceof TransshipError && error.code === 'CANCELLED';
      if (!isStop) throw error;
      return { stored: figures.stored, last: undefined };
    } finally {
      figures.isManager = false;
      await watching?.close().catch((error: unknown) => reporter.debug(messageOf(error)));
      await lease?.release();
    }
  }

  /** Does what a start needs, again and again where it may help. */
  async function persist<T>(step: Step, stop: AbortSignal, work: () => Promise<T>): Promise<T> {
    const bell = createBell(clock);
    const gaps = createGaps(options.retry, random);
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (stop.aborted) throw isManaged(error) ? error : cancelledBy(stop);
        if (isPermanent(error)) throw error;
        figures.failures[step] += 1;
        const gap = gaps.next();
        const retrySeconds = Math.round(gap / 1000);
        reporter.warn(`${sayError(error)} It is tried again in ${retrySeconds} s.`, undefined, {
          ...{ step, attempt: gaps.failures(), retrySeconds },
        });
        const until = clock.now() + gap;
        while (clock.now() < until && !stop.aborted) {
          for (const pulse of pulses) pulse.beat('waiting to try the start again');
          await bell.wait(Math.min(until - clock.now(), 60_000), stop);
        }
        if (stop.aborted) throw cancelledBy(stop);
      }
    }
  }

  async function keepUp(lease: HeldLease, stop: AbortSignal): Promise<DaemonResult> {
    const work = new AbortController();
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown) => {
      failure ??= { error };
      work.abort(error);
    };
    const onLost = () => fail(lease.lost.reason);
    // Before there is something to save, nothing is worth to be waited for.
    const onEarlyStop = () => work.abort(stop.reason);
    follow(lease.lost, onLost);
    follow(stop, onEarlyStop);
    try {
      const { maker, pusher } = await prepare(work.signal);
      stop.removeEventListener('abort', onEarlyStop);
      const ended = new AbortController();
      const onStop = () => {
        maker.wake();
        // Ends what is in hand when it takes too long.
        clock.sleep(GRACE, ended.signal).then(onEarlyStop, () => {});
      };
      follow(stop, onStop);
      await Promise.all([
        maker.run(stop, work.signal).catch(fail).finally(pusher.drain),
        pusher.run(work.signal).catch(fail),
      ]);
      ended.abort();
      stop.removeEventListener('abort', onStop);
      if (failure !== undefined) throw failure.error;
      if (lag() > 0) {
        reporter.info('Stopped before all that had changed was stored: the next start stores what is new.');
      }
      return { stored: figures.stored, last: pusher.written() };
    } finally {
      stop.removeEventListener('abort', onEarlyStop);
      lease.lost.removeEventListener('abort', onLost);
    }
  }

  /** Finds out what is stored, and begins to watch. */
  async function prepare(signal: AbortSignal): Promise<{ maker: Maker; pusher: Pusher }> {
    const all = await persist('push', signal, () => parts.list(signal));
    const last = await persist('push', signal, () => parts.findNewest(all, signal));
    const ids = createIds(now);
    ids.know(all.map(({ id }) => id));
    const { watch } = parts;
    const onChange = () => {
      changes.note();
      maker?.wake();
    };
    if (watch !== undefined) watching = await persist('watch', signal, () => watch(onChange, signal));

    queue = createQueue({ compare: parts.compare, stored: last?.contents, figures, reporter });
    const onSaved = () => {
      figures.lastSuccess = now().getTime() / 1000;
    };
    const common = { parts, queue, clock, random, retry: options.retry, ids, figures, reporter, isStarted, onSaved };
    const pusher = createPusher({ ...common, now, last, pulse: pulses[0] });
    maker = createMaker({
      ...{ ...common, changes, interval: options.interval, settle: options.settle },
      ...{ hasMirror: watch !== undefined, pulse: pulses[1] },
      onMade: pusher.wake,
      onUnchanged: pusher.tidy,
    });
    return { maker, pusher };
  }

  return { status, run };
}

/** Calls the listener once the signal fires, at once where it has. */
function follow(signal: AbortSignal, listener: () => void): void {
  if (signal.aborted) listener();
  else signal.addEventListener('abort', listener, { once: true });
}
