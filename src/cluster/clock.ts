import { setTimeout as delay } from 'node:timers/promises';
import { cancelledBy } from '../errors.ts';

/** Time, passed in so that tests need not wait. */
export interface Clock {
  /** Milliseconds on a clock that only moves forward. */
  now(): number;
  /** Resolves after `milliseconds`; rejects with {@link cancelledBy} when `signal` fires first. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(milliseconds, signal) {
    try {
      await delay(milliseconds, undefined, { signal });
    } catch (error) {
      throw signal?.aborted ? cancelledBy(signal, 'while waiting') : error;
    }
  },
};
