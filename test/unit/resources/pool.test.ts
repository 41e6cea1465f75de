import { expect, test } from 'vitest';
import { forEachAtOnce } from '../../../src/resources/pool.ts';

/** Promises that are kept when the test says so. */
function gates() {
  const open = new Map<number, () => void>();
  return {
    open,
    wait: (key: number) => new Promise<void>((resolve) => open.set(key, resolve)),
  };
}

test('one that takes long holds up no other, and never are more at work than allowed', async () => {
  const { open, wait } = gates();
  const done: number[] = [];
  let atWork = 0;
  let most = 0;
  const all = forEachAtOnce([0, 1, 2, 3, 4, 5], 2, async (item) => {
    most = Math.max(most, ++atWork);
    if (item === 0) await wait(0);
    else await Promise.resolve();
    atWork -= 1;
    done.push(item);
    if (done.length === 5) open.get(0)?.();
  });
  await all;
  expect(done).toEqual([1, 2, 3, 4, 5, 0]);
  expect(most).toBe(2);
});

test('a failure ends it once those at work are done, and closes the stream', async () => {
  const { open, wait } = gates();
  const begun: number[] = [];
  let isClosed = false;
  async function* items() {
    try {
      for (let item = 0; ; item += 1) yield item;
    } finally {
      isClosed = true;
    }
  }
  const all = forEachAtOnce(items(), 2, async (item) => {
    begun.push(item);
    if (item === 0) return wait(0);
    open.get(0)?.();
    throw new Error('broken');
  });
  await expect(all).rejects.toThrow('broken');
  expect(begun).toEqual([0, 1]);
  expect(isClosed).toBe(true);
});

test('a stream that fails ends it', async () => {
  async function* items() {
    yield 1;
    throw new Error('damaged');
  }
  await expect(forEachAtOnce(items(), 3, async () => {})).rejects.toThrow('damaged');
});
