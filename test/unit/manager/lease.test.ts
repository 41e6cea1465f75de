import { beforeEach, describe, expect, it } from 'vitest';
import type { Manager } from '../../../src/archive/snapshot.ts';
import { TransshipError } from '../../../src/errors.ts';
import { acquireLease, type Lease, type LeaseOptions } from '../../../src/manager/lease.ts';
import { parseLease } from '../../../src/manager/lease-text.ts';
import { keepWarnings } from '../releases/make-record.ts';
import { type FakeClock, fakeClock, settle } from './fake-clock.ts';
import { type MemoryStore, memoryStore } from './memory-store.ts';

const path = 's3://b/p';
const ours: Manager = { cluster: 'c1', namespace: 'ops', release: 'transship', path };
const others: Manager = { cluster: 'c2', namespace: 'ops', release: 'transship', path };

let clock: FakeClock;
let store: MemoryStore;
let reporter: ReturnType<typeof keepWarnings>;
beforeEach(() => {
  clock = fakeClock();
  store = memoryStore(clock);
  reporter = keepWarnings();
});

let pids = 0;
function acquire(manager: Manager, changes: Partial<LeaseOptions> = {}): Promise<Lease> {
  pids += 1;
  const holder = { host: `pod-${pids}`, pid: 1 };
  return acquireLease(store, manager, { takeOver: false, holder, reporter, clock, ...changes });
}

/** What becomes of a promise while time passes. */
function watch<T>(promise: Promise<T>) {
  const seen: { value?: T; error?: unknown; after?: number } = {};
  const begun = clock.now();
  promise.then(
    (value) => Object.assign(seen, { value, after: clock.now() - begun }),
    (error) => Object.assign(seen, { error, after: clock.now() - begun }),
  );
  return seen;
}

/** A manager whose process is killed: it renews nothing any more. */
async function killed(manager: Manager, holder = { host: 'pod-killed', pid: 1 }): Promise<void> {
  const own = fakeClock();
  await acquireLease(store, manager, { takeOver: false, holder, reporter, clock: own });
}

const lease = () => parseLease(store.text() ?? '');

describe('a path that nobody keeps', () => {
  it('is taken at once, in words that a person can read', async () => {
    await acquire(ours, { holder: { host: 'transship-7d4b9c', pid: 1 } });
    expect(JSON.parse(store.text() ?? '')).toEqual({
      formatVersion: 1,
      manager: ours,
      holder: { id: expect.stringMatching(/^[0-9a-f]{16}$/), host: 'transship-7d4b9c', pid: 1 },
      acquired: '2026-01-31T12:00:00.000Z',
      renewed: '2026-01-31T12:00:00.000Z',
      renewals: 0,
      durationSeconds: 60,
    });
  });

  it('is taken by exactly one of two that start at the same instant', async () => {
    const both = [watch(acquire(ours)), watch(acquire(others))];
    await clock.advance(60_000);
    expect(both.filter(({ value }) => value !== undefined)).toHaveLength(1);
    expect(both.filter(({ error }) => error instanceof TransshipError && error.code === 'MANAGED')).toHaveLength(1);
  });

  it('is taken although the answer to the write was lost', async () => {
    store.faults.push('after');
    await acquire(ours);
    expect(store.texts).toHaveLength(1);
  });

  it('is not taken for a storage that refuses', async () => {
    store.faults.push('before');
    await expect(acquire(ours)).rejects.toMatchObject({ code: 'BACKEND' });
  });
});

describe('while it is held', () => {
  it('each renewal is another text, though the clock stands still', async () => {
    await acquire(ours);
    clock.set('2026-01-31T12:00:00Z');
    await clock.advance(20_000);
    clock.set('2026-01-31T12:00:00Z');
    await clock.advance(20_000);
    expect(new Set(store.texts).size).toBe(3);
    expect(lease()?.acquired).toEqual(new Date('2026-01-31T12:00:00Z'));
  });

  it('an orderly end lets the next one in at once', async () => {
    const first = await acquire(ours);
    await first.release();
    expect(lease()?.released).toBeInstanceOf(Date);
    await acquire(others);
    expect(lease()?.manager).toEqual(others);
    expect(reporter.warnings).toEqual([]);
  });

  it('nothing is renewed after its end', async () => {
    const first = await acquire(ours);
    await first.release();
    const { length } = store.texts;
    await clock.advance(120_000);
    expect(store.texts).toHaveLength(length);
    await expect(first.check()).rejects.toThrow('given back');
  });

  it('one that somebody has removed is made again', async () => {
    const first = await acquire(ours);
    await store.remove();
    await first.check();
    expect(lease()?.manager).toEqual(ours);
  });
});

describe('another manager', () => {
  it('that is alive is named, with where it runs, since when, and the ways out', async () => {
    await acquire(ours, { holder: { host: 'transship-7d4b9c', pid: 1 } });
    const second = watch(acquire(others));
    await clock.advance(25_000);
    expect(second.error).toMatchObject({
      code: 'MANAGED',
      message:
        's3://b/p is kept up to date by release transship in namespace ops of cluster c1, on transship-7d4b9c, since 2026-01-31 12:00:00 UTC.',
      hint: 'Give another path, or stop that manager. With take-over it is the one that stops.',
    });
    expect(second.after).toBeLessThanOrEqual(25_000);
  });

  it('that was killed is found out after the time its lease lasts, and told', async () => {
    await killed(ours);
    const second = watch(acquire(others));
    await clock.advance(59_000);
    expect(second).toEqual({});
    await clock.advance(6_000);
    expect(second.value?.manager).toEqual(others);
    expect(reporter.warnings).toEqual([
      's3://b/p is taken over from release transship in namespace ops of cluster c1, on pod-killed, since 2026-01-31 12:00:00 UTC: it has run out.',
    ]);
  });

  it('that was killed long ago is found out in half that time', async () => {
    await killed(ours);
    await clock.advance(3_600_000);
    const second = watch(acquire(others));
    await clock.advance(36_000);
    expect(second.value?.manager).toEqual(others);
  });

  it("that is alive stays when the storage's clock jumps ahead", async () => {
    await acquire(ours);
    store.jump = 3_600_000;
    const second = watch(acquire(others));
    await clock.advance(120_000);
    expect(second.error).toMatchObject({ code: 'MANAGED' });
  });

  it("that is alive stays when the storage's clock goes back, and one that was killed does not", async () => {
    store.jump = -3_600_000;
    await killed(ours);
    const second = watch(acquire(others));
    await clock.advance(66_000);
    expect(second.value?.manager).toEqual(others);
    const third = watch(acquire(ours));
    await clock.advance(60_000);
    expect(third.error).toMatchObject({ code: 'MANAGED' });
  });

  it('whose clock tells another time is not taken for dead', async () => {
    clock.set('2001-01-01T00:00:00Z');
    await acquire(ours);
    clock.set('2040-01-01T00:00:00Z');
    const second = watch(acquire(others));
    await clock.advance(60_000);
    expect(second.error).toMatchObject({ code: 'MANAGED' });
  });

  it('whose lease can not be read is one all the same', async () => {
    await store.write('{"formatVersion":2}', undefined);
    const second = watch(acquire(ours));
    await clock.advance(30_000);
    await store.write('{"formatVersion":2,"renewed":true}', '1');
    await clock.advance(6_000);
    expect(second.error).toMatchObject({
      code: 'MANAGED',
      message: 's3://b/p is kept up to date by somebody whose lease this Transship can not read.',
    });
  });
});

describe('the same manager', () => {
  it('after a kill waits for the time that the lease lasts, says so once, and needs no word for it then', async () => {
    await killed(ours);
    const infos: string[] = [];
    const second = watch(acquire(ours, { reporter: { ...reporter, info: (line) => infos.push(line) } }));
    await clock.advance(66_000);
    expect(second.value?.manager).toEqual(ours);
    expect(infos).toEqual([
      's3://b/p is still kept up to date from pod-killed, by the same manager: waiting until that has stopped, or has been silent for 60 s.',
    ]);
    expect(reporter.warnings).toEqual([]);
  });

  it('after a kill long ago, by the clock of the storage, does not wait', async () => {
    await killed(ours);
    await clock.advance(61_000);
    const second = watch(acquire(ours));
    await settle();
    expect(second).toMatchObject({ after: 0 });
  });

  it('that was started again in the same pod does not wait: its process is the one that ended', async () => {
    await killed(ours, { host: 'transship-7d4b9c', pid: 1 });
    const second = watch(acquire(ours, { holder: { host: 'transship-7d4b9c', pid: 1 } }));
    await settle();
    expect(second).toMatchObject({ after: 0 });
  });

  it('that was started again on the same machine does not wait for a process that is not there any more', async () => {
    await killed(ours, { host: 'laptop', pid: 4711 });
    const holder = { host: 'laptop', pid: 4712 };
    const waiting = watch(acquire(ours, { holder, isAlive: (pid) => pid === 4711 }));
    await clock.advance(30_000);
    expect(waiting).toEqual({});
    const second = watch(acquire(ours, { holder, isAlive: () => false }));
    await settle();
    expect(second).toMatchObject({ after: 0 });
  });

  it('in a rollout waits for the pod before it, which keeps its lease until it ends', async () => {
    const first = await acquire(ours);
    const second = watch(acquire(ours));
    await clock.advance(300_000);
    expect(second).toEqual({});
    await first.check();
    await first.release();
    await clock.advance(6_000);
    expect(second.value?.manager).toEqual(ours);
  });

  it('stops waiting when it is cancelled', async () => {
    await acquire(ours);
    const cancel = new AbortController();
    const second = watch(acquire(ours, { signal: cancel.signal }));
    await clock.advance(7_000);
    cancel.abort(new TransshipError('CANCELLED', 'Cancelled by SIGTERM.'));
    await settle();
    expect(second.error).toMatchObject({ code: 'CANCELLED', message: 'Cancelled by SIGTERM.' });
  });
});

describe('take-over', () => {
  it('takes it at once, with a warning, and the first one notices at its next renewal who it was', async () => {
    const first = await acquire(ours);
    await acquire(others, { takeOver: true, holder: { host: 'green', pid: 1 } });
    expect(lease()?.manager).toEqual(others);
    expect(reporter.warnings).toEqual([expect.stringContaining(': take-over is set.')]);
    expect(first.lost.aborted).toBe(false);
    await clock.advance(20_000);
    expect(first.lost.reason).toMatchObject({
      code: 'MANAGED',
      message:
        's3://b/p was taken over by release transship in namespace ops of cluster c2, on green, since 2026-01-31 12:00:00 UTC.',
    });
  });

  it('is noticed before a snapshot is made whole', async () => {
    const first = await acquire(ours);
    await acquire(others, { takeOver: true });
    await expect(first.check()).rejects.toMatchObject({ code: 'MANAGED' });
    expect(first.lost.aborted).toBe(true);
    await expect(first.check()).rejects.toMatchObject({ code: 'MANAGED' });
  });

  it('is not given back by the one that lost it', async () => {
    const first = await acquire(ours);
    await acquire(others, { takeOver: true });
    await first.release();
    expect(lease()?.manager).toEqual(others);
    expect(lease()?.released).toBeUndefined();
  });

  it('by two at once leaves one', async () => {
    await acquire(ours);
    const both = await Promise.all([
      acquire(others, { takeOver: true }),
      clock.advance(2_000).then(() => acquire({ ...ours, cluster: 'c3' }, { takeOver: true })),
    ]);
    const checks = await Promise.allSettled(both.map((one) => one.check()));
    expect(checks.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });
});

describe('a storage that fails', () => {
  it('is tried again, and the lease goes on', async () => {
    const first = await acquire(ours);
    store.isDown = true;
    await clock.advance(45_000);
    store.isDown = false;
    await clock.advance(5_000);
    expect(reporter.warnings).toEqual([
      'The lease of s3://b/p could not be renewed, and is tried again: s3://b/p: read ECONNRESET.',
    ]);
    expect(lease()?.renewed).toEqual(new Date('2026-01-31T12:00:50Z'));
    await first.check();
  });

  it('fails a check only once nobody knows any more whose it is', async () => {
    const first = await acquire(ours);
    store.isDown = true;
    await clock.advance(30_000);
    const check = watch(first.check());
    await clock.advance(28_000);
    expect(check).toEqual({});
    await clock.advance(4_000);
    expect(check.error).toMatchObject({ code: 'BACKEND' });
    expect(first.lost.aborted).toBe(false);
    store.isDown = false;
    await first.check();
    expect(lease()?.manager).toEqual(ours);
  });

  it('that answers nothing is waited for only so long', async () => {
    await acquire(ours);
    store.faults.push('never');
    await clock.advance(50_000);
    expect(lease()?.renewed).toEqual(new Date('2026-01-31T12:00:45Z'));
  });

  it.each(['after', 'before'] as const)('is not confused by a reset %s a renewal', async (fault) => {
    const first = await acquire(ours);
    store.faults.push(fault);
    const checks = watch(first.check().then(() => first.check()));
    await clock.advance(2_000);
    expect(checks).toHaveProperty('after');
    expect(checks).not.toHaveProperty('error');
    expect(first.lost.aborted).toBe(false);
  });

  it('lets another one in when it has been silent for too long, which it then learns', async () => {
    const first = await acquire(ours);
    const { read, write } = store;
    const isCutOff = { value: true };
    const down = async () => {
      throw new TransshipError('BACKEND', 'read ECONNRESET.');
    };
    // Only this one is cut off.
    const theirs = { ...store, read, write };
    store.read = async (signal) => (isCutOff.value ? down() : read(signal));
    store.write = async (text, expected, signal) => (isCutOff.value ? down() : write(text, expected, signal));
    const options = { takeOver: false, holder: { host: 'other', pid: 1 }, reporter, clock };
    const second = watch(acquireLease(theirs, others, options));
    await clock.advance(66_000);
    expect(second.value?.manager).toEqual(others);
    isCutOff.value = false;
    await expect(first.check()).rejects.toMatchObject({ code: 'MANAGED' });
  });

  it('at the end costs a warning and no error', async () => {
    const first = await acquire(ours);
    store.isDown = true;
    await first.release();
    expect(reporter.warnings).toEqual([
      'The lease of s3://b/p could not be given back: s3://b/p: read ECONNRESET. The next manager waits up to 60 s.',
    ]);
  });
});
