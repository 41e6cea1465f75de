import { messageOf } from '../errors.ts';
import { countOf } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Figures } from './figures.ts';
import type { DaemonParts, Made } from './parts.ts';

/** More than this are not kept waiting while the storage is away. */
export const MOST_WAITING = 100;

/** A snapshot on its way to the storage. */
export interface Waiting<C> {
  readonly made: Made<C>;
  /** When the oldest change that it saves was seen, in the clock's milliseconds. */
  readonly since: number;
  /** Files that were not in the one before. */
  readonly changed: number;
  /** How long its export took, in milliseconds. */
  readonly took: number;
}

/** Snapshots on this machine's disk that are yet to be stored, in the order they were made. */
export interface Queue<C> {
  /**
   * Takes what was just made; `unchanged` when it holds what is stored or waits already, and then it is dropped. When too
   * many wait, it takes the place of the newest one: what changed is in it.
   */
  add(made: Omit<Waiting<C>, 'changed'>): Promise<'waiting' | 'unchanged'>;
  /** The one to be stored next. */
  head(): Waiting<C> | undefined;
  /** This one is being stored, until the work ends: it is not to go. */
  hold<T>(head: Waiting<C>, work: () => Promise<T>): Promise<T>;
  /** The head got another id. */
  replace(head: Waiting<C>, made: Made<C>): Promise<void>;
  /** The head is stored. */
  shift(head: Waiting<C>): Promise<void>;
  /** Drops all that need not wait, for the newest holds what changed. False when there was none. */
  makeRoom(): Promise<boolean>;
  /** The snapshot made last that is still on the disk. */
  latest(): Made<C> | undefined;
  size(): number;
  /** When the oldest change that waits was seen. */
  oldest(): number | undefined;
}

export interface QueueOptions<C> {
  readonly compare: DaemonParts<C>['compare'];
  /** What is stored, where that is known. */
  readonly stored: C | undefined;
  readonly figures: Figures;
  readonly reporter: Reporter;
}

export function createQueue<C>({ compare, figures, reporter, ...options }: QueueOptions<C>): Queue<C> {
  let queue: readonly Waiting<C>[] = [];
  let inHand: Waiting<C> | undefined;
  let stored = options.stored;
  let latest: Made<C> | undefined;

  const drop = async (made: Made<C> | undefined) => {
    if (made === undefined || made === latest || queue.some((waiting) => waiting.made === made)) return;
    await made.remove().catch((error: unknown) => {
      reporter.debug(`The files of snapshot ${made.id} could not be removed: ${messageOf(error)}`);
    });
  };
  const follow = async (made: Made<C>) => {
    const before = latest;
    latest = made;
    await drop(before);
  };
  const countChanged = (made: Made<C>, before: Waiting<C> | undefined) => {
    const known = before?.made.contents ?? stored;
    return known === undefined ? made.files : compare(known, made.contents);
  };

  function tellDropped(dropped: readonly Waiting<C>[]): void {
    figures.superseded += dropped.length;
    const ids = dropped.map(({ made }) => made.id).join(', ');
    reporter.warn(
      `Too much is waiting to be stored: ${countOf(dropped.length, 'snapshot')} will not be (${ids}). A newer one takes the place, so all changes are kept, but not the states in between.`,
      undefined,
      { dropped: dropped.length, pending: queue.length },
    );
  }

  async function add({ made, since, took }: Omit<Waiting<C>, 'changed'>): Promise<'waiting' | 'unchanged'> {
    const last = queue.at(-1);
    let changed = countChanged(made, last);
    if (changed > 0 && last !== undefined && queue.length >= MOST_WAITING) {
      queue = queue.slice(0, -1);
      tellDropped([last]);
      changed = countChanged(made, queue.at(-1));
    }
    if (changed === 0) {
      // One that is on the disk spares the next one much writing.
      if (latest === undefined) latest = made;
      await drop(made);
      await drop(last?.made);
      return 'unchanged';
    }
    const isReplacing = last !== undefined && !queue.includes(last);
    queue = [...queue, { made, took, changed, since: isReplacing ? Math.min(since, last.since) : since }];
    await follow(made);
    return 'waiting';
  }

  return {
    add,
    head: () => queue[0],
    async hold(head, work) {
      inHand = head;
      try {
        return await work();
      } finally {
        inHand = undefined;
      }
    },
    async replace(head, made) {
      queue = queue.map((waiting) => (waiting === head ? { ...head, made } : waiting));
      if (latest === head.made) await follow(made);
      else await drop(head.made);
    },
    async shift(head) {
      queue = queue.filter((waiting) => waiting !== head);
      stored = head.made.contents;
      await drop(head.made);
    },
    async makeRoom() {
      const newest = queue.at(-1);
      const dropped = queue.filter((waiting) => waiting !== inHand && waiting !== newest);
      const [first] = dropped;
      if (first === undefined || newest === undefined) return false;
      const kept = queue.filter((waiting) => !dropped.includes(waiting));
      queue = kept.map((waiting) => (waiting === newest ? { ...newest, since: first.since } : waiting));
      tellDropped(dropped);
      for (const { made } of dropped) await drop(made);
      return true;
    },
    latest: () => latest,
    size: () => queue.length,
    oldest: () => (queue.length === 0 ? undefined : Math.min(...queue.map(({ since }) => since))),
  };
}
