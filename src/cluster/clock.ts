import { setTimeout as delay } from 'node:timers/promises';
import { TransshipError } from '../errors.ts';

/** Time, passed in so that tests need not wait. */
export interface Clock {
  /** Milliseconds on a clock that only moves forward. */
  now(): number;
  /** Resolves after `milliseconds`; rejects with {@link cancelled} when `signal` fires first. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(milliseconds, signal) {
    try {
      await delay(milliseconds, undefined, { signal });
    } catch (error) {
      throw signal?.aborted ? cancelled(signal, 'while waiting') : error;
    }
  },
};

/** The error of an aborted operation: the signal's own where it carries one meant for the user. */
export function cancelled(signal: AbortSignal, what: string): TransshipError {
  const reason: unknown = signal.reason;
  return reason instanceof TransshipError
    ? reason
    : new TransshipError('CANCELLED', `Cancelled: ${what}.`, { cause: reason });
}
