import type { LeaseClock } from '../../../src/manager/clock.ts';

/** A clock that stands still until it is told. */
export interface FakeClock extends LeaseClock {
  /** Lets time pass; who sleeps wakes in order, and does what it does. */
  advance(milliseconds: number): Promise<void>;
  /** Sets the time of day, and nothing else. */
  set(date: string): void;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export function fakeClock(): FakeClock {
  let now = 1000;
  let offset = Date.parse('2026-01-31T12:00:00Z') - now;
  const sleepers = new Set<Sleeper>();
  return {
    now: () => now,
    date: () => new Date(now + offset),
    set: (date) => {
      offset = Date.parse(date) - now;
    },
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = { at: now + milliseconds, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
    async advance(milliseconds) {
      const until = now + milliseconds;
      for (;;) {
        await settle();
        const [next] = [...sleepers].sort((a, b) => a.at - b.at);
        if (next === undefined || next.at > until) break;
        sleepers.delete(next);
        now = Math.max(now, next.at);
        next.wake();
      }
      now = until;
      await settle();
    },
  };
}

/** Until all that can go on has. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
