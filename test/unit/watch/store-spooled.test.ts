import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readArchive } from '../../../src/archive/read.ts';
import { readTree } from '../../../src/archive/tree.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { TransshipError } from '../../../src/errors.ts';
import { createSpool, type SpooledSnapshot } from '../../../src/watch/spool.ts';
import { type StoreOptions, storeSpooled } from '../../../src/watch/store-spooled.ts';
import { readStoredContents } from '../../../src/watch/stored-contents.ts';
import { collectFiles, noise, temporaryFolder } from '../archive/helpers.ts';
import { newKeys } from '../archive/keys.ts';
import { collectReports } from './reports.ts';
import { collected, type Files } from './spooled.ts';
import { trackFiles } from './tracked-files.ts';

const [ONE, TWO] = ['26-01-31_12-00-00', '26-01-31_12-00-01'];
const FILES: Files = {
  'shop/services.json': 'a',
  'shop/secrets.json': '',
  'nodes.json': noise(3_000_000),
  'gone.json': '1',
};
const { 'gone.json': _gone, ...rest } = FILES;
const CHANGED: Files = { ...rest, 'shop/services.json': 'b', 'new.json': 'new' };

function makeBed(overrides: Partial<StoreOptions> = {}) {
  const { reporter, lines } = collectReports();
  const spool = createSpool(temporaryFolder(), trackFiles().openFile);
  const place = temporaryFolder();
  const backend = new LocalBackend(place);
  const options: StoreOptions = { cluster: 'stage', layout: 'tree', compression: 'zstd', reporter, ...overrides };
  return {
    ...{ place, backend, lines, options },
    spool: (id: string, files: Files, previous?: SpooledSnapshot) => spool.add(collected(id, files), previous),
    store: (spooled: SpooledSnapshot, more: Partial<StoreOptions> = {}) =>
      storeSpooled(backend, spooled, { ...options, ...more }),
  };
}

async function contentOf(location: string): Promise<Map<string, string>> {
  const found = await readdir(location, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const read = files.map(
    async (file) => [file.slice(location.length), (await readFile(file)).toString('latin1')] as const,
  );
  return new Map(await Promise.all(read));
}

describe('a spooled snapshot stored as a tree', () => {
  it('is byte for byte the same with a base and without, and only what differs is sent', async () => {
    const { spool, store } = makeBed();
    const first = await spool(ONE, FILES);
    const base = await store(first);
    expect(base.sent).toBe(base.snapshot.size);
    const second = await spool(TWO, CHANGED, first);
    const beside = await store(second, { base });
    const alone = await storeSpooled(new LocalBackend(temporaryFolder()), second, { ...makeBed().options });
    expect(await contentOf(beside.snapshot.location)).toEqual(await contentOf(alone.snapshot.location));
    const { size, digest } = alone.snapshot;
    expect(beside.snapshot).toMatchObject({ size, digest });
    expect(size - beside.sent).toBe(3_000_000);
    expect(beside.contents.files).toBe(second.files);
  });

  it('can be written beside each one before it, and beside one that was found after a restart', async () => {
    const { backend, spool, store, options } = makeBed();
    const first = await spool(ONE, FILES);
    const found = await readStoredContents(backend, (await store(first)).snapshot, options);
    const second = await store(await spool(TWO, CHANGED, first), { base: found });
    const third = await store(await spool('26-01-31_12-00-02', CHANGED), { base: second });
    expect(third.snapshot.size - third.sent).toBe(3_000_000 + 'b'.length + 'new'.length);
    for (const { id } of [first, { id: TWO }, { id: '26-01-31_12-00-02' }]) {
      expect(await collectFiles(readTree(backend.readTree(await backend.find(id))).entries)).not.toEqual([]);
    }
  });

  it('does not read the files that are copied', async () => {
    const { spool, store } = makeBed();
    const base = await store(await spool(ONE, FILES));
    const spooled = await spool(TWO, FILES);
    const read: string[] = [];
    const watched: SpooledSnapshot = {
      ...spooled,
      async *entries() {
        for await (const entry of spooled.entries()) {
          const { path, body } = entry;
          const pieces = body as AsyncIterable<Uint8Array>;
          const iterator = () => {
            read.push(path);
            return pieces[Symbol.asyncIterator]();
          };
          yield { ...entry, body: { [Symbol.asyncIterator]: iterator } };
        }
      },
    };
    await store(watched, { base });
    expect(read).toEqual(['_snapshot.json']);
  });

  it('is stored whole without its base when that is gone, which is told', async () => {
    const { backend, place, spool, store, lines } = makeBed();
    const base = await store(await spool(ONE, FILES));
    await rm(join(base.snapshot.location, 'nodes.json'));
    const { snapshot, sent } = await store(await spool(TWO, CHANGED), { base });
    expect(sent).toBe(snapshot.size);
    expect(lines).toEqual([
      `warn: ${join(base.snapshot.location, 'nodes.json')} can't be copied: it was removed or changed. All of snapshot ${TWO} is sent.`,
    ]);
    expect(await collectFiles(readTree(backend.readTree(snapshot)).entries)).toHaveLength(5);
    expect((await readdir(join(place, 'stage', 'backup'))).sort()).toEqual([ONE, TWO]);
  });

  it('is not stored when a file of the spool is not what was put there', async () => {
    const { backend, spool, store } = makeBed();
    const spooled = await spool(ONE, FILES);
    const altered: SpooledSnapshot = {
      ...spooled,
      async *entries() {
        for await (const entry of spooled.entries()) {
          yield entry.path === 'shop/services.json' ? { ...entry, body: Buffer.from('x') } : entry;
        }
      },
    };
    await expect(store(altered)).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The body of shop/services.json is not the one it was.',
    });
    expect(await backend.list()).toEqual([]);
  });

  it('that is encrypted takes over what is the same, and is read with the key', async () => {
    const { identity, recipient } = await newKeys();
    const { backend, spool, store } = makeBed({ encryptTo: [recipient] });
    const base = await store(await spool(ONE, FILES));
    const next = await store(await spool(TWO, CHANGED), { base });
    expect(next.snapshot.size - next.sent).toBeGreaterThan(3_000_000);
    const same = (name: string) =>
      Promise.all([base, next].map(({ snapshot }) => readFile(join(snapshot.location, name))));
    const [before, after] = await same('nodes.json.age');
    expect(before?.equals(after ?? Buffer.alloc(0))).toBe(true);
    const reading = readTree(backend.readTree(next.snapshot), undefined, [identity]);
    const content = new Map(await collectFiles(reading.entries));
    expect(content.get('nodes.json')?.equals(Buffer.from(FILES['nodes.json'] ?? ''))).toBe(true);
    expect(reading.result()).toEqual({ size: next.snapshot.size, digest: next.snapshot.digest });
    const third = await store(await spool('26-01-31_12-00-02', CHANGED), { base: next });
    expect(await collectFiles(readTree(backend.readTree(third.snapshot), undefined, [identity]).entries)).toHaveLength(
      5,
    );
  });

  it.each([
    ['is encrypted to other recipients', ['one'], ['two']],
    ['is encrypted to fewer recipients', ['one', 'two'], ['one']],
    ['is not encrypted, though its base is', ['one'], undefined],
    ['is encrypted, though its base is not', undefined, ['one']],
  ])('that %s takes over nothing', async (_what, before, after) => {
    const keys = new Map([
      ['one', (await newKeys()).recipient],
      ['two', (await newKeys()).recipient],
    ]);
    const to = (names: string[] | undefined) => names?.map((name) => keys.get(name) ?? '');
    const { spool, store } = makeBed();
    const base = await store(await spool(ONE, FILES), { encryptTo: to(before) });
    const { snapshot, sent } = await store(await spool(TWO, FILES), { base, encryptTo: to(after) });
    expect(sent).toBe(snapshot.size);
  });
});

describe('a spooled snapshot stored as an archive', () => {
  it('is what an export writes, as often as it is tried', async () => {
    const { backend, spool, store } = makeBed({ layout: 'archive' });
    const spooled = await spool(ONE, FILES);
    const { snapshot, sent, base } = await store(spooled);
    expect({ sent, base }).toEqual({ sent: snapshot.size, base: undefined });
    expect((await stat(snapshot.location)).size).toBe(snapshot.size);
    const content = await collectFiles(readArchive(backend.read(snapshot)));
    expect(content.map(([path]) => path)).toEqual(['_snapshot.json', ...Object.keys(FILES)]);
    const again = await storeSpooled(new LocalBackend(temporaryFolder()), spooled, {
      ...makeBed().options,
      layout: 'archive',
    });
    expect(again.snapshot.digest).toBe(snapshot.digest);
  });
});

describe.each(['tree', 'archive'] as const)('before a %s is whole', (layout) => {
  it('is asked whether it may be, when all but its end is there', async () => {
    const { place, spool, store } = makeBed({ layout });
    const seen: string[] = [];
    const beforeLast = async () => {
      seen.push(...(await readdir(place, { recursive: true })));
    };
    await store(await spool(ONE, FILES), { beforeLast });
    const names = seen.map((name) => name.replace(/\.[0-9a-f]{8}\.partial/, ''));
    if (layout === 'tree') {
      expect(names).toContain(`stage/backup/${ONE}/_index.json`);
      expect(names).not.toContain(`stage/backup/${ONE}/manifest`);
    }
    expect(seen.filter((name) => name.includes('.partial')).length).toBeGreaterThan(0);
  });

  it('it is not, and nothing is left of it, when the answer is no', async () => {
    const { backend, place, spool, store } = makeBed({ layout });
    const refusal = new TransshipError('MANAGED', 'Another manager writes here.');
    const spooled = await spool(ONE, FILES);
    await expect(store(spooled, { beforeLast: () => Promise.reject(refusal) })).rejects.toBe(refusal);
    expect(await readdir(place)).toEqual([]);
    await store(spooled);
    expect(await backend.list()).toMatchObject([{ id: ONE, state: 'complete' }]);
  });

  it('it can be cancelled, and be stored afterwards', async () => {
    const { backend, place, spool, store } = makeBed({ layout });
    const spooled = await spool(ONE, FILES);
    const controller = new AbortController();
    const beforeLast = () => {
      controller.abort();
      return new Promise<void>(() => {});
    };
    const storing = store(spooled, { beforeLast, signal: controller.signal });
    await expect(storing).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await readdir(place)).toEqual([]);
    await store(spooled);
    expect(await backend.list()).toMatchObject([{ id: ONE, state: 'complete' }]);
  });
});

it('nothing of another snapshot is overwritten', async () => {
  const { spool, store, place } = makeBed();
  const spooled = await spool(ONE, FILES);
  const { snapshot } = await store(spooled);
  await writeFile(join(place, 'note'), '');
  await expect(store(spooled)).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
  expect(await collectFiles(readTree(new LocalBackend(place).readTree(snapshot)).entries)).toHaveLength(5);
});
