import { parseSnapshotId, snapshotId } from '../archive/snapshot.ts';

/** A new snapshot's id and the time it stands for. */
export interface NewId {
  readonly id: string;
  readonly created: Date;
}

/** Ids that only grow. */
export interface Ids {
  /** Learns of ids there are already; what is no id is left out. */
  know(ids: Iterable<string>): void;
  next(): NewId;
}

/**
 * Ids by the time of day. Where that is not later than the last id known, because the clock went back or two are made in
 * one second, the second after it is taken: the order of ids is the order of what they hold.
 */
export function createIds(now: () => Date): Ids {
  let last = Number.NEGATIVE_INFINITY;
  return {
    know(ids) {
      for (const id of ids) last = Math.max(last, parseSnapshotId(id)?.getTime() ?? last);
    },
    next() {
      const created = new Date(Math.max(now().getTime(), last + 1000));
      const id = snapshotId(created);
      last = parseSnapshotId(id)?.getTime() ?? created.getTime();
      return { id, created };
    },
  };
}
