import { type Clock, systemClock } from '../cluster/clock.ts';

/** Time as a lease needs it; replaced in tests. */
export interface LeaseClock extends Clock {
  /** The time of day, for people. */
  date(): Date;
}

/** The clocks of this machine. */
export const leaseClock: LeaseClock = { ...systemClock, date: () => new Date() };

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
