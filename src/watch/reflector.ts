import type { Clock } from '../cluster/clock.ts';
import { ClusterError, type KubeObject, type WatchEvent } from '../cluster/cluster.ts';
import { isExpired } from '../cluster/list.ts';
import { TransshipError } from '../errors.ts';

/** Where a collection is read from. */
export interface ReflectorSource {
  list(options: {
    readonly signal: AbortSignal;
    readonly onVersion: (resourceVersion: string) => void;
  }): AsyncIterable<readonly KubeObject[]>;
  watch(options: {
    readonly resourceVersion: string | undefined;
    readonly timeoutSeconds?: number | undefined;
    readonly onOpen: () => void;
    readonly signal: AbortSignal;
  }): AsyncIterable<readonly WatchEvent[]>;
}

/** What is kept like the collection. One call after the other; objects that it is given are its own. */
export interface ReflectorTarget {
  /** A list begins. */
  begin(): void;
  add(page: readonly KubeObject[]): Promise<void>;
  /** The list has ended: what was not in it is gone. */
  end(): void;
  /** Takes all or nothing. */
  apply(events: readonly WatchEvent[]): Promise<void>;
  /** The collection can't be read any more. */
  clear(): void;
}

export interface ReflectorOptions {
  readonly source: ReflectorSource;
  readonly target: ReflectorTarget;
  readonly clock: Clock;
  /** Runs the work when its turn has come: lists of many collections at once would take much memory. */
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  /** Whether a failure of the server itself concerns this collection alone, as one of an extension server does. */
  readonly mayFail: boolean;
  /** Told when the collection can't be read or watched, once each time that begins. */
  readonly onRefused: (error: ClusterError, asked: 'list' | 'watch') => void;
  /** Told of what it goes on from. */
  readonly onTrouble: (error: unknown) => void;
  readonly signal: AbortSignal;
}

/** How it stands with a collection. */
export interface ReflectorStanding {
  /**
   * - `listing`: what is kept may be a mixture
   * - `watching`: what is kept is up to date
   * - `broken`: it was up to date when that began
   * - `refused`: it can't be watched
   */
  readonly is: 'listing' | 'watching' | 'broken' | 'refused';
  /** By the clock. */
  readonly since: number;
  /** Why what came could not be kept. */
  readonly failure: TransshipError | undefined;
}

/** Keeps something like a collection of the cluster. */
export interface Reflector {
  /** Resolves when the first list is in, or is not to be had. Rejects when it failed; it is tried again all the same. */
  readonly ready: Promise<void>;
  standing(): ReflectorStanding;
  readonly counts: { readonly relists: number; readonly reconnects: number };
  /** Lists anew, or tries again what was refused. */
  again(): void;
  /** Resolves when the signal has ended it; never rejects. */
  readonly done: Promise<void>;
}

/** Milliseconds. */
const FIRST_GAP = 100;
const LONGEST_GAP = 10_000;
/** A connection that broke says nothing of a server that needs rest. */
const LONGEST_GAP_AFTER_LOSS = 1_000;
/** A watch that lived so long was no failure. */
const HEALTHY = 500;
/** How long a refusal of what was allowed is doubted: a starting API server serves before it knows the roles. */
const DOUBT = 20_000;
const REFUSED_GAP = 600_000;

/** Starts to list and watch; goes on until the signal ends it. */
export function startReflector(options: ReflectorOptions): Reflector {
  const { source, target, clock, inTurn, mayFail, onRefused, onTrouble, signal } = options;
  const ready = Promise.withResolvers<void>();
  // Whoever waits for it is told; nobody has to.
  ready.promise.catch(() => {});
  const counts = { relists: 0, reconnects: 0 };
  let standing: ReflectorStanding = { is: 'listing', since: clock.now(), failure: undefined };
  /** Where the watch goes on; empty when there has to be a list. */
  let version = '';
  let isListed = false;
  let wasAccepted = false;
  let asked: 'list' | 'watch' = 'list';
  let isWatchRefused = false;
  let isRefusalTold = false;
  let refusedSince: number | undefined;
  let gap = FIRST_GAP;
  let interrupt = new AbortController();

  function set(is: ReflectorStanding['is'], failure?: TransshipError): void {
    if (standing.is !== is || standing.failure !== failure) standing = { is, since: clock.now(), failure };
  }

  async function list(): Promise<void> {
    asked = 'list';
    set('listing', standing.failure);
    await inTurn(async () => {
      let listed = '';
      target.begin();
      const onVersion = (told: string) => {
        listed = told;
      };
      for await (const page of source.list({ signal, onVersion })) await target.add(page);
      target.end();
      version = listed;
    });
    if (isListed) counts.relists += 1;
    isListed = true;
    set('broken');
  }

  async function watch(): Promise<void> {
    asked = 'watch';
    const begun = clock.now();
    let isAccepted = false;
    const isHealthy = () => isAccepted && clock.now() - begun >= HEALTHY;
    const onOpen = () => {
      isAccepted = true;
      wasAccepted = true;
      isRefusalTold = false;
      refusedSince = undefined;
      set('watching', standing.failure);
    };
    const either = AbortSignal.any([signal, interrupt.signal]);
    const resourceVersion = version === '' ? undefined : version;
    try {
      for await (const events of source.watch({ resourceVersion, onOpen, signal: either })) {
        await target.apply(events);
        version = events.at(-1)?.resourceVersion || version;
        gap = FIRST_GAP;
        set('watching');
      }
    } finally {
      gap = isHealthy() ? FIRST_GAP : Math.min(gap * 2, LONGEST_GAP);
      counts.reconnects += 1;
      set('broken', standing.failure);
    }
    if (!isHealthy()) await pause();
  }

  /** Lists nothing only to find that it still can't be watched. */
  async function probe(): Promise<void> {
    asked = 'watch';
    const stop = new AbortController();
    const onOpen = () => stop.abort();
    try {
      const either = AbortSignal.any([signal, stop.signal]);
      const events = source.watch({ resourceVersion: undefined, timeoutSeconds: 1, onOpen, signal: either });
      for await (const _ of events) break;
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  }

  function pause(longest = LONGEST_GAP): Promise<void> {
    return wait(Math.min(gap, longest) * (0.5 + Math.random() / 2));
  }

  function wait(milliseconds: number): Promise<void> {
    return clock.sleep(milliseconds, AbortSignal.any([signal, interrupt.signal]));
  }

  async function recover(error: unknown): Promise<void> {
    if (signal.aborted || interrupt.signal.aborted) throw error;
    if (asked === 'list') gap = Math.min(gap * 2, LONGEST_GAP);
    if (isExpired(error)) {
      version = '';
      onTrouble(error);
      if (gap > FIRST_GAP * 2) await pause();
      return;
    }
    if (isRefusal(error, mayFail && !isListed)) {
      refusedSince ??= clock.now();
      if (!wasAccepted || clock.now() - refusedSince >= DOUBT) {
        await refuse(error);
        return;
      }
    }
    // Only who still waits for the first list is told; it goes on all the same.
    if (!isListed) ready.reject(error);
    // What is not of the server is of the disk, or a mistake: what is kept is not to be relied on until it is mended.
    if (!(error instanceof ClusterError)) set('broken', failureOf(error));
    onTrouble(error);
    await pause(isLoss(error) ? LONGEST_GAP_AFTER_LOSS : LONGEST_GAP);
  }

  async function refuse(error: ClusterError): Promise<void> {
    isWatchRefused = asked === 'watch';
    if (!isRefusalTold) {
      isRefusalTold = true;
      target.clear();
      onRefused(error, asked);
    }
    set('refused');
    version = '';
    ready.resolve();
    await wait(REFUSED_GAP);
  }

  async function step(): Promise<void> {
    if (isWatchRefused) await probe();
    isWatchRefused = false;
    if (version === '') await list();
    ready.resolve();
    await watch();
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      // Only a signal ends a step without an answer to it.
      await step()
        .catch(recover)
        .catch(() => {});
      if (!interrupt.signal.aborted) continue;
      interrupt = new AbortController();
      version = '';
    }
    ready.reject(signal.reason);
  }

  const done = run().catch((error: unknown) => {
    set('broken', failureOf(error));
    ready.reject(error);
  });
  return {
    ready: ready.promise,
    standing: () => standing,
    counts,
    again: () => interrupt.abort(),
    done,
  };
}

function isLoss(error: unknown): boolean {
  return error instanceof ClusterError && error.reason === 'Reset';
}

/** As an export goes on without a kind that can't be listed. */
function isRefusal(error: unknown, mayFail: boolean): error is ClusterError {
  return error instanceof ClusterError && ([403, 404, 405].includes(error.status) || (mayFail && error.status >= 500));
}

function failureOf(error: unknown): TransshipError {
  return error instanceof TransshipError
    ? error
    : new TransshipError('CLUSTER', 'What was watched could not be kept.', { cause: error });
}
