/** How long work may give no sign before it is taken for stuck, in milliseconds. */
const LONGEST_SILENCE = 15 * 60_000;

/** Shows that a loop lives. */
export interface Pulse {
  /** Something moved; `doing` says what is done from now on. */
  beat(doing?: string): void;
  /** What has given no sign for long, and how long; undefined when all is well. */
  stuck(): string | undefined;
}

export function createPulse(now: () => number): Pulse {
  let last = now();
  let what = 'starting';
  return {
    beat(doing) {
      last = now();
      what = doing ?? what;
    },
    stuck() {
      const silent = now() - last;
      return silent < LONGEST_SILENCE
        ? undefined
        : `${what}: no sign of life for ${Math.floor(silent / 60_000)} minutes`;
    },
  };
}
