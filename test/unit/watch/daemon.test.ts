import { describe, expect, it } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { createWorld, failing, HOUR, idAt, MINUTE, SECOND } from './world.ts';

const nothing = () => {};

describe('the start', () => {
  it('makes a snapshot at once', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(0);
    expect(world.storage()).toEqual([[idAt(0), 'one']]);
  });

  it('writes nothing when the newest complete snapshot holds the same, and says so', async () => {
    const world = createWorld();
    world.put('26-01-30_12-00-00', 'one');
    world.put('26-01-31_11-00-00', 'cut', { complete: false });
    void world.start();
    await world.clock.pass(HOUR);
    expect(world.pushes).toEqual([]);
    expect(world.log.filter(({ level }) => level === 'info').map(({ message }) => message)).toEqual([
      'Nothing new: the cluster is as it was stored.',
    ]);
    expect(world.metric('transship_snapshots_unchanged_total')).toBe(1);
    expect(world.daemon.status.lacks()).toBeUndefined();
  });

  it('writes what differs from the newest complete snapshot', async () => {
    const world = createWorld();
    world.put('26-01-30_12-00-00', 'zero');
    void world.start();
    await world.clock.pass(0);
    expect(world.states()).toEqual(['zero', 'one']);
  });

  it('writes beside one that is encrypted and cannot be compared', async () => {
    const world = createWorld();
    world.put('26-01-30_12-00-00', 'one', { isEncrypted: true });
    void world.start();
    await world.clock.pass(0);
    expect(world.states()).toEqual(['one', 'one']);
  });

  it('ends with the error of another manager before anything is exported', async () => {
    const world = createWorld();
    world.onAcquire = () => {
      throw new TransshipError('MANAGED', 'Somebody else.');
    };
    await expect(world.start()).rejects.toMatchObject({ code: 'MANAGED' });
    expect({ exports: world.exports, pushes: world.pushes }).toEqual({ exports: [], pushes: [] });
  });

  it.each(['onAcquire', 'onWatch', 'onExport', 'onPush'] as const)(
    'ends at once with what will not heal (%s), and gives back what it has taken',
    async (step) => {
      const world = createWorld();
      world[step] = () => {
        throw new TransshipError('FORBIDDEN', 'No.');
      };
      await expect(world.start()).rejects.toMatchObject({ code: 'FORBIDDEN' });
      expect(world.isReleased).toBe(step !== 'onAcquire');
      expect(world.isWatchClosed).toBe(step === 'onExport' || step === 'onPush');
    },
  );

  it.each(['onAcquire', 'onWatch', 'onExport', 'onPush'] as const)(
    'tries again what may heal (%s), with growing gaps',
    async (step) => {
      const world = createWorld();
      const tries: number[] = [];
      world[step] = () => {
        tries.push(world.clock.now() / MINUTE);
        if (tries.length < 8) failing();
      };
      void world.start();
      await world.clock.pass(4 * HOUR);
      expect(tries.slice(0, 8)).toEqual([0, 1, 3, 7, 15, 31, 63, 123]);
      expect(world.states()).toEqual(['one']);
      const name = { onAcquire: 'lease', onWatch: 'watch', onExport: 'export', onPush: 'push' }[step];
      expect(world.metric(`transship_failures_total{step="${name}"}`)).toBe(7);
    },
  );

  it('is not ready before a first snapshot is stored, and says what it lacks', async () => {
    const world = createWorld();
    const { status } = world.daemon;
    expect(status.lacks()).toBe('the lease of the path is not held');
    world.onWatch = () => failing();
    void world.start();
    await world.clock.pass(0);
    expect(status.lacks()).toBe('the cluster is not watched yet');
    world.onWatch = nothing;
    world.onPush = () => failing();
    await world.clock.pass(MINUTE);
    expect(status.lacks()).toBe('no snapshot is stored yet');
    world.onPush = nothing;
    await world.clock.pass(MINUTE);
    expect(status.lacks()).toBeUndefined();
    world.stats = { ...world.stats, broken: 2 };
    expect(status.lacks()).toBe('2 watches are broken');
  });
});

describe('when snapshots are made', () => {
  it('after the interval, from the API server itself', async () => {
    const world = createWorld({ onChange: false });
    void world.start();
    await world.clock.pass(HOUR);
    world.state = 'two';
    await world.clock.pass(24 * HOUR);
    world.state = 'three';
    await world.clock.pass(24 * HOUR);
    expect(world.exports).toEqual([0, 24, 48].map((hours) => ({ from: 'server', at: hours * HOUR })));
    expect(world.states()).toEqual(['one', 'two', 'three']);
  });

  it('of a cluster that is watched, first from the mirror, and after the interval from the API server', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(HOUR);
    world.change('two');
    await world.clock.pass(24 * HOUR);
    expect(world.exports).toEqual([
      { from: 'mirror', at: 0 },
      { from: 'mirror', at: HOUR + 30 * SECOND },
      { from: 'server', at: 24 * HOUR },
    ]);
  });

  it('when nothing has changed for the time to settle', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    for (const state of ['a', 'b', 'c']) {
      world.change(state);
      await world.clock.pass(29 * SECOND);
    }
    expect(world.states()).toEqual(['one']);
    await world.clock.pass(SECOND);
    expect(world.states()).toEqual(['one', 'c']);
  });

  it('begun before all has settled, so that it is there when it has', async () => {
    const world = createWorld();
    world.exportTakes = 2 * SECOND;
    void world.start();
    await world.clock.pass(MINUTE);
    world.change('two');
    await world.clock.pass(30 * SECOND);
    expect(world.exports.at(-1)).toEqual({ from: 'mirror', at: 88 * SECOND });
    expect(world.states()).toEqual(['one', 'two']);
    expect(world.pushes.at(-1)?.at).toBe(90 * SECOND);
  });

  it('made anew when something changes after it was begun, before all had settled', async () => {
    const world = createWorld();
    world.exportTakes = 2 * SECOND;
    void world.start();
    await world.clock.pass(MINUTE);
    world.change('two');
    await world.clock.pass(29 * SECOND);
    world.change('three');
    await world.clock.pass(29 * SECOND);
    expect(world.states()).toEqual(['one']);
    await world.clock.pass(SECOND);
    expect(world.states()).toEqual(['one', 'three']);
    expect(world.onDisk.size).toBe(1);
  });

  it('after ten times the time to settle, when the cluster never rests', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    for (let second = 0; second < 900; second++) {
      world.change(`at ${second}`);
      await world.clock.pass(SECOND);
    }
    expect(world.exports.map(({ at }) => at / SECOND)).toEqual([0, 360, 660, 960]);
  });

  it('not when what changed is in no snapshot', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    world.stir();
    expect(world.metric('transship_lag_seconds')).toBe(0);
    await world.clock.pass(29 * SECOND);
    expect(world.metric('transship_lag_seconds')).toBe(29);
    await world.clock.pass(SECOND);
    expect(world.exports).toHaveLength(2);
    expect(world.states()).toEqual(['one']);
    expect(world.metric('transship_lag_seconds')).toBe(0);
  });

  it('once more, when something changes during an export', async () => {
    const world = createWorld();
    world.exportTakes = 10 * SECOND;
    void world.start();
    await world.clock.pass(5 * SECOND);
    world.change('two');
    await world.clock.pass(5 * SECOND);
    expect(world.states()).toEqual(['one']);
    await world.clock.pass(MINUTE);
    expect(world.states()).toEqual(['one', 'two']);
  });

  it('again after a failed export, with growing gaps, and what had changed is not forgotten', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    world.onExport = () => failing('The API server is away.');
    world.change('two');
    await world.clock.pass(3 * HOUR);
    expect(world.exports.slice(1).map(({ at }) => (at - 90 * SECOND) / MINUTE)).toEqual([0, 1, 3, 7, 15, 31, 63, 123]);
    expect(world.metric('transship_lag_seconds')).toBe(3 * 3600);
    world.onExport = nothing;
    await world.clock.pass(HOUR);
    expect(world.states()).toEqual(['one', 'two']);
    expect(world.metric('transship_lag_seconds')).toBe(0);
  });

  it('from the API server, when the mirror fails again and again', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    world.onExport = (from) => {
      if (from === 'mirror') failing();
    };
    world.change('two');
    await world.clock.pass(10 * MINUTE);
    expect(world.exports.map(({ from }) => from)).toEqual(['mirror', 'mirror', 'mirror', 'server']);
    expect(world.states()).toEqual(['one', 'two']);
  });

  it('after an interval that is longer than any timer', async () => {
    const world = createWorld({ onChange: false, interval: 40 * 24 * HOUR });
    void world.start();
    await world.clock.pass(39 * 24 * HOUR);
    expect(world.exports).toHaveLength(1);
    await world.clock.pass(24 * HOUR);
    expect(world.exports).toHaveLength(2);
  });

  it('as before, when the clock on the wall is set back or forth', async () => {
    const world = createWorld({ onChange: false });
    void world.start();
    await world.clock.pass(HOUR);
    world.wallShift = -300 * 24 * HOUR;
    await world.clock.pass(22 * HOUR);
    world.wallShift = 300 * 24 * HOUR;
    await world.clock.pass(59 * MINUTE);
    expect(world.exports).toHaveLength(1);
    await world.clock.pass(MINUTE);
    expect(world.exports).toHaveLength(2);
  });
});

describe('ids', () => {
  it('grow by a second where the clock went back', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    world.wallShift = -HOUR;
    world.change('two');
    await world.clock.pass(MINUTE);
    world.change('three');
    await world.clock.pass(MINUTE);
    expect(world.storage()).toEqual([
      [idAt(0), 'one'],
      [idAt(SECOND), 'two'],
      [idAt(2 * SECOND), 'three'],
    ]);
  });

  it('follow the last one that is stored, of whatever state', async () => {
    const world = createWorld();
    world.put(idAt(HOUR), 'future', { complete: false });
    void world.start();
    await world.clock.pass(0);
    expect(world.storage()).toEqual([[idAt(HOUR + SECOND), 'one']]);
  });

  it('of two in one second differ', async () => {
    const world = createWorld({ settle: 100 });
    void world.start();
    await world.clock.pass(200);
    world.change('two');
    await world.clock.pass(100);
    world.change('three');
    await world.clock.pass(100);
    expect(world.storage()).toEqual([
      [idAt(0), 'one'],
      [idAt(SECOND), 'two'],
      [idAt(2 * SECOND), 'three'],
    ]);
  });
});

describe('a stop', () => {
  it('is no failure, closes the watches and gives the lease back', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.stop();
    expect(world.daemon.status.lacks()).toBe('stopping');
    await expect(running).resolves.toEqual({ stored: 1, last: expect.objectContaining({ id: idAt(0) }) });
    expect(world).toMatchObject({ isReleased: true, isWatchClosed: true });
    expect(world.metric('transship_is_manager')).toBe(0);
  });

  it.each(['onAcquire', 'onWatch', 'onExport', 'onPush'] as const)(
    'while %s is tried again in vain is no failure either',
    async (step) => {
      const world = createWorld();
      world[step] = () => failing();
      const running = world.start();
      await world.clock.pass(10 * MINUTE);
      world.stop();
      await expect(running).resolves.toEqual({ stored: 0, last: undefined });
      expect(world.isReleased).toBe(step !== 'onAcquire');
    },
  );

  it('does not wait for the first look at the cluster', async () => {
    const world = createWorld();
    world.watchTakes = HOUR;
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.stop();
    await expect(running).resolves.toEqual({ stored: 0, last: undefined });
    expect(world.isReleased).toBe(true);
  });

  it('lets the export and the push in hand end', async () => {
    const world = createWorld();
    void world.start();
    await world.clock.pass(MINUTE);
    world.exportTakes = 8 * SECOND;
    world.pushTakes = 8 * SECOND;
    world.change('two');
    await world.clock.pass(34 * SECOND);
    world.stop();
    await world.clock.pass(20 * SECOND);
    expect(world.states()).toEqual(['one', 'two']);
    expect(world.isReleased).toBe(true);
  });

  it.each(['exportTakes', 'pushTakes'] as const)('cuts what takes too long (%s), and says so', async (step) => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world[step] = HOUR;
    world.change('two');
    await world.clock.pass(MINUTE);
    world.stop();
    await world.clock.pass(19 * SECOND);
    expect(world.isReleased).toBe(false);
    await world.clock.pass(SECOND);
    await expect(running).resolves.toMatchObject({ stored: 1 });
    expect(world.isReleased).toBe(true);
    expect(world.log.at(-1)?.message).toBe(
      'Stopped before all that had changed was stored: the next start stores what is new.',
    );
  });

  it('leaves what has not settled to the next start, which stores it', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.change('two');
    await world.clock.pass(SECOND);
    world.stop();
    await running;
    expect(world.states()).toEqual(['one']);
    const next = createWorld();
    for (const [id, state] of world.storage()) next.put(id, state);
    next.state = 'two';
    void next.start();
    await next.clock.pass(0);
    expect(next.states()).toEqual(['one', 'two']);
  });

  it('tries what waits once more', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.onPush = () => failing();
    world.change('two');
    await world.clock.pass(MINUTE);
    world.change('three');
    await world.clock.pass(MINUTE);
    world.onPush = nothing;
    world.stop();
    await running;
    expect(world.states()).toEqual(['one', 'two', 'three']);
  });
});

describe('another manager that takes over', () => {
  const managed = new TransshipError('MANAGED', 'Taken over.');

  it('ends it with that error, and nothing more is written', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.change('two');
    world.lost.abort(managed);
    await expect(running).rejects.toBe(managed);
    await world.clock.pass(24 * HOUR);
    expect(world.states()).toEqual(['one']);
    expect(world.isWatchClosed).toBe(true);
  });

  it('cuts the push in hand', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.pushTakes = 10 * SECOND;
    world.change('two');
    await world.clock.pass(35 * SECOND);
    world.lost.abort(managed);
    await expect(running).rejects.toBe(managed);
    expect(world.states()).toEqual(['one']);
  });

  it('is told also when it is found out only by the check before a snapshot is whole', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.onPush = () => {
      throw managed;
    };
    world.change('two');
    await world.clock.pass(MINUTE);
    await expect(running).rejects.toBe(managed);
  });

  it('is told also during a stop', async () => {
    const world = createWorld();
    const running = world.start();
    await world.clock.pass(MINUTE);
    world.pushTakes = 10 * SECOND;
    world.change('two');
    await world.clock.pass(35 * SECOND);
    world.stop();
    world.lost.abort(managed);
    await expect(running).rejects.toBe(managed);
  });
});

it('is stuck only when something has given no sign for long', async () => {
  const world = createWorld();
  void world.start();
  await world.clock.pass(30 * 24 * HOUR);
  expect(world.daemon.status.stuck()).toBeUndefined();
  world.pushTakes = HOUR;
  world.change('two');
  await world.clock.pass(14 * MINUTE);
  expect(world.daemon.status.stuck()).toBeUndefined();
  await world.clock.pass(2 * MINUTE);
  expect(world.daemon.status.stuck()).toMatch(/^pushing 26-03-02_12-00-30: no sign of life for 1[56] minutes$/);
});
