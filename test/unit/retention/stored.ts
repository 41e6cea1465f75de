import type { Backend, Leftover, StoredLease, StoredSnapshot, Survey } from '../../../src/backends/backend.ts';
import { TransshipError } from '../../../src/errors.ts';

type Store = Pick<Backend, 'survey' | 'remove' | 'removeLeftover' | 'removePlan' | 'lease'>;

/** A backend that holds what it is told to, and notes what is deleted. */
export interface StoredBed extends Store {
  readonly deleted: string[];
  lease: Backend['lease'];
}

export interface Stored {
  readonly snapshots?: readonly StoredSnapshot[];
  readonly leftovers?: readonly Leftover[];
  readonly foreign?: readonly string[];
  readonly plans?: readonly string[];
  readonly now?: Date;
  /** Locations that can't be deleted. */
  readonly stuck?: readonly string[];
  readonly lease?: StoredLease;
}

export function storedBed(stored: Stored): StoredBed {
  const deleted: string[] = [];
  let lease = stored.lease;
  const remove = async (location: string) => {
    if (stored.stuck?.includes(location)) throw new TransshipError('BACKEND', `${location} is locked.`);
    deleted.push(location);
  };
  return {
    deleted,
    async survey(): Promise<Survey> {
      const { snapshots = [], leftovers = [], foreign = [], plans = [] } = stored;
      const now = stored.now ?? new Date('2026-06-30T12:00:00Z');
      return { snapshots, leftovers, foreign, foreignCount: foreign.length, plans, now };
    },
    remove: ({ location }) => remove(location),
    removeLeftover: ({ location }) => remove(location),
    removePlan: remove,
    lease: {
      read: async () => lease,
      write: async () => undefined,
      async remove() {
        lease = undefined;
        deleted.push('lease');
      },
    },
  };
}

export function stored(id: string, changes: Partial<StoredSnapshot> = {}): StoredSnapshot {
  const location = `s3://b/p/transship-${id}.tar.zst`;
  return { id, layout: 'archive', location, size: 1024, state: 'complete', ...changes };
}

export function leftover(location: string, modified: string, changes: Partial<Leftover> = {}): Leftover {
  return { what: 'upload', location, size: 10, modified: new Date(modified), ...changes };
}
