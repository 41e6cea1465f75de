import type { Clock } from '../cluster/clock.ts';

/** Wakes the one who waits for it. */
export interface Bell {
  /** Ends the wait that is under way, or else the next one. */
  ring(): void;
  /** Waits until it is rung, for a while at most, or until `signal` fires; never fails because of any of these. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

export function createBell(clock: Clock): Bell {
  let rung = new AbortController();
  return {
    ring: () => rung.abort(),
    async wait(milliseconds, signal) {
      const waiting = rung;
      const onAbort = () => waiting.abort();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        if (!waiting.signal.aborted && !signal.aborted) await clock.sleep(Math.max(0, milliseconds), waiting.signal);
      } catch (error) {
        if (!waiting.signal.aborted) throw error;
      } finally {
        signal.removeEventListener('abort', onAbort);
        if (waiting.signal.aborted) rung = new AbortController();
      }
    },
  };
}
