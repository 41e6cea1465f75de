import { randomBytes } from 'node:crypto';
import type { Manager } from '../archive/snapshot.ts';
import type { LeaseStore } from '../backends/backend.ts';
import { isAlive } from '../process-alive.ts';
import type { Reporter } from '../report/reporter.ts';
import { acquire } from './acquire.ts';
import { type LeaseClock, leaseClock } from './clock.ts';
import { keepLease } from './keep.ts';

/** How long a lease lasts after it was renewed, in milliseconds. */
export const LEASE_DURATION = 60_000;
/** How often it is renewed. */
const RENEW_EVERY = 20_000;

/** How a lease is taken. */
export interface LeaseOptions {
  /** Take it from whoever has it. */
  readonly takeOver: boolean;
  /** Where this process runs. */
  readonly holder: { readonly host: string; readonly pid: number };
  readonly reporter: Reporter;
  /** Ends the waiting for it; one that is held is kept until it is released. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; for tests. */
  readonly duration?: number | undefined;
  readonly renewEvery?: number | undefined;
  readonly clock?: LeaseClock | undefined;
  /** Whether this machine has a process of that number. */
  readonly isAlive?: ((pid: number) => boolean) | undefined;
}

/** The right to write at a path, which is renewed until it is released. */
export interface Lease {
  readonly manager: Manager;
  /** Fires when somebody else has it; the reason is a TransshipError `MANAGED` that names who. */
  readonly lost: AbortSignal;
  /**
   * Renews it, right before a snapshot is made whole.
   *
   * @throws TransshipError `MANAGED` when somebody else has it: for good
   * @throws TransshipError `BACKEND` when it could not be renewed, so that nobody knows: try again later
   */
  check(signal?: AbortSignal): Promise<void>;
  /** Gives it back, so that the next one need not wait. Never throws. */
  release(): Promise<void>;
}

/**
 * Takes the lease of a path, and keeps it. One of another manager is watched: who renews it is alive. One of the same
 * manager, of a pod before this one, is waited for until it has run out or is given back.
 *
 * @throws TransshipError `MANAGED` when another manager keeps the path up to date
 * @throws TransshipError `BACKEND` when the storage refuses or fails
 */
export async function acquireLease(store: LeaseStore, manager: Manager, options: LeaseOptions): Promise<Lease> {
  const { takeOver, reporter, signal, clock = leaseClock, duration = LEASE_DURATION } = options;
  const claim = {
    ...{ store, manager, takeOver, reporter, clock, duration },
    isAlive: options.isAlive ?? isAlive,
    holder: { id: randomBytes(8).toString('hex'), ...options.holder },
    renewEvery: options.renewEvery ?? RENEW_EVERY,
  };
  return keepLease(claim, await acquire(claim, signal));
}
