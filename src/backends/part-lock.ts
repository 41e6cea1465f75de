import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import * as z from 'zod/mini';
import { TransshipError } from '../errors.ts';
import { isAlive } from '../process-alive.ts';

/*
 * Who writes a group. Locks are numbered, and none is ever replaced: who takes over makes the next one, which only one of
 * several can. So nobody can remove another's by mistake.
 */

/** How often a living writer says so, for those on other machines. */
const REFRESH_MILLISECONDS = 30_000;

const LOCK = /^_lock-(\d{1,9})$/;

/** A lock as it is found. */
export interface FoundLock {
  readonly number: number;
  readonly text: string;
  /** When the writer was last seen to do something, in milliseconds. */
  readonly changed: number;
}

/** Where the locks of one group are. */
export interface LockPlace {
  /** The one with the highest number. */
  newest(): Promise<FoundLock | undefined>;
  /** Makes one; false when there is one of that number. */
  create(number: number, text: string): Promise<boolean>;
  /** Shows that the writer lives. */
  refresh(number: number, text: string): Promise<void>;
  remove(number: number): Promise<void>;
  /** How long a writer on another machine may be silent, in milliseconds. */
  readonly silence: number;
}

/** A process, as told from all others, also from one that gets its number later. */
export interface Holder {
  /** The name of the host and which start of it. */
  readonly host: string;
  readonly pid: number;
  /** When it started, in the kernel's ticks; empty where that is not known. */
  readonly started: string;
}

/** The right to write a group. */
export interface Claim {
  /**
   * Does some work that writes. When it fails and no other is under way, the claim is given up for the next export; the
   * next work takes it again.
   *
   * @throws TransshipError `BACKEND` when another export has it by then
   */
  use<T>(work: () => Promise<T>): Promise<T>;
  release(): Promise<void>;
  /** Says no more that it lives: its lock is about to be removed with all others. */
  stop(): Promise<void>;
}

const holderSchema = z.object({ host: z.string(), pid: z.int(), started: z.string() });

/** The name of a lock. */
export function lockName(number: number): string {
  return `_lock-${number}`;
}

/** The number in the name of a lock; undefined for any other name. */
export function lockNumberOf(name: string): number | undefined {
  const number = LOCK.exec(name)?.[1];
  return number === undefined ? undefined : Number(number);
}

/**
 * Takes a group that no living process writes.
 *
 * @param what - for messages: what is written
 * @returns nothing when one does
 */
export async function claim(place: LockPlace, what: string, self?: Holder): Promise<Claim | undefined> {
  const holder = self ?? (await thisProcess());
  let lock: Promise<Lock | undefined> = take(place, holder);
  if ((await lock) === undefined) return undefined;
  let running = 0;
  let failed = false;
  const release = async () => {
    const held = await lock;
    lock = Promise.resolve(undefined);
    await held?.release();
  };
  return {
    async use(work) {
      running += 1;
      try {
        lock = lock.then((held) => held ?? take(place, holder));
        if ((await lock) === undefined) throw takenOver(what);
        return await work();
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        running -= 1;
        if (failed && running === 0) {
          failed = false;
          // What fails here leaves a lock that ends with the process.
          await release().catch(() => {});
        }
      }
    },
    release,
    stop: async () => (await lock)?.stop(),
  };
}

interface Lock {
  stop(): Promise<void>;
  release(): Promise<void>;
}

async function take(place: LockPlace, holder: Holder): Promise<Lock | undefined> {
  const newest = await place.newest();
  if (newest !== undefined && (await isHeld(newest, holder, place.silence))) return undefined;
  const number = (newest?.number ?? 0) + 1;
  const text = `${JSON.stringify(holder)}\n`;
  if (!(await place.create(number, text))) return undefined;
  let refreshing: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    // One that fails is followed by others.
    refreshing = place.refresh(number, text).catch(() => {});
  }, REFRESH_MILLISECONDS);
  timer.unref();
  const stop = async () => {
    clearInterval(timer);
    // It would make the lock again.
    await refreshing;
  };
  return {
    stop,
    async release() {
      await stop();
      await place.remove(number);
    },
  };
}

async function isHeld({ text, changed }: FoundLock, self: Holder, silence: number): Promise<boolean> {
  const holder = parseHolder(text);
  if (holder?.host !== self.host) return Date.now() - changed < silence;
  return isAlive(holder.pid) && (await startOf(holder.pid)) === holder.started;
}

function parseHolder(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function thisProcess(): Promise<Holder> {
  // Runners made of one image may share a name.
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return { host: `${hostname()} ${boot}`.trim(), pid: process.pid, started: await startOf(process.pid) };
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the 22nd field; the second one may hold spaces. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

/** Does some work for which a group is claimed, or need not be; when it fails, the group is anybody's again. */
export async function releasing(claimed: Claim | undefined, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    // What fails here leaves a lock that ends with the process.
    await claimed?.release().catch(() => {});
    throw error;
  }
}

/** The error for a group, or a file, that another export writes. */
export function takenOver(what: string): TransshipError {
  return new TransshipError('BACKEND', `Another export is writing ${what}.`, {
    hint: 'Wait until it has ended, or choose another path.',
  });
}
