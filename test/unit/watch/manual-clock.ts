import { expect } from 'vitest';
import type { Clock } from '../../../src/cluster/clock.ts';
import { cancelledBy } from '../../../src/errors.ts';

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  advance(milliseconds: number): void;
  /** How long those who sleep wanted to, in order of their beginning. */
  readonly sleeps: number[];
}

export function manualClock(): ManualClock {
  let now = 0;
  const sleeps: number[] = [];
  const sleeping = new Set<{ readonly at: number; readonly wake: () => void }>();
  return {
    sleeps,
    now: () => now,
    sleep(milliseconds, signal) {
      sleeps.push(milliseconds);
      return new Promise((resolve, reject) => {
        const cancel = () => {
          sleeping.delete(sleeper);
          if (signal !== undefined) reject(cancelledBy(signal, 'while waiting'));
        };
        const wake = () => {
          sleeping.delete(sleeper);
          signal?.removeEventListener('abort', cancel);
          resolve();
        };
        const sleeper = { at: now + milliseconds, wake };
        if (signal?.aborted) {
          cancel();
          return;
        }
        sleeping.add(sleeper);
        signal?.addEventListener('abort', cancel, { once: true });
      });
    },
    advance(milliseconds) {
      now += milliseconds;
      for (const { at, wake } of [...sleeping]) if (at <= now) wake();
    },
  };
}

/** Waits until something is so, while time goes by in steps. */
export function eventually<T>(clock: ManualClock, read: () => T, step = 50) {
  return expect.poll(
    () => {
      clock.advance(step);
      return read();
    },
    { interval: 2, timeout: 8000 },
  );
}
