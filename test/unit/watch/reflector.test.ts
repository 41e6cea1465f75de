import { describe, expect, onTestFinished, test } from 'vitest';
import type { KubeObject, WatchEvent } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import { startReflector } from '../../../src/watch/reflector.ts';
import { eventually, manualClock } from './manual-clock.ts';
import { startWatchServer } from './watch-server.ts';

const PATH = '/api/v1/configmaps';

function config(name: string, text = ''): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'shop' }, data: { text } };
}

async function setUp(before: readonly string[] = []) {
  const server = await startWatchServer();
  const clock = manualClock();
  for (const name of before) server.put(config(name));
  const kept = new Map<string, unknown>();
  const said: string[] = [];
  const target = { fail: undefined as (() => unknown) | undefined };
  const stop = new AbortController();
  let unseen = new Set<string>();
  const check = () => {
    if (target.fail !== undefined) throw target.fail();
  };
  const start = () => {
    const reflector = startReflector({
      source: {
        list: (options) => server.cluster.listPages(PATH, options),
        watch: (options) => server.cluster.watch(PATH, options),
      },
      target: {
        begin() {
          unseen = new Set(kept.keys());
        },
        async add(page) {
          check();
          for (const { metadata, data } of page) {
            kept.set(metadata.name, data);
            unseen.delete(metadata.name);
          }
        },
        end() {
          for (const name of unseen) kept.delete(name);
        },
        async apply(events: readonly WatchEvent[]) {
          check();
          for (const event of events) {
            if (event.type === 'DELETED') kept.delete(event.object.metadata.name);
            else if (event.type !== 'BOOKMARK') kept.set(event.object.metadata.name, event.object.data);
          }
        },
        clear: () => kept.clear(),
      },
      clock,
      inTurn: (work) => work(),
      mayFail: false,
      onRefused: (error, asked) => said.push(`${asked} refused: ${error.status}`),
      onTrouble: () => {},
      signal: stop.signal,
    });
    onTestFinished(async () => {
      stop.abort();
      await reflector.done;
    });
    return reflector;
  };
  const names = () => [...kept.keys()].sort();
  const lists = () => server.asked.filter((one) => one.startsWith('list')).length;
  const until = <T>(read: () => T, step?: number) => eventually(clock, read, step);
  return { server, clock, kept, said, target, stop, start, names, lists, until };
}

async function watching(before: readonly string[] = []) {
  const bed = await setUp(before);
  const reflector = bed.start();
  await reflector.ready;
  await bed.until(() => bed.server.watches()).toBe(1);
  return { ...bed, reflector };
}

describe('what is kept of a collection', () => {
  test('is what it had, and what changes, with one list', async () => {
    const { server, kept, names, lists, until, reflector } = await watching(['a', 'b']);
    expect(names()).toEqual(['a', 'b']);
    server.put(config('c'));
    server.put(config('a', 'new'));
    server.remove(config('b'));
    await until(names).toEqual(['a', 'c']);
    expect(kept.get('a')).toEqual({ text: 'new' });
    expect(reflector.standing().is).toBe('watching');
    expect(lists()).toBe(1);
  });

  test('misses nothing that happens while the connection is down, and is not listed again', async () => {
    const { server, names, lists, until, reflector } = await watching(['a', 'b']);
    for (let round = 0; round < 5; round += 1) {
      server.drop();
      server.put(config(`c${round}`));
      if (round === 2) server.remove(config('b'));
      await until(() => names().includes(`c${round}`)).toBe(true);
    }
    expect(names()).toEqual(['a', 'c0', 'c1', 'c2', 'c3', 'c4']);
    expect(lists()).toBe(1);
    expect(reflector.counts.relists).toBe(0);
    expect(reflector.counts.reconnects).toBeGreaterThanOrEqual(5);
  });

  test('goes on from the last bookmark', async () => {
    const { server, until } = await watching(['a']);
    server.put({ ...config('elsewhere'), kind: 'Secret' });
    let turn = 0;
    await until(() => {
      // One is read before the next turn.
      if (turn++ % 5 === 0) server.bookmark();
      else if (turn % 5 === 0) server.drop();
      return server.asked.at(-1);
    }).toBe(`watch ${PATH} 102`);
  });

  test('does not take a cut line, and gets the whole one when it is back', async () => {
    const { server, kept, names, lists, until } = await watching(['a']);
    server.drop('{"type":"ADDED","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","names');
    server.put(config('b', 'whole'));
    await until(names).toEqual(['a', 'b']);
    expect(kept.get('b')).toEqual({ text: 'whole' });
    expect(lists()).toBe(1);
  });

  test('has objects of several MiB', async () => {
    const { server, kept, until } = await watching();
    const text = 'é'.repeat(3 * 1024 * 1024);
    server.put(config('big', text));
    await until(() => kept.get('big')).toEqual({ text });
  });

  test.each(['answer', 'event'] as const)(
    'is listed again once when the server has forgotten too much, told by an %s',
    async (as) => {
      const { server, names, lists, until, reflector } = await watching(['a', 'b']);
      server.drop();
      server.remove(config('b'));
      server.put(config('c'));
      server.expire(as);
      await until(names).toEqual(['a', 'c']);
      await until(() => server.watches()).toBe(1);
      server.put(config('d'));
      await until(names).toEqual(['a', 'c', 'd']);
      expect(lists()).toBe(2);
      expect(reflector.counts.relists).toBe(1);
    },
  );

  test('is listed again when that is asked for', async () => {
    const { server, lists, until, reflector } = await watching(['a']);
    reflector.again();
    await until(lists).toBe(2);
    await until(() => server.watches()).toBe(1);
    await until(() => reflector.standing().is).toBe('watching');
  });
});

test.each(['list', 'watch'] as const)('a server that fails to %s is asked after growing gaps', async (what) => {
  const { server, clock, until, reflector } = await watching();
  clock.sleeps.length = 0;
  server.refuse = (verb) => (verb === what ? 400 : undefined);
  if (what === 'list') reflector.again();
  else server.drop();
  await until(() => clock.sleeps.length, 10_000).toBeGreaterThan(8);
  expect(Math.max(...clock.sleeps.slice(0, 2))).toBeLessThanOrEqual(400);
  expect(clock.sleeps.at(-1)).toBeGreaterThanOrEqual(5_000);
  expect(Math.max(...clock.sleeps)).toBeLessThanOrEqual(10_000);
});

test('a connection that breaks again and again is made anew each second', async () => {
  const { server, clock, until } = await watching();
  clock.sleeps.length = 0;
  await until(() => {
    server.drop();
    return clock.sleeps.length;
  }, 100).toBeGreaterThan(15);
  expect(Math.max(...clock.sleeps)).toBeLessThanOrEqual(1_000);
});

describe('a collection that may not be read', () => {
  test('is told, and looked at again when that is asked for', async () => {
    const { server, said, start, names, lists, until } = await setUp(['a']);
    server.refuse = (verb) => (verb === 'list' ? 403 : undefined);
    const reflector = start();
    await reflector.ready;
    expect(said).toEqual(['list refused: 403']);
    expect(reflector.standing().is).toBe('refused');
    await until(lists).toBe(1);
    server.refuse = () => undefined;
    reflector.again();
    await until(names).toEqual(['a']);
    await until(() => reflector.standing().is).toBe('watching');
  });

  test('is told as not to be watched where only that is refused, once, and not listed to find it out again', async () => {
    const { server, said, start, names, lists, until } = await setUp(['a']);
    server.refuse = (verb) => (verb === 'watch' ? 403 : undefined);
    const reflector = start();
    await reflector.ready;
    await until(() => reflector.standing().is).toBe('refused');
    expect(names()).toEqual([]);
    const asked = server.asked.length;
    reflector.again();
    await until(() => server.asked.length).toBeGreaterThan(asked);
    await until(() => reflector.standing().is).toBe('refused');
    expect(said).toEqual(['watch refused: 403']);
    expect(lists()).toBe(1);
    server.refuse = () => undefined;
    reflector.again();
    await until(names).toEqual(['a']);
  });

  test('is not given up when a starting server refuses what it allowed before', async () => {
    const { server, said, names, until, reflector } = await watching(['a']);
    server.refuse = () => 403;
    server.drop();
    const refused = server.asked.length;
    await until(() => server.asked.length).toBeGreaterThan(refused + 2);
    expect(said).toEqual([]);
    expect(names()).toEqual(['a']);
    server.refuse = () => undefined;
    server.put(config('b'));
    await until(names).toEqual(['a', 'b']);
    expect(reflector.counts.relists).toBe(0);
  });

  test('is given up when that lasts', async () => {
    const { server, said, names, until, reflector } = await watching(['a']);
    server.refuse = () => 403;
    server.drop();
    await until(() => reflector.standing().is, 1000).toBe('refused');
    expect(said).toEqual(['watch refused: 403']);
    expect(names()).toEqual([]);
  });
});

describe('what can not be kept', () => {
  const full = () => new TransshipError('BACKEND', 'There is no room left.');

  test('is a failure until it can, and then nothing is missing', async () => {
    const { server, target, names, lists, until, reflector } = await watching(['a']);
    target.fail = full;
    server.put(config('b'));
    await until(() => reflector.standing().failure?.message).toBe('There is no room left.');
    server.put(config('c'));
    target.fail = undefined;
    await until(names).toEqual(['a', 'b', 'c']);
    expect(reflector.standing().failure).toBeUndefined();
    expect(lists()).toBe(1);
  });

  test('of a first list fails who waits for it', async () => {
    const { target, start } = await setUp(['a']);
    target.fail = full;
    const reflector = start();
    await expect(reflector.ready).rejects.toThrow('There is no room left.');
  });
});

test('the signal ends it wherever it is', async () => {
  for (const refuse of [() => undefined, () => 403, () => 500, () => 410]) {
    const { server, start, stop, until } = await setUp(['a']);
    server.refuse = refuse;
    const reflector = start();
    await until(() => server.asked.length).toBeGreaterThan(0);
    stop.abort();
    await reflector.done;
    expect(server.watches()).toBeLessThanOrEqual(1);
  }
});
