/** The longest gap between two tries, in milliseconds. */
const LONGEST = 60 * 60_000;
/** How much shorter or longer than asked a gap is at most: what failed together should not try again together. */
const JITTER = 0.1;

/** The gaps between the tries of something that fails. */
export interface Gaps {
  /** How long to wait after one more failure, in milliseconds. */
  next(): number;
  /** Failures since the last success. */
  failures(): number;
  /** To be called after a success. */
  reset(): void;
}

/**
 * Gaps that double with each failure, up to an hour or the first where that is longer.
 *
 * @param first - milliseconds
 * @param random - from 0 to 1
 */
export function createGaps(first: number, random: () => number): Gaps {
  let failures = 0;
  return {
    next() {
      const gap = Math.min(first * 2 ** failures, Math.max(LONGEST, first));
      failures += 1;
      return Math.round(gap * (1 - JITTER + 2 * JITTER * random()));
    },
    failures: () => failures,
    reset() {
      failures = 0;
    },
  };
}
