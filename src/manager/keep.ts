import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { Claim, Held } from './acquire.ts';
import { within } from './clock.ts';
import type { Lease } from './lease.ts';
import { describeLease, formatLease, type LeaseText, parseLease } from './lease-text.ts';
import { putText } from './put.ts';

/** How often a write is begun anew because of what was found there. */
const MOST_ROUNDS = 5;

/** Renews a lease until it is released, or lost. */
export function keepLease(claim: Claim, first: Held): Lease {
  const { store, manager, holder, clock, reporter, duration, renewEvery } = claim;
  const lost = new AbortController();
  const stopped = new AbortController();
  let held = first;
  let renewals = 0;
  let last: Promise<unknown> = Promise.resolve();
  let isFailing = false;
  let isReleased = false;

  /** One write at a time: each replaces the one before. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  }

  async function renew(signal: AbortSignal | undefined, released?: Date): Promise<void> {
    if (lost.signal.aborted) throw lost.signal.reason;
    if (isReleased) throw new Error('A lease that was given back is not renewed.');
    isReleased = released !== undefined;
    const late = () => new TransshipError('BACKEND', `${manager.path} did not answer in time.`);
    await within(renewEvery, clock, signal, late, (limit) => write(limit, released));
    isFailing = false;
  }

  async function write(signal: AbortSignal, released: Date | undefined): Promise<void> {
    let expected: string | undefined = held.version;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const at = clock.now();
      renewals += 1;
      const lease: LeaseText = { ...held.lease, renewed: clock.date(), renewals, released };
      const version = await putText(store, formatLease(lease), expected, signal);
      if (version !== undefined) {
        held = { lease, version, at };
        return;
      }
      const there = await store.read(signal);
      const other = there && parseLease(there.text);
      // Nobody has one that was removed; and a write that seemed to have failed may have been done late.
      if (there !== undefined && other?.holder.id !== holder.id) throw lose(other);
      expected = there?.version;
    }
    throw new TransshipError('BACKEND', `The lease of ${manager.path} changes with each look at it.`);
  }

  function lose(other: LeaseText | undefined): TransshipError {
    const error = new TransshipError('MANAGED', `${manager.path} was taken over by ${describeLease(other)}.`, {
      hint: 'This manager has stopped writing there. Give it another path, or remove it.',
    });
    lost.abort(error);
    stopped.abort();
    return error;
  }

  async function keepOn(): Promise<void> {
    while (!stopped.signal.aborted) {
      try {
        await clock.sleep(isFailing ? renewEvery / 4 : renewEvery, stopped.signal);
        await inTurn(async () => {
          if (!stopped.signal.aborted) await renew(stopped.signal);
        });
      } catch (error) {
        if (stopped.signal.aborted) return;
        if (!isFailing) {
          reporter.warn(
            `The lease of ${manager.path} could not be renewed, and is tried again: ${messageOf(error)}`,
            'Lease not renewed',
          );
        }
        isFailing = true;
      }
    }
  }

  async function check(signal?: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await inTurn(() => renew(signal));
        return;
      } catch (error) {
        if (lost.signal.aborted) throw lost.signal.reason;
        if (signal?.aborted) throw cancelledBy(signal, 'renewing the lease');
        if (!(error instanceof TransshipError)) throw error;
        if (clock.now() - held.at < duration) {
          // Nobody can have it yet who waits for it to run out.
          await clock.sleep(renewEvery / 20, signal).catch(() => {});
          continue;
        }
        throw new TransshipError(
          'BACKEND',
          `The lease of ${manager.path} could not be renewed in time, so somebody else may write there by now.`,
          { cause: error },
        );
      }
    }
  }

  async function release(): Promise<void> {
    if (stopped.signal.aborted) return;
    stopped.abort();
    try {
      await inTurn(() => renew(undefined, clock.date()));
    } catch (error) {
      if (lost.signal.aborted) return;
      const seconds = Math.ceil(duration / 1000);
      reporter.warn(
        `The lease of ${manager.path} could not be given back: ${messageOf(error)} The next manager waits up to ${seconds} s.`,
        'Lease not given back',
      );
    }
  }

  void keepOn();
  return { manager, lost: lost.signal, check, release };
}
