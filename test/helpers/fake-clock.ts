import type { Clock } from '../../src/cluster/clock.ts';
import { cancelledBy } from '../../src/errors.ts';

/** Time that passes only when a test says so, with what happens in it. */
export interface FakeClock extends Clock {
  /** Lets so many milliseconds pass; timers fire in order, and what they set off is done before the next. */
  pass(milliseconds: number): Promise<void>;
}

interface Timer {
  readonly at: number;
  fire(): void;
}

export function createFakeClock(): FakeClock {
  let now = 0;
  let timers: readonly Timer[] = [];
  return {
    now: () => now,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(cancelledBy(signal));
          return;
        }
        const onAbort = () => {
          timers = timers.filter((one) => one !== timer);
          if (signal !== undefined) reject(cancelledBy(signal));
        };
        const timer = {
          at: now + milliseconds,
          fire: () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        timers = [...timers, timer].sort((a, b) => a.at - b.at);
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    async pass(milliseconds) {
      const end = now + milliseconds;
      for (;;) {
        await settled();
        const next = timers[0];
        if (next === undefined || next.at > end) break;
        timers = timers.slice(1);
        now = Math.max(now, next.at);
        next.fire();
      }
      now = end;
    },
  };
}

/** All promises that can go on without time have gone on. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
