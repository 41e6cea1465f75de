import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createWorld, failing, HOUR, MINUTE, SECOND, type World } from './world.ts';

const nothing = () => {};

/** What can happen in a night. */
const event = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ what: 'change' } as const) },
  { weight: 1, arbitrary: fc.constant({ what: 'stir' } as const) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('storage' as const), fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('cluster' as const), fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ what: 'lose answer' } as const) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('slow' as const), seconds: fc.nat(90) }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('clock' as const), hours: fc.integer({ min: -48, max: 48 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ what: 'foreign' } as const) },
  { weight: 1, arbitrary: fc.constantFrom({ what: 'stop' } as const, { what: 'kill' } as const) },
);
const night = fc.array(fc.tuple(event, fc.integer({ min: 0, max: 20 * 60 })), { maxLength: 40 });

it('whatever happens in a night, all is stored in the end, in order, and nothing twice', async () => {
  await fc.assert(
    fc.asyncProperty(night, async (events) => {
      const changes: string[] = ['one'];
      let foreign = 0;
      let world: World = createWorld();
      void world.start();
      await world.clock.pass(MINUTE);
      for (const [happening, seconds] of events) {
        switch (happening.what) {
          case 'change':
            changes.push(`state ${changes.length}`);
            world.change(changes.at(-1) ?? '');
            break;
          case 'stir':
            world.stir();
            break;
          case 'storage':
            world.onPush = happening.fails ? () => failing() : nothing;
            break;
          case 'cluster':
            world.onExport = happening.fails ? () => failing() : nothing;
            break;
          case 'lose answer':
            world.loseAnswers += 1;
            break;
          case 'slow':
            world.exportTakes = happening.seconds * SECOND;
            world.pushTakes = happening.seconds * SECOND;
            break;
          case 'clock':
            world.wallShift = happening.hours * HOUR;
            break;
          case 'foreign':
            // Another's snapshot gets the id of the second that comes next.
            world.put(world.idNow(SECOND), `foreign ${foreign++}`);
            break;
          case 'stop':
          case 'kill':
            if (happening.what === 'stop') world.stop();
            else world.lost.abort(new Error('killed'));
            await world.clock.pass(MINUTE);
            world = startAgain(world);
            break;
        }
        await world.clock.pass(seconds * SECOND);
      }
      Object.assign(world, { onPush: nothing, onExport: nothing, loseAnswers: 0, exportTakes: 0, pushTakes: 0 });
      await world.clock.pass(30 * HOUR);

      const own = world.states().filter((state) => !state.startsWith('foreign'));
      expect(own.at(-1)).toBe(world.state);
      expect(world.metric('transship_lag_seconds')).toBe(0);
      expect(world.metric('transship_pending_snapshots')).toBe(0);
      const order = own.map((state) => changes.indexOf(state));
      expect(order).toEqual([...order].sort((a, b) => a - b));
      // After a foreign one, what a start finds newest is not what it would store.
      const all = world.states();
      expect(all.filter((state, index) => state === all[index - 1])).toEqual([]);
      expect(world.onDisk.size).toBeLessThanOrEqual(1);
    }),
    { numRuns: 60 },
  );
}, 60_000);

/** The next daemon, on the same cluster and the same storage. */
function startAgain(before: World): World {
  const world = createWorld();
  for (const [id, state] of before.storage()) world.put(id, state);
  const { state, wallShift, onPush, onExport } = before;
  Object.assign(world, { state, onPush, onExport, wallShift: wallShift + before.clock.now() });
  void world.start();
  return world;
}
