import { describe, expect, it } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { MOST_WAITING } from '../../../src/watch/queue.ts';
import { createWorld, failing, HOUR, idAt, MINUTE, SECOND, type World } from './world.ts';

const nothing = () => {};

/** A world that has stored its first snapshot a minute ago. */
async function started(): Promise<World> {
  const world = createWorld();
  void world.start();
  await world.clock.pass(MINUTE);
  return world;
}

/** The cluster changes each minute, so often. */
async function changeEachMinute(world: World, times: number, name = 'state'): Promise<void> {
  for (let time = 1; time <= times; time++) {
    world.change(`${name} ${time}`);
    await world.clock.pass(MINUTE);
  }
}

describe('a push that fails', () => {
  it('is tried again with growing gaps of an hour at most, as long as it takes', async () => {
    const world = await started();
    world.onPush = () => failing();
    world.change('two');
    await world.clock.pass(8 * HOUR);
    const tries = world.pushes.slice(1).map(({ at }) => (at - 90 * SECOND) / MINUTE);
    expect(tries).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423]);
    expect(new Set(world.pushes.slice(1).map(({ id }) => id)).size).toBe(1);
    expect(world.metric('transship_failures_total{step="push"}')).toBe(tries.length);
  });

  it('begins with the first gap again after a success', async () => {
    const world = await started();
    world.onPush = () => failing();
    world.change('two');
    await world.clock.pass(5 * MINUTE);
    world.onPush = nothing;
    await world.clock.pass(5 * MINUTE);
    world.onPush = () => failing();
    const before = world.pushes.length;
    world.change('three');
    await world.clock.pass(2 * MINUTE);
    const [first, second] = world.pushes.slice(before);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBe(MINUTE);
  });

  it('keeps its place: what was made meanwhile comes after it, all of it, in order', async () => {
    const world = await started();
    world.onPush = () => failing();
    await changeEachMinute(world, 5);
    expect(world.metric('transship_pending_snapshots')).toBe(5);
    expect(world.states()).toEqual(['one']);
    world.onPush = nothing;
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'state 1', 'state 2', 'state 3', 'state 4', 'state 5']);
    expect(world.metric('transship_pending_snapshots')).toBe(0);
  });

  it('is told with what helps and when it is tried again', async () => {
    const world = await started();
    world.onPush = () => {
      throw new TransshipError('BACKEND', 'The bucket is full.', { hint: 'Make room.' });
    };
    world.change('two');
    await world.clock.pass(MINUTE);
    expect(world.warnings()).toEqual([
      `Snapshot ${idAt(90 * SECOND)} could not be stored: The bucket is full. Make room. It is kept, and tried again in 60 s.`,
    ]);
    expect(world.log.at(-1)?.fields).toEqual({
      step: 'push',
      snapshot: idAt(90 * SECOND),
      attempt: 1,
      pending: 1,
      retrySeconds: 60,
    });
  });

  it('for want of a right, once it had worked, is tried again too: a role may have expired', async () => {
    const world = await started();
    world.onPush = () => {
      throw new TransshipError('FORBIDDEN', 'Expired.');
    };
    world.change('two');
    await world.clock.pass(2 * MINUTE);
    world.onPush = nothing;
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'two']);
  });

  it('counts the lag from the oldest change that is not stored', async () => {
    const world = await started();
    world.onPush = () => failing();
    await changeEachMinute(world, 5);
    expect(world.metric('transship_lag_seconds')).toBe(300);
    world.onPush = nothing;
    await world.clock.pass(HOUR);
    expect(world.metric('transship_lag_seconds')).toBe(0);
  });
});

describe('what waits', () => {
  it('is pushed one at a time', async () => {
    const world = await started();
    world.pushTakes = 10 * MINUTE;
    await changeEachMinute(world, 3);
    await world.clock.pass(HOUR);
    expect(world.pushes.slice(1).map(({ at }) => (at - 90 * SECOND) / MINUTE)).toEqual([0, 10, 20]);
    expect(world.states()).toEqual(['one', 'state 1', 'state 2', 'state 3']);
  });

  it('is not written twice when the cluster goes back to what waits, and is when it goes back to what is stored', async () => {
    const world = await started();
    world.onPush = () => failing();
    for (const state of ['two', 'two', 'one']) {
      world.change(state);
      await world.clock.pass(MINUTE);
    }
    world.onPush = nothing;
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'two', 'one']);
  });

  it('leaves nothing on the disk but the one made last', async () => {
    const world = await started();
    world.onPush = () => failing();
    await changeEachMinute(world, 5);
    expect(world.onDisk.size).toBe(5);
    world.onPush = nothing;
    await world.clock.pass(HOUR);
    expect([...world.onDisk].map(({ contents }) => contents)).toEqual(['state 5']);
    world.stir();
    await world.clock.pass(MINUTE);
    expect(world.onDisk.size).toBe(1);
  });

  it(`is at most ${MOST_WAITING} snapshots: then the newest waits alone behind them, with all that changed`, async () => {
    const world = await started();
    world.onPush = () => failing();
    await changeEachMinute(world, MOST_WAITING + 20);
    expect(world.metric('transship_pending_snapshots')).toBe(MOST_WAITING);
    expect(world.metric('transship_snapshots_superseded_total')).toBe(20);
    expect(world.onDisk.size).toBe(MOST_WAITING);
    world.onPush = nothing;
    await world.clock.pass(24 * HOUR);
    const kept = Array.from({ length: MOST_WAITING - 1 }, (_, index) => `state ${index + 1}`);
    expect(world.states()).toEqual(['one', ...kept, `state ${MOST_WAITING + 20}`]);
  });

  it('makes room on a full disk, but for the one in hand and the newest', async () => {
    const world = await started();
    world.onPush = () => failing();
    await changeEachMinute(world, 5);
    const full = new TransshipError('BACKEND', 'No space left.', {
      cause: Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }),
    });
    world.onExport = () => {
      if (world.onDisk.size > 1) throw full;
    };
    await changeEachMinute(world, 1, 'last');
    expect(world.onDisk.size).toBe(2);
    world.onPush = nothing;
    world.onExport = nothing;
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'state 5', 'last 1']);
    expect(world.metric('transship_snapshots_superseded_total')).toBe(4);
  });

  it('is tried again like any failure when the disk is full and there is nothing to drop', async () => {
    const world = await started();
    world.onExport = () => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    };
    world.change('two');
    await world.clock.pass(4 * MINUTE);
    expect(world.exports).toHaveLength(4);
    world.onExport = nothing;
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'two']);
  });
});

describe('an id that is taken', () => {
  it('by our own write, whose answer was lost, counts as stored', async () => {
    const world = await started();
    world.loseAnswers = 1;
    world.change('two');
    await world.clock.pass(HOUR);
    expect(world.storage()).toEqual([
      [idAt(0), 'one'],
      [idAt(90 * SECOND), 'two'],
    ]);
    expect(world.metric('transship_pending_snapshots')).toBe(0);
    expect(world.metric('transship_snapshots_stored_total')).toBe(2);
  });

  it("by another's snapshot is left to it: the next one is taken", async () => {
    const world = await started();
    world.put(idAt(90 * SECOND), 'strange');
    world.change('two');
    await world.clock.pass(HOUR);
    expect(world.storage()).toEqual([
      [idAt(0), 'one'],
      [idAt(90 * SECOND), 'strange'],
      [idAt(91 * SECOND), 'two'],
    ]);
  });

  it('by one that cannot be read is left alone too', async () => {
    const world = await started();
    world.put(idAt(90 * SECOND), 'two', { isEncrypted: true });
    world.change('two');
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'two', 'two']);
  });

  it('by what a failed push of ours has left is cleaned up', async () => {
    const world = await started();
    world.onPush = (id) => {
      if (id !== idAt(90 * SECOND) || world.all().length > 1) return;
      world.put(id, 'half', { complete: false });
      failing();
    };
    world.change('two');
    await world.clock.pass(HOUR);
    expect(world.all()).toEqual([idAt(0), idAt(150 * SECOND)]);
    expect(world.onDisk.size).toBe(1);
  });

  it('by what another has not finished is left alone', async () => {
    const world = await started();
    world.put(idAt(90 * SECOND), 'half', { complete: false });
    world.change('two');
    await world.clock.pass(HOUR);
    expect(world.all()).toEqual([idAt(0), idAt(90 * SECOND), idAt(91 * SECOND)]);
  });

  it('leaves the order: what waits behind gets later ids', async () => {
    const world = await started();
    world.onPush = () => failing();
    await changeEachMinute(world, 3);
    world.put(idAt(90 * SECOND), 'strange');
    world.put(idAt(HOUR), 'from the future');
    world.onPush = nothing;
    await world.clock.pass(40 * MINUTE);
    expect(world.storage().slice(2)).toEqual([
      [idAt(HOUR), 'from the future'],
      [idAt(HOUR + SECOND), 'state 1'],
      [idAt(HOUR + 2 * SECOND), 'state 2'],
      [idAt(HOUR + 3 * SECOND), 'state 3'],
    ]);
  });
});

describe('the retention', () => {
  it('is applied after each snapshot, and after each look at all of the cluster', async () => {
    const world = await started();
    expect(world.retentions).toBe(1);
    world.change('two');
    await world.clock.pass(MINUTE);
    expect(world.retentions).toBe(2);
    await world.clock.pass(24 * HOUR);
    expect(world.retentions).toBe(3);
  });

  it('that fails is told and counted, and holds up nothing', async () => {
    const world = await started();
    world.onRetain = () => failing();
    await changeEachMinute(world, 2);
    expect(world.states()).toEqual(['one', 'state 1', 'state 2']);
    expect(world.metric('transship_failures_total{step="retention"}')).toBe(2);
    expect(world.warnings()).toEqual([
      'The retention could not be applied: The storage is away. The next snapshot tries again.',
      'The retention could not be applied: The storage is away. The next snapshot tries again.',
    ]);
  });
});

it('what was stored is counted', async () => {
  const world = createWorld();
  world.exportTakes = 2 * SECOND;
  world.pushTakes = 3 * SECOND;
  void world.start();
  await world.clock.pass(10 * SECOND);
  const metrics = [
    'snapshots_stored_total',
    'sent_bytes_total',
    'last_size_bytes',
    'last_changed_files',
    'last_export_duration_seconds',
    'last_push_duration_seconds',
    'last_success_timestamp_seconds',
    'is_manager',
    'watched_objects',
    'build_info{version="1.2.3"}',
  ];
  expect(Object.fromEntries(metrics.map((name) => [name, world.metric(`transship_${name}`)]))).toEqual({
    snapshots_stored_total: 1,
    sent_bytes_total: 5,
    last_size_bytes: 100,
    last_changed_files: 10,
    last_export_duration_seconds: 2,
    last_push_duration_seconds: 3,
    last_success_timestamp_seconds: Date.parse('2026-01-31T12:00:05Z') / 1000,
    is_manager: 1,
    watched_objects: 7,
    'build_info{version="1.2.3"}': 1,
  });
});
