import type { Clock } from '../cluster/clock.ts';
import { countOf } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import { createBell } from './bell.ts';
import type { Changes } from './changes.ts';
import type { Figures } from './figures.ts';
import { createGaps } from './gaps.ts';
import type { Ids } from './ids.ts';
import type { DaemonParts, Made } from './parts.ts';
import { isDiskFull, isPermanent } from './permanent.ts';
import type { Pulse } from './pulse.ts';
import type { Queue } from './queue.ts';
import { sayError } from './say-error.ts';

/** The longest wait without a sign of life, in milliseconds. */
const LONGEST_WAIT = 60_000;
/** After so many failures in a row, what the watches have brought is no longer trusted. */
const MOST_MIRROR_FAILURES = 2;

/** Makes snapshots when it is time to. */
export interface Maker {
  /** Something has changed in the cluster, or it is time to stop. */
  wake(): void;
  /** When the oldest change was seen that is in the snapshot being made. */
  making(): number | undefined;
  /**
   * Makes snapshots until `stop` fires; one that is being made then is finished, unless `signal` fires.
   *
   * @throws TransshipError as long as nothing is known to be stored, the first failure that will not heal
   */
  run(stop: AbortSignal, signal: AbortSignal): Promise<void>;
}

export interface MakerOptions<C> {
  readonly parts: Pick<DaemonParts<C>, 'make'>;
  readonly queue: Queue<C>;
  readonly changes: Changes;
  readonly clock: Clock;
  readonly random: () => number;
  /** From one export of everything to the next, in milliseconds. */
  readonly interval: number;
  /** How long nothing may change, in milliseconds. */
  readonly settle: number;
  /** The first gap after a failure, in milliseconds. */
  readonly retry: number;
  /** Whether watches keep a mirror of the cluster. */
  readonly hasMirror: boolean;
  readonly ids: Ids;
  readonly figures: Figures;
  readonly pulse: Pulse;
  readonly reporter: Reporter;
  isStarted(): boolean;
  /** There is a snapshot to push. */
  onMade(): void;
  /** What is in the cluster is what is stored. */
  onSaved(): void;
  /** All of the cluster was looked at and held nothing new. */
  onUnchanged(): void;
}

interface MakeOptions {
  /** All of the cluster is looked at, whether or not anything was seen to change. */
  readonly isWhole: boolean;
  readonly begun: number;
  /** When the oldest change was seen that it holds. */
  readonly oldest: number;
  hasSettled(): Promise<boolean> | boolean;
  readonly signal: AbortSignal;
}

export function createMaker<C>(options: MakerOptions<C>): Maker {
  const { parts, queue, changes, clock, ids, figures, pulse, reporter } = options;
  const bell = createBell(clock);
  const gaps = createGaps(options.retry, options.random);
  let wholeAt = clock.now();
  let notBefore = Number.NEGATIVE_INFINITY;
  let since: number | undefined;
  let isFirst = true;
  /** How long the last export out of the mirror took. */
  let lead = 0;

  async function run(stop: AbortSignal, signal: AbortSignal): Promise<void> {
    while (!stop.aborted && !signal.aborted) {
      pulse.beat('waiting for changes');
      // Begun a little early, so that it is there when what changed has settled.
      const ahead = Math.min(lead, options.settle / 2);
      const wait = Math.max(Math.min(wholeAt, changes.due() - ahead), notBefore) - clock.now();
      if (wait > 0) await bell.wait(Math.min(wait, LONGEST_WAIT), signal);
      else await tryToMake(stop, signal);
    }
  }

  async function tryToMake(stop: AbortSignal, signal: AbortSignal): Promise<void> {
    const begun = clock.now();
    const isWhole = begun >= wholeAt;
    const due = changes.due();
    const taken = changes.take();
    since = taken?.first ?? begun;
    const hasSettled = () => isWhole || due <= begun || settles(due, stop, signal);
    try {
      if (!(await make({ isWhole, begun, oldest: since, hasSettled, signal }))) {
        changes.putBack(taken);
        return;
      }
      gaps.reset();
      notBefore = Number.NEGATIVE_INFINITY;
      if (isWhole) wholeAt = begun + options.interval;
      isFirst = false;
    } catch (error) {
      changes.putBack(taken);
      if (signal.aborted) return;
      if (!options.isStarted() && isPermanent(error)) throw error;
      figures.failures.export += 1;
      if (isDiskFull(error) && (await queue.makeRoom())) return;
      const gap = gaps.next();
      notBefore = clock.now() + gap;
      const retrySeconds = Math.round(gap / 1000);
      const message = `The cluster could not be exported: ${sayError(error)} It is tried again in ${retrySeconds} s.`;
      reporter.warn(message, undefined, { step: 'export', attempt: gaps.failures(), retrySeconds });
    } finally {
      since = undefined;
    }
  }

  /** Waits until it is due; false when something has changed before, or it is time to stop. */
  async function settles(due: number, stop: AbortSignal, signal: AbortSignal): Promise<boolean> {
    while (clock.now() < due && changes.dirty() === undefined) {
      if (stop.aborted || signal.aborted) return false;
      await bell.wait(due - clock.now(), signal);
    }
    const next = changes.dirty();
    return next === undefined || next.first >= due;
  }

  /** @returns false when what was made is not wanted: it was begun before all had settled */
  async function make({ isWhole, begun, oldest, hasSettled, signal }: MakeOptions): Promise<boolean> {
    const { id, created } = ids.next();
    pulse.beat(`exporting ${id}`);
    // The mirror was just filled when the first one is made. Later ones heal what it may have missed.
    const fromMirror = options.hasMirror && (isFirst || !isWhole) && gaps.failures() < MOST_MIRROR_FAILURES;
    const made: Made<C> = await parts.make({
      ...{ id, created, signal, previous: queue.latest(), beat: () => pulse.beat() },
      from: fromMirror ? 'mirror' : 'server',
    });
    const took = clock.now() - begun;
    if (fromMirror) lead = took;
    if (!(await hasSettled())) {
      await made.remove();
      return false;
    }
    const isNew = (await queue.add({ made, since: oldest, took })) === 'waiting';
    if (isNew) {
      reporter.debug(`Made snapshot ${id} of ${countOf(made.files, 'file')}.`);
      options.onMade();
      return true;
    }
    figures.unchanged += 1;
    const message = `Nothing new: the cluster is as it was stored.`;
    // In a busy cluster much changes that no snapshot holds.
    if (isWhole) reporter.info(message, { changed: 0, files: made.files, exportSeconds: Math.round(took) / 1000 });
    else reporter.debug(message);
    if (queue.size() === 0) options.onSaved();
    if (isWhole) options.onUnchanged();
    return true;
  }

  return { wake: bell.ring, making: () => since, run };
}
