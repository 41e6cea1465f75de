import { setTimeout as wait } from 'node:timers/promises';

/** Time as a lease needs it; replaced in tests. */
export interface LeaseClock {
  /** Milliseconds that only grow, whatever is done to the time of day. */
  now(): number;
  /** The time of day, for people. */
  date(): Date;
  /** @throws an error when the signal fires first */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The clocks of this machine. */
export const systemClock: LeaseClock = {
  now: () => performance.now(),
  date: () => new Date(),
  sleep: (milliseconds, signal) => wait(milliseconds, undefined, signal === undefined ? {} : { signal }),
};

/**
 * Does something that may take so long at most.
 *
 * @param work - gets a signal that fires when it has taken too long, or the other one fires
 */
export async function within<T>(
  milliseconds: number,
  clock: LeaseClock,
  signal: AbortSignal | undefined,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const done = new AbortController();
  const timeout = new AbortController();
  clock.sleep(milliseconds, done.signal).then(
    () => timeout.abort(late()),
    () => {},
  );
  try {
    return await work(signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]));
  } finally {
    done.abort();
  }
}
