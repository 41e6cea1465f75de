/** A busy cluster never rests: after this many times the time to settle, a snapshot is made all the same. */
const MOST_SETTLES = 10;

/** What has changed since the last snapshot was begun; milliseconds of a clock that only moves forward. */
export interface Dirty {
  /** When the first change was seen. */
  readonly first: number;
  readonly last: number;
}

/** Keeps when something changed that is in no snapshot yet. */
export interface Changes {
  /** Something has changed just now. */
  note(): void;
  /** What is not saved yet; undefined when nothing is. */
  dirty(): Dirty | undefined;
  /** When it is to be saved; never, as `Infinity`, when there is nothing. */
  due(): number;
  /** Begins a snapshot, which will hold all that changed until now. */
  take(): Dirty | undefined;
  /** The snapshot came to nothing: what it was to hold has yet to be saved. */
  putBack(taken: Dirty | undefined): void;
}

/** @param settle - how long nothing may change before a snapshot is made, in milliseconds */
export function createChanges(settle: number, now: () => number): Changes {
  let dirty: Dirty | undefined;
  return {
    note() {
      const at = now();
      dirty = { first: dirty?.first ?? at, last: at };
    },
    dirty: () => dirty,
    due: () =>
      dirty === undefined
        ? Number.POSITIVE_INFINITY
        : Math.min(dirty.last + settle, dirty.first + MOST_SETTLES * settle),
    take() {
      const taken = dirty;
      dirty = undefined;
      return taken;
    },
    putBack(taken) {
      if (taken !== undefined) dirty = { first: taken.first, last: dirty?.last ?? taken.last };
    },
  };
}
