import type { WrittenSnapshot } from '../backends/backend.ts';
import type { Clock } from '../cluster/clock.ts';
import { TransshipError } from '../errors.ts';
import { countOf, formatSize } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import { createBell } from './bell.ts';
import type { Figures } from './figures.ts';
import { createGaps } from './gaps.ts';
import type { Ids } from './ids.ts';
import type { DaemonParts, Stored } from './parts.ts';
import { isManaged, isPermanent } from './permanent.ts';
import type { Pulse } from './pulse.ts';
import type { Queue, Waiting } from './queue.ts';
import { sayError } from './say-error.ts';

/** The longest wait without a sign of life, in milliseconds. */
const LONGEST_WAIT = 60_000;

/** Stores what waits: one at a time, in order, tried again until it is there. */
export interface Pusher {
  /** There is something new in the queue. */
  wake(): void;
  /** Applies the retention as soon as there is nothing else to do. */
  tidy(): void;
  /** Nothing more will be added: what waits is tried once more, without a gap, and then `run` ends. */
  drain(): void;
  /** What was stored last by this run. */
  written(): WrittenSnapshot | undefined;
  /**
   * Pushes until it is drained or `signal` fires.
   *
   * @throws TransshipError `MANAGED` when another manager writes here
   * @throws TransshipError as long as nothing is known to be stored, the first failure that will not heal
   */
  run(signal: AbortSignal): Promise<void>;
}

export interface PusherOptions<C> {
  readonly parts: DaemonParts<C>;
  readonly queue: Queue<C>;
  readonly clock: Clock;
  readonly now: () => Date;
  readonly random: () => number;
  /** The first gap after a failure, in milliseconds. */
  readonly retry: number;
  readonly ids: Ids;
  readonly figures: Figures;
  readonly pulse: Pulse;
  readonly reporter: Reporter;
  /** What was stored before. */
  readonly last: Stored<C> | undefined;
  /** Whether the state of the cluster is known to be stored, which shows that all is set up right. */
  isStarted(): boolean;
  /** The queue is empty: all is stored. */
  onSaved(): void;
}

export function createPusher<C>(options: PusherOptions<C>): Pusher {
  const { parts, queue, clock, ids, figures, pulse, reporter } = options;
  const bell = createBell(clock);
  const gaps = createGaps(options.retry, options.random);
  let stored = options.last;
  let written: WrittenSnapshot | undefined;
  let tried: string | undefined;
  let notBefore = Number.NEGATIVE_INFINITY;
  let draining = false;
  let untidy = false;

  async function run(signal: AbortSignal): Promise<void> {
    for (;;) {
      pulse.beat('waiting to push');
      const head = queue.head();
      if (signal.aborted || (draining && head === undefined)) return;
      const gap = notBefore - clock.now();
      if (head === undefined && untidy) await retain(signal);
      else if (head === undefined) await bell.wait(LONGEST_WAIT, signal);
      else if (gap > 0 && !draining) await bell.wait(Math.min(gap, LONGEST_WAIT), signal);
      else if (!(await tryToPush(head, signal)) && draining) return;
    }
  }

  async function tryToPush(head: Waiting<C>, signal: AbortSignal): Promise<boolean> {
    try {
      await queue.hold(head, () => push(head, signal));
      gaps.reset();
      notBefore = Number.NEGATIVE_INFINITY;
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (isManaged(error) || (!options.isStarted() && isPermanent(error))) throw error;
      figures.failures.push += 1;
      const gap = gaps.next();
      notBefore = clock.now() + gap;
      const retrySeconds = Math.round(gap / 1000);
      const { id } = head.made;
      const next = draining ? '' : ` It is kept, and tried again in ${retrySeconds} s.`;
      reporter.warn(`Snapshot ${id} could not be stored: ${sayError(error)}${next}`, undefined, {
        ...{ step: 'push', snapshot: id, attempt: gaps.failures(), pending: queue.size(), retrySeconds },
      });
      return false;
    }
  }

  /** Stores the head of the queue; or readies it for the next try, when its id is taken. */
  async function push(head: Waiting<C>, signal: AbortSignal): Promise<void> {
    const { made } = head;
    pulse.beat(`pushing ${made.id}`);
    // The order of the ids that are stored is the order in which snapshots were made.
    if (stored !== undefined && made.id <= stored.snapshot.id) return rename(head, signal);
    const started = clock.now();
    const isRetry = tried === made.id;
    tried = made.id;
    let result: Stored<C> | undefined;
    try {
      result = await parts.store(made, stored, { signal, beat: () => pulse.beat() });
    } catch (error) {
      if (!(error instanceof TransshipError) || error.code !== 'SNAPSHOT_EXISTS') throw error;
      result = await findOwn(head, isRetry, signal);
      if (result === undefined) return rename(head, signal);
    }
    await finish(head, result, clock.now() - started, signal);
  }

  /**
   * What is stored under the head's id, when that is the head: the answer to an earlier try was lost. What such a try has
   * left unfinished is removed; before the first one it is another's.
   */
  async function findOwn({ made }: Waiting<C>, isRetry: boolean, signal: AbortSignal): Promise<Stored<C> | undefined> {
    const all = await parts.list(signal);
    ids.know(all.map(({ id }) => id));
    const same = all.filter(({ id }) => id === made.id);
    for (const snapshot of same.filter(({ state }) => state === 'complete')) {
      const contents = await parts.read(snapshot, signal);
      if (contents === undefined || parts.compare(contents, made.contents) !== 0) continue;
      reporter.info(`Snapshot ${made.id} was stored already: only the answer was lost.`, { snapshot: made.id });
      return { snapshot, contents };
    }
    if (isRetry) {
      for (const snapshot of same.filter(({ state }) => state === 'unfinished')) await parts.discard(snapshot, signal);
    }
    return undefined;
  }

  async function rename(head: Waiting<C>, signal: AbortSignal): Promise<void> {
    const id = ids.next();
    await queue.replace(head, await parts.rename(head.made, id, signal));
    const message = `Snapshot ${head.made.id} becomes ${id.id}: that id, or a later one, is taken.`;
    reporter.info(message, { snapshot: id.id });
  }

  async function finish(head: Waiting<C>, result: Stored<C>, took: number, signal: AbortSignal): Promise<void> {
    const { made, changed } = head;
    const before = stored;
    stored = result;
    written = result.snapshot;
    await queue.shift(head);
    const { size, sent = size, location } = result.snapshot;
    figures.stored += 1;
    figures.sent += sent;
    figures.lastStored = options.now().getTime() / 1000;
    figures.lastExportTook = head.took;
    figures.lastPushTook = took;
    figures.lastSize = size;
    figures.lastChanged = changed;
    const files = countOf(made.files, 'file');
    const what = before?.contents === undefined ? files : `${changed} of ${files} changed`;
    reporter.info(`Stored snapshot ${made.id}: ${what}, ${formatSize(sent)} sent of ${formatSize(size)}.`, {
      ...{ snapshot: made.id, changed, files: made.files, size, sent, location },
      exportSeconds: Math.round(head.took) / 1000,
      pushSeconds: Math.round(took) / 1000,
    });
    if (queue.size() === 0) options.onSaved();
    await retain(signal);
  }

  async function retain(signal: AbortSignal): Promise<void> {
    untidy = false;
    if (parts.retain === undefined || stored === undefined) return;
    pulse.beat('applying the retention');
    try {
      await parts.retain(stored.snapshot, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (isManaged(error)) throw error;
      figures.failures.retention += 1;
      reporter.warn(
        `The retention could not be applied: ${sayError(error)} The next snapshot tries again.`,
        undefined,
        {
          step: 'retention',
        },
      );
    }
  }

  return {
    wake: bell.ring,
    tidy() {
      untidy = true;
      bell.ring();
    },
    drain() {
      draining = true;
      bell.ring();
    },
    written: () => written,
    run,
  };
}
