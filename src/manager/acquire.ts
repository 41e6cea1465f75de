import type { Manager } from '../archive/snapshot.ts';
import type { LeaseStore, StoredLease } from '../backends/backend.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { LeaseClock } from './clock.ts';
import { isSameManager } from './identity.ts';
import { describeLease, formatLease, type Holder, type LeaseText, parseLease } from './lease-text.ts';
import { putText } from './put.ts';

/** What somebody wants who wants a lease. */
export interface Claim {
  readonly store: LeaseStore;
  readonly manager: Manager;
  readonly holder: Holder;
  readonly takeOver: boolean;
  readonly isAlive: (pid: number) => boolean;
  /** Milliseconds. */
  readonly duration: number;
  readonly renewEvery: number;
  readonly clock: LeaseClock;
  readonly reporter: Reporter;
}

/** A lease that is held. */
export interface Held {
  readonly lease: LeaseText;
  readonly version: string;
  /** When it was last renewed, at the latest: the clock's {@link LeaseClock.now} before it was written. */
  readonly at: number;
}

/** The text that was there when somebody began to watch it. */
interface Watched {
  readonly version: string;
  readonly since: number;
}

/** What no version is. */
const NONE = '';

type Verdict =
  | { readonly is: 'free'; readonly why: string; readonly isOthers: boolean }
  | { readonly is: 'theirs' }
  /** Milliseconds until it may be free. */
  | { readonly is: 'open'; readonly wait: number };

/** Takes the lease, as soon as it is free; see acquireLease. */
export async function acquire(claim: Claim, signal: AbortSignal | undefined): Promise<Held> {
  const { store, clock, renewEvery } = claim;
  let first: string | undefined;
  let watched: Watched | undefined;
  let isTold = false;
  for (;;) {
    const asked = clock.now();
    const stored = await store.read(signal);
    first ??= stored?.version ?? NONE;
    if (stored === undefined) {
      const held = await take(claim, undefined, signal);
      if (held !== undefined) return held;
    } else {
      const lease = parseLease(stored.text);
      if (watched?.version !== stored.version) watched = { version: stored.version, since: clock.now() };
      const isRenewed = first !== stored.version;
      const verdict = judge(claim, { stored, lease, unchanged: asked - watched.since, isRenewed });
      if (verdict.is === 'theirs') throw managedError(claim.manager, lease);
      if (verdict.is === 'free') {
        const held = await take(claim, stored.version, signal);
        if (held !== undefined) {
          tellTaken(claim, lease, verdict);
          return held;
        }
      } else {
        if (!isTold) tellWaiting(claim, lease, verdict.wait);
        isTold = true;
        await pause(clock, Math.min(verdict.wait, renewEvery / 4), signal);
        continue;
      }
    }
    // Somebody else was faster.
    await pause(clock, renewEvery / 20, signal);
  }
}

interface Seen {
  readonly stored: StoredLease;
  readonly lease: LeaseText | undefined;
  /** Milliseconds for which it surely has been what it is. */
  readonly unchanged: number;
  /** It is another text than at first: somebody has written it since. */
  readonly isRenewed: boolean;
}

/**
 * As in Kubernetes' leader election, a lease has run out when it was seen unchanged for as long as it lasts. Its age by the
 * storage's clock may tell so sooner, but that clock may jump: of another manager it only halves the time of watching.
 * https://github.com/kubernetes/client-go/blob/v0.35.4/tools/leaderelection/leaderelection.go
 */
function judge(
  { manager, holder, takeOver, isAlive, duration }: Claim,
  { stored, lease, unchanged, isRenewed }: Seen,
): Verdict {
  const isOthers = lease === undefined || !isSameManager(lease.manager, manager);
  const free = (why: string): Verdict => ({ is: 'free', why, isOthers });
  if (lease?.released !== undefined) return free('it was given back');
  if (takeOver) return free('take-over is set');
  const lasts = lease?.duration ?? duration;
  const isOld = stored.age > lasts;
  if (!isOthers) {
    // Two processes never have the same number on one host: that one has ended, as when its container is started again.
    const { host, pid } = lease.holder;
    if (host === holder.host && (pid === holder.pid || !isAlive(pid))) return free('its process has ended');
    if (isOld || unchanged > lasts) return free('it has run out');
    return { is: 'open', wait: lasts - unchanged };
  }
  if (isRenewed) return { is: 'theirs' };
  const enough = isOld ? lasts / 2 : lasts;
  return unchanged > enough ? free('it has run out') : { is: 'open', wait: enough - unchanged };
}

/** Writes a first text; undefined when something else is there by now. */
async function take(
  { store, manager, holder, duration, clock }: Claim,
  expected: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Held | undefined> {
  const at = clock.now();
  const acquired = clock.date();
  const lease: LeaseText = { manager, holder, acquired, renewed: acquired, renewals: 0, duration };
  const version = await putText(store, formatLease(lease), expected, signal);
  return version === undefined ? undefined : { lease, version, at };
}

async function pause(clock: LeaseClock, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) throw cancelledBy(signal, 'waiting for the lease');
  await clock.sleep(Math.max(milliseconds, 1), signal).catch((error: unknown) => {
    throw signal?.aborted ? cancelledBy(signal, 'waiting for the lease') : error;
  });
}

/** The error of somebody who is not to write at a path, for another manager does. */
export function managedError({ path }: Pick<Manager, 'path'>, lease: LeaseText | undefined): TransshipError {
  return new TransshipError('MANAGED', `${path} is kept up to date by ${describeLease(lease)}.`, {
    hint: 'Give another path, or stop that manager. With take-over it is the one that stops.',
  });
}

function tellWaiting({ manager, reporter }: Claim, lease: LeaseText | undefined, wait: number): void {
  const seconds = Math.ceil(wait / 1000);
  const isOwn = lease !== undefined && isSameManager(lease.manager, manager);
  reporter.info(
    isOwn
      ? `${manager.path} is still kept up to date from ${lease.holder.host}, by the same manager: waiting until that has stopped, or has been silent for ${seconds} s.`
      : `${manager.path} was kept up to date by ${describeLease(lease)}: looking for up to ${seconds} s whether that still runs.`,
  );
}

function tellTaken({ manager, reporter }: Claim, lease: LeaseText | undefined, verdict: Verdict): void {
  if (verdict.is !== 'free') return;
  if (!verdict.isOthers) {
    reporter.debug(`The lease of ${manager.path} is taken over from ${lease?.holder.host}: ${verdict.why}.`);
  } else if (lease?.released === undefined) {
    reporter.warn(`${manager.path} is taken over from ${describeLease(lease)}: ${verdict.why}.`, 'Taken over');
  } else {
    reporter.info(`${manager.path} was kept up to date by ${describeLease(lease)}, which has given it back.`);
  }
}
