import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { renameEntries } from '../../../src/watch/rename-entries.ts';
import { createSpool, type NewSpooled, type SpooledSnapshot } from '../../../src/watch/spool.ts';
import { collectFiles, errorOf, inPieces, noise, streamOf, temporaryFolder } from '../archive/helpers.ts';
import { collected, describe as describeSnapshot, type Files } from './spooled.ts';
import { trackFiles } from './tracked-files.ts';

const MIB = 1024 * 1024;
const idOf = (number: number) =>
  `26-01-31_12-${String(Math.floor(number / 60)).padStart(2, '0')}-${String(number % 60).padStart(2, '0')}`;
const ID = idOf(0);
const FILES: Files = { 'shop/services.json': 'a', 'shop/secrets.json': '', 'nodes.json': noise(300_000) };

function makeSpool() {
  const folder = temporaryFolder();
  const files = trackFiles();
  return { folder, files, spool: createSpool(folder, files.openFile) };
}

/** What can be read of a snapshot, without `_snapshot.json`. */
async function contentOf(snapshot: SpooledSnapshot): Promise<Record<string, string>> {
  const [, ...files] = await collectFiles(snapshot.entries());
  return Object.fromEntries(files.map(([path, content]) => [path, content.toString('latin1')]));
}

const textOf = (files: Files) =>
  Object.fromEntries(Object.entries(files).map(([path, content]) => [path, Buffer.from(content).toString('latin1')]));

describe('a spooled snapshot', () => {
  it('has the files as they were collected, with sizes and digests, as often as they are read', async () => {
    const { spool } = makeSpool();
    const snapshot = await spool.add(collected(ID, FILES));
    expect([...snapshot.files.keys()]).toEqual(['_snapshot.json', ...Object.keys(FILES)]);
    for (const [path, content] of Object.entries(FILES)) {
      const digest = (algorithm: string) => createHash(algorithm).update(content).digest('hex');
      const expected = { size: Buffer.from(content).byteLength, sha1: digest('sha1'), sha256: digest('sha256') };
      expect(snapshot.files.get(path)).toMatchObject(expected);
    }
    const bytes = [...snapshot.files.values()].reduce((sum, { size }) => sum + size, 0);
    expect(snapshot).toMatchObject({ id: ID, created: new Date('2026-01-31T12:00:00Z'), bytes });
    for (let time = 0; time < 2; time += 1) expect(await contentOf(snapshot)).toEqual(textOf(FILES));
  });

  it('gives entries that know their digests', async () => {
    const { spool } = makeSpool();
    const snapshot = await spool.add(collected(ID, FILES));
    for await (const { path, size, digests } of snapshot.entries()) {
      expect({ size, ...digests }).toEqual({
        size: snapshot.files.get(path)?.size,
        sha1: snapshot.files.get(path)?.sha1,
        sha256: snapshot.files.get(path)?.sha256,
      });
    }
  });

  it('takes large bodies as streams', async () => {
    const { spool } = makeSpool();
    const disk = noise(3 * MIB + 7);
    const entry: Entry = { path: 'large.json', size: disk.byteLength, body: inPieces(disk, 100_000) };
    const snapshot = await spool.add(
      oneOf(ID, describeSnapshot(ID), entryOf('a.json', 'a'), entry, entryOf('z.json', 'z')),
    );
    expect(snapshot.files.get('large.json')?.sha256).toBe(createHash('sha256').update(disk).digest('hex'));
    expect(await contentOf(snapshot)).toEqual({ 'a.json': 'a', 'large.json': disk.toString('latin1'), 'z.json': 'z' });
  });

  it('leaves no name on the disk, so that nothing is left of it when the process is killed', async () => {
    const { folder, spool, files } = makeSpool();
    const snapshot = await spool.add(collected(ID, FILES));
    expect({ names: await readdir(folder), open: files.open() }).toEqual({ names: [], open: 1 });
    await snapshot.remove();
    await snapshot.remove();
    expect(files.open()).toBe(0);
  });
});

describe('a snapshot after another', () => {
  it('takes room for what has changed only', async () => {
    const { spool, files } = makeSpool();
    const first = await spool.add(collected(ID, FILES));
    files.written();
    const second = await spool.add(collected(idOf(1), { ...FILES, 'shop/services.json': 'b' }), first);
    expect(files.written()).toBe((second.files.get('_snapshot.json')?.size ?? 0) + 1);
    expect(await contentOf(second)).toEqual(textOf({ ...FILES, 'shop/services.json': 'b' }));
    expect(await contentOf(first)).toEqual(textOf(FILES));
  });

  it('takes no room for a large stream that has not changed', async () => {
    const { spool, files } = makeSpool();
    const disk = noise(3 * MIB);
    const add = (id: string, previous?: SpooledSnapshot) =>
      spool.add(
        oneOf(
          id,
          describeSnapshot(id),
          { path: 'large.json', size: disk.byteLength, body: inPieces(disk, 65_536) },
          entryOf('z.json', id),
        ),
        previous,
      );
    const first = await add(ID);
    const before = await files.size();
    const second = await add(idOf(1), first);
    expect((await files.size()) - before).toBe((second.files.get('_snapshot.json')?.size ?? 0) + idOf(1).length);
    expect(await contentOf(second)).toEqual({ 'large.json': disk.toString('latin1'), 'z.json': idOf(1) });
  });

  it('is whole when the one before is removed first, and gives all back at its own end', async () => {
    const { spool, files } = makeSpool();
    const first = await spool.add(collected(ID, FILES));
    const second = await spool.add(collected(idOf(1), FILES), first);
    await first.remove();
    expect(await contentOf(second)).toEqual(textOf(FILES));
    await second.remove();
    expect(files.open()).toBe(0);
  });

  it('is whole when the one before is removed while it is added', async () => {
    const { spool, files } = makeSpool();
    const first = await spool.add(collected(ID, FILES));
    const { entries, ...name } = collected(idOf(1), FILES);
    async function* removing() {
      for await (const entry of entries) {
        if (entry.path === 'shop/services.json') await first.remove();
        yield entry;
      }
    }
    const second = await spool.add({ ...name, entries: removing() }, first);
    expect(await contentOf(second)).toEqual(textOf(FILES));
    await second.remove();
    expect(files.open()).toBe(0);
  });

  it('keeps all anew after one that was removed already', async () => {
    const { spool } = makeSpool();
    const first = await spool.add(collected(ID, FILES));
    await first.remove();
    expect(await contentOf(await spool.add(collected(idOf(1), FILES), first))).toEqual(textOf(FILES));
  });

  it('is made of it under another id without reading its files', async () => {
    const { spool, files } = makeSpool();
    const first = await spool.add(collected(ID, FILES));
    files.written();
    const name = { id: idOf(1), created: new Date('2026-01-31T12:00:01Z') };
    const second = await spool.add({ ...name, entries: renameEntries(first.entries(), name) }, first);
    expect(files.written()).toBe(second.files.get('_snapshot.json')?.size);
    expect({ scope: second.scope, content: await contentOf(second) }).toEqual({
      scope: first.scope,
      content: textOf(FILES),
    });
  });

  it('is exactly what was collected, whatever came, went and was removed before', async () => {
    const change = fc.record({
      path: fc.constantFrom('a.json', 'b.json', 'c/d.json', 'c/e.json'),
      content: fc.option(fc.string({ maxLength: 5 })),
      keeps: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
        const files = trackFiles();
        const spool = createSpool(temporaryFolderOnce(), files.openFile);
        const waiting: { snapshot: SpooledSnapshot; files: Files }[] = [];
        let now: Files = {};
        for (const [number, { path, content, keeps }] of changes.entries()) {
          const { [path]: _gone, ...others } = now;
          now = content === null ? others : { ...now, [path]: content };
          const last = waiting.at(-1);
          const snapshot = await spool.add(collected(idOf(number), now), last?.snapshot);
          if (!keeps) for (const one of waiting.splice(0)) await one.snapshot.remove();
          waiting.push({ snapshot, files: now });
        }
        for (const one of waiting) expect(await contentOf(one.snapshot)).toEqual(textOf(one.files));
        for (const { snapshot } of waiting) await snapshot.remove();
        expect(files.open()).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a spool over a long time', () => {
  it('keeps few files open, however many snapshots follow each other', async () => {
    const { spool, files } = makeSpool();
    let now: Files = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`file-${index}.json`, noise(1000, index)]),
    );
    let last = await spool.add(collected(ID, now));
    for (let number = 1; number <= 100; number += 1) {
      now = { ...now, [`file-${number - 1}.json`]: noise(1000, 1000 + number) };
      const next = await spool.add(collected(idOf(number), now), last);
      await last.remove();
      last = next;
      expect(files.open()).toBeLessThanOrEqual(17);
    }
    expect(await contentOf(last)).toEqual(textOf(now));
  });

  it('takes at most about twice the room of what it keeps', async () => {
    const { spool, files } = makeSpool();
    let now: Files = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`file-${index}.json`, noise(10_000, index)]),
    );
    let last = await spool.add(collected(ID, now));
    for (let number = 1; number <= 50; number += 1) {
      const changed = Array.from({ length: 7 }, (_, index) => (number * 7 + index * number) % 20);
      now = {
        ...now,
        ...Object.fromEntries(changed.map((index) => [`file-${index}.json`, noise(10_000, number * 100 + index)])),
      };
      const next = await spool.add(collected(idOf(number), now), last);
      await last.remove();
      last = next;
      expect(await files.size()).toBeLessThanOrEqual(2 * last.bytes);
    }
    expect(await contentOf(last)).toEqual(textOf(now));
  });
});

describe('a snapshot that cannot be kept', () => {
  it('says that the disk is full, is not kept at all, and leaves the one before', async () => {
    const { folder, spool, files } = makeSpool();
    const first = await spool.add(collected(ID, FILES));
    files.limit(2 * MIB);
    const large = { ...FILES, 'a.json': noise(MIB), 'b.json': noise(MIB, 2), 'c.json': noise(MIB, 3) };
    expect(await errorOf(spool.add(collected(idOf(1), large), first))).toEqual({
      code: 'BACKEND',
      message: `There is no room left in ${folder} to keep the snapshot until it is stored.`,
      hint: 'It needs room for what has changed since the last snapshot, uncompressed, for each that waits: free some, or point RUNNER_TEMP or TMPDIR at a larger disk.',
    });
    expect({ names: await readdir(folder), open: files.open() }).toEqual({ names: [], open: 1 });
    expect(await contentOf(first)).toEqual(textOf(FILES));
    files.limit(Number.POSITIVE_INFINITY);
    expect(await contentOf(await spool.add(collected(idOf(2), large), first))).toEqual(textOf(large));
  });

  it.each<[string, Entry, string]>([
    ['a path leads out', entryOf('../etc.json', ''), 'ARCHIVE_UNSUPPORTED'],
    ['a path is not for every file system', entryOf('a:b.json', ''), 'ARCHIVE_UNSUPPORTED'],
    ['a path is there twice', entryOf('_snapshot.json', ''), 'ARCHIVE_UNSUPPORTED'],
    ['an entry is a link', { ...entryOf('a.json', ''), type: 'symlink', linkTarget: 'b' }, 'ARCHIVE_DAMAGED'],
    [
      'a body is shorter than it should be',
      { path: 'a.json', size: 3, body: inPieces(noise(2), 2) },
      'ARCHIVE_DAMAGED',
    ],
  ])('leaves nothing when %s', async (_what, entry, code) => {
    const { spool, files } = makeSpool();
    const adding = spool.add(oneOf(ID, describeSnapshot(ID), entryOf('z.json', noise(2 * MIB)), entry));
    await expect(adding).rejects.toMatchObject({ code });
    expect(files.open()).toBe(0);
  });

  it('leaves nothing when the export breaks, and rethrows its error', async () => {
    const { spool, files } = makeSpool();
    const broken = new Error('the cluster is gone');
    async function* breaking(): AsyncGenerator<Entry> {
      yield describeSnapshot(ID);
      yield entryOf('a.json', noise(2 * MIB));
      throw broken;
    }
    await expect(spool.add({ id: ID, created: new Date(), entries: breaking() })).rejects.toBe(broken);
    expect(files.open()).toBe(0);
  });

  it('leaves nothing when it is cancelled while the export is stuck', async () => {
    const { spool, files } = makeSpool();
    const controller = new AbortController();
    async function* stuck(): AsyncGenerator<Entry> {
      yield describeSnapshot(ID);
      yield entryOf('a.json', noise(2 * MIB));
      controller.abort();
      await new Promise(() => {});
    }
    const adding = spool.add({ id: ID, created: new Date(), entries: stuck() }, undefined, controller.signal);
    await expect(adding).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(files.open()).toBe(0);
  });

  it('is none without its _snapshot.json', async () => {
    const { spool } = makeSpool();
    await expect(spool.add(oneOf(ID, entryOf('a.json', '')))).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The snapshot has no _snapshot.json.',
    });
  });
});

const shared: { folder?: string } = {};

function temporaryFolderOnce(): string {
  shared.folder ??= temporaryFolder();
  return shared.folder;
}

function oneOf(id: string, ...entries: Entry[]): NewSpooled {
  return { id, created: new Date('2026-01-31T12:00:00Z'), entries: streamOf(...entries) };
}
