import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openTemporaryFile } from '../../../src/archive/temporary-file.ts';
import { openObjectLog } from '../../../src/watch/mirror-log.ts';

const MIB = 1024 * 1024;
const PURPOSE = { verb: 'test', done: 'It is not tested', need: 'Nothing' };

/** A log whose files are counted, and written only as long as there is room. */
async function openLog({
  room = Number.POSITIVE_INFINITY,
  files = Number.POSITIVE_INFINITY,
  order = () => [] as number[],
} = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'transship-log-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const disk = { room, opened: 0, closed: 0, writes: [] as number[] };
  const log = await openObjectLog({
    directory,
    order,
    async openFile() {
      disk.opened += 1;
      const number = disk.opened;
      const file = await openTemporaryFile({ directory, purpose: PURPOSE });
      return {
        ...file,
        async write(bytes, position) {
          if (position + bytes.byteLength > disk.room || number > files) throw new Error('There is no room left.');
          disk.writes.push(position);
          await file.write(bytes, position);
        },
        async close() {
          disk.closed += 1;
          await file.close();
        },
      };
    },
  });
  onTestFinished(() => log.close());
  const write = (texts: readonly string[], slots: readonly number[] = []) =>
    log.write(texts.map((text, index) => ({ slot: slots[index], text, mark: index + 1, flags: index })));
  const read = async (slots: readonly number[]) => {
    const view = log.view(slots);
    try {
      return await view.read(0, slots.length);
    } finally {
      await view.close();
    }
  };
  return { log, disk, write, read };
}

describe('a log of objects', () => {
  test('gives back what was written, in any order', async () => {
    const { log, write, read } = await openLog();
    const slots = await write(['{"a":"é€😀"}', '{"b":2}', '']);
    const [later = -1] = await write(['{"c":3}']);
    expect(await read([later, slots[1] ?? -1, slots[0] ?? -1])).toEqual(['{"c":3}', '{"b":2}', '{"a":"é€😀"}']);
    expect(slots.map((slot) => [log.markOf(slot), log.flagsOf(slot)])).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
    expect(log.count()).toBe(4);
  });

  test('has the newest of what was written again, and forgets what was freed', async () => {
    const { log, write, read } = await openLog();
    const [first = -1, second = -1] = await write(['old', 'gone']);
    await write(['new'], [first]);
    log.free(second);
    expect(await read([first])).toEqual(['new']);
    expect(log.count()).toBe(1);
    const [again] = await write(['another']);
    expect(again).toBe(second);
  });

  test('shows what was there when a view of it began', async () => {
    const { write, read, log } = await openLog();
    const slots = await write(['a1', 'b1']);
    const view = log.view(slots);
    await write(['a2'], slots);
    expect(await view.read(0, 2)).toEqual(['a1', 'b1']);
    expect([view.lengthAt(0), view.lengthAt(1)]).toEqual([2, 2]);
    await view.close();
    expect(await read(slots)).toEqual(['a2', 'b1']);
  });

  test('reads a hundred thousand objects that lie anywhere', async () => {
    const { write, read } = await openLog();
    const texts = Array.from({ length: 100_000 }, (_, index) => `{"n":${index}}`);
    const slots: number[] = [];
    for (let from = 0; from < texts.length; from += 1000) slots.push(...(await write(texts.slice(from, from + 1000))));
    const mixed = slots.map((_, index) => (index * 7919) % slots.length);
    const found = await read(mixed.map((index) => slots[index] ?? -1));
    expect(found).toEqual(mixed.map((index) => texts[index]));
  });
});

describe('garbage', () => {
  const large = (text: string) => `${text}${'x'.repeat(MIB)}`;

  test('is left behind once there is more of it than of anything else', async () => {
    let slots: number[] = [];
    const { disk, write, read } = await openLog({ order: () => slots.toReversed() });
    slots = await write(['a', 'b', 'c'].map(large));
    for (let round = 0; round < 20; round += 1) await write([large(`a${round}`)], slots);
    expect(disk.opened).toBeGreaterThan(1);
    expect(disk.closed).toBe(disk.opened - 1);
    expect(Math.max(...disk.writes)).toBeLessThan(10 * MIB);
    expect(await read(slots)).toEqual(['a19', 'b', 'c'].map(large));
  });

  test('stays as long as somebody reads it', async () => {
    const { disk, log, write } = await openLog();
    const slots = await write([large('first')]);
    const view = log.view(slots);
    for (let round = 0; round < 10; round += 1) await write([large(`${round}`)], slots);
    expect(disk.opened).toBeGreaterThan(1);
    expect(await view.read(0, 1)).toEqual([large('first')]);
    const before = disk.closed;
    await view.close();
    expect(disk.closed).toBe(before + 1);
  });

  test('is left behind also while objects are forgotten and others written', async () => {
    const { log, write, read } = await openLog();
    const slots = await write(Array.from({ length: 8 }, (_, index) => large(`${index}`)));
    const [kept = -1, ...others] = slots;
    const all = Array.from({ length: 12 }, (_, round) => write([large(`new${round}`)], [kept]));
    for (const slot of others) log.free(slot);
    const added = write(['small']);
    await Promise.all(all);
    const [small = -1] = await added;
    expect(await read([kept, small])).toEqual([large('new11'), 'small']);
    expect(log.count()).toBe(2);
  });

  test('grows on where there is no room for a second file', async () => {
    const { disk, write, read } = await openLog({ files: 1 });
    const slots = await write([large('a'), large('b')]);
    for (let round = 0; round < 12; round += 1) await write([large(`a${round}`)], slots);
    expect(await read(slots)).toEqual([large('a11'), large('b')]);
    expect(disk.opened).toBeGreaterThan(1);
    expect(disk.opened).toBeLessThan(6);
    expect(disk.closed).toBe(disk.opened - 1);
  });
});

describe('a full disk', () => {
  test('changes nothing that is there', async () => {
    const { log, write, read, disk } = await openLog({ room: 10 });
    const slots = await write(['12345', '678']);
    await expect(write(['abcdef', 'xyz'], slots)).rejects.toThrow('There is no room left.');
    expect(await read(slots)).toEqual(['12345', '678']);
    expect(log.count()).toBe(2);
    disk.room = 100;
    await write(['abcdef'], slots);
    expect(await read(slots)).toEqual(['abcdef', '678']);
  });

  test('is told as such', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'transship-log-'));
    await rm(directory, { recursive: true });
    await expect(openObjectLog({ directory, order: () => [] })).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining("The objects that are watched can't be kept"),
    });
  });
});
