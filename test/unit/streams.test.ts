import { describe, expect, test } from 'vitest';
import { inBatches, inTurn, mapAsDone, mapInOrder, mergeSorted } from '../../src/streams.ts';
import { readAll } from './releases/make-record.ts';

async function* streamOf<T>(items: readonly T[], log: string[] = [], failure?: Error): AsyncGenerator<T> {
  try {
    log.push('start');
    yield* items;
    if (failure !== undefined) throw failure;
  } finally {
    log.push('end');
  }
}

describe('mergeSorted', () => {
  const byNumber = (a: [number, string], b: [number, string]) => a[0] - b[0];

  test('keeps the order, and that of the sources where items are equal', async () => {
    const left = streamOf<[number, string]>([
      [1, 'l'],
      [3, 'l'],
      [3, 'l2'],
      [9, 'l'],
    ]);
    const right = streamOf<[number, string]>([
      [0, 'r'],
      [3, 'r'],
    ]);
    const merged = await readAll(mergeSorted([left, right], byNumber));
    expect(merged.map(([number, name]) => number + name)).toEqual(['0r', '1l', '3l', '3l2', '3r', '9l']);
  });

  test('passes on the failure of a source and ends the others', async () => {
    const log: string[] = [];
    const failing = streamOf<[number, string]>([[2, 'f']], [], new Error('reset'));
    const merged = mergeSorted(
      [
        failing,
        streamOf<[number, string]>(
          [
            [1, 'x'],
            [5, 'x'],
          ],
          log,
        ),
      ],
      byNumber,
    );
    await expect(readAll(merged)).rejects.toThrow('reset');
    expect(log).toEqual(['start', 'end']);
  });
});

test('of two sources that fail, mergeSorted tells the failure of the earlier one, however late it comes', async () => {
  async function* slow(): AsyncGenerator<number> {
    await new Promise((resolve) => setImmediate(resolve));
    yield* streamOf<number>([], [], new Error('the earlier one'));
  }
  const merged = mergeSorted([slow(), streamOf<number>([], [], new Error('the faster one'))], (a, b) => a - b);
  await expect(readAll(merged)).rejects.toThrow('the earlier one');
});

describe('inTurn', () => {
  test('chains sources in order and starts some ahead', async () => {
    const log: string[] = [];
    const source = (name: string) => () => {
      log.push(`start ${name}`);
      return streamOf([`${name}1`, `${name}2`]);
    };
    for await (const item of inTurn(['a', 'b', 'c', 'd'].map(source), 2)) log.push(item);
    expect(log).toEqual(['start a', 'start b', 'start c', 'a1', 'a2', 'start d', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2']);
  });

  test('meets a failure when its turn comes, not before', async () => {
    const seen: string[] = [];
    const sources = [() => streamOf(['a', 'b']), () => streamOf<string>([], [], new Error('gone'))];
    await expect(async () => {
      for await (const item of inTurn(sources, 1)) seen.push(item);
    }).rejects.toThrow('gone');
    expect(seen).toEqual(['a', 'b']);
  });

  test('ends what was started ahead when its reader stops', async () => {
    const logs: string[][] = [[], [], []];
    for await (const _ of inTurn(
      logs.map((log) => () => streamOf(['x'], log)),
      1,
    ))
      break;
    expect(logs).toEqual([['start', 'end'], ['start', 'end'], []]);
  });
});

describe('mapInOrder', () => {
  test('runs as many at once as allowed and keeps the order of the items', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    const work = async (item: number) => {
      running += 1;
      most = Math.max(most, running);
      // The earlier items of a group take more turns than the later ones.
      for (let turn = 0; turn < 100 - (item % 4) * 30; turn += 1) await Promise.resolve();
      running -= 1;
      done.push(item);
      return item * 10;
    };
    const results = await readAll(mapInOrder(streamOf([0, 1, 2, 3, 4, 5, 6, 7]), 3, work));
    expect(results).toEqual([0, 10, 20, 30, 40, 50, 60, 70]);
    expect(most).toBe(3);
    expect(done).not.toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test('waits for what is running before it passes on a failure', async () => {
    let finished = false;
    const work = async (item: number) => {
      if (item === 0) throw new Error('bad record');
      await new Promise((resolve) => setImmediate(resolve));
      finished = true;
    };
    await expect(readAll(mapInOrder(streamOf([0, 1]), 2, work))).rejects.toThrow('bad record');
    expect(finished).toBe(true);
  });
});

describe('inBatches', () => {
  const sizeOf = (text: string) => text.length;

  test('gathers up to so many items', async () => {
    const batches = await readAll(inBatches(streamOf(['a', 'b', 'c', 'd', 'e']), sizeOf, { items: 2, bytes: 100 }));
    expect(batches).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  });

  test('gathers up to so many bytes, but never less than one item', async () => {
    const batches = await readAll(inBatches(streamOf(['aaaa', 'b', 'ccccccccc', 'd']), sizeOf, { items: 9, bytes: 5 }));
    expect(batches).toEqual([['aaaa', 'b'], ['ccccccccc'], ['d']]);
  });

  test('makes nothing of nothing', async () => {
    expect(await readAll(inBatches(streamOf<string>([]), sizeOf, { items: 1, bytes: 1 }))).toEqual([]);
  });
});

describe('mapAsDone', () => {
  /** Work that ends when it is told to. */
  function gates(count: number) {
    const all = Array.from({ length: count }, () => Promise.withResolvers<number>());
    const started: number[] = [];
    const signals: AbortSignal[] = [];
    const map = (item: number, signal: AbortSignal) => {
      started.push(item);
      signals.push(signal);
      return all[item]?.promise ?? Promise.reject(new Error(`no ${item}`));
    };
    return { all, started, signals, map, items: all.keys() };
  }

  test('yields results as they are done, and starts as many more as were taken', async () => {
    const { all, started, map, items } = gates(4);
    const results = mapAsDone(items, 2, map);
    const first = results.next();
    expect(started).toEqual([0, 1]);
    all[1]?.resolve(11);
    expect(await first).toEqual({ done: false, value: 11 });
    // The one that is being used keeps its place until the next is asked for.
    expect(started).toEqual([0, 1]);
    const second = results.next();
    expect(started).toEqual([0, 1, 2]);
    all[2]?.resolve(22);
    expect((await second).value).toBe(22);
    all[0]?.resolve(0);
    all[3]?.resolve(33);
    expect((await readAll(results)).sort()).toEqual([0, 33]);
  });

  test('lets no more wait to be taken than may be at work', async () => {
    const started: number[] = [];
    const results = mapAsDone([0, 1, 2, 3, 4], 2, async (item) => {
      started.push(item);
      return item;
    });
    await results.next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(started).toEqual([0, 1]);
    await results.return(undefined);
  });

  test('ends the others by the signal when one fails, and waits for them', async () => {
    const ended: number[] = [];
    const results = mapAsDone([0, 1], 2, async (item, signal) => {
      if (item === 1) throw new Error('reset');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      ended.push(item);
    });
    await expect(results.next()).rejects.toThrow('reset');
    expect(ended).toEqual([0]);
  });

  test('ends those under way when the reader stops', async () => {
    const { all, signals, map, items } = gates(2);
    const results = mapAsDone(items, 2, map);
    const first = results.next();
    all[0]?.resolve(0);
    await first;
    all[1]?.promise.catch(() => {});
    signals[1]?.addEventListener('abort', () => all[1]?.reject(new Error('aborted')));
    await results.return(undefined);
    expect(signals[1]?.aborted).toBe(true);
  });

  test('of nothing is nothing', async () => {
    expect(await readAll(mapAsDone([], 2, async (item) => item))).toEqual([]);
  });
});
