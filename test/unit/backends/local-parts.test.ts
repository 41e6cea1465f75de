import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decompress } from '../../../src/archive/compression.ts';
import { decrypt } from '../../../src/archive/encryption.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { newKeys } from '../archive/keys.ts';
import { diskOf, LAG_BYTES, partOf, readDisk, SCOPE } from './parts.ts';
import type { PartOrder } from './write-part.ts';

const MIB = 1024 * 1024;
const ID = '26-01-31_12-00-00';
const LATER = '26-02-01_00-00-00';
const SMALL = { size: 100_000 };
const { identity: IDENTITY, recipient: RECIPIENT } = await newKeys();

let folder: string;
let group: string;
let backend: LocalBackend;
let children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-parts-'));
  group = join(folder, `transship-${ID}.vms`);
  backend = new LocalBackend(folder);
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(folder, { recursive: true });
});

describe('a part', () => {
  it.each([
    ['zstd', '.tar.zst'],
    ['xz', '.tar.xz'],
    ['gzip', '.tar.gz'],
    ['none', '.tar'],
  ] as const)(
    'compressed by %s is a file beside its snapshot, and nothing else is left',
    async (compression, suffix) => {
      const store = await backend.beginParts(ID, SCOPE);
      expect(store).toMatchObject({ id: ID, isBare: false, interrupted: new Map() });
      const written = await store.write(partOf({ ...SMALL, compression }));
      const name = `shop.db${suffix}`;
      expect(written).toMatchObject({ file: `transship-${ID}.vms/${name}`, location: join(group, name), kept: 0 });
      const snapshot = await backend.write(ID, '.tar.zst', bytesOf('main'));
      await store.finish();
      expect(await readdir(group)).toEqual([name]);
      expect((await stat(group)).mode & 0o777).toBe(0o700);
      const reader = await backend.openPart(snapshot, written.file, folder);
      expect((await readDisk(reader, written)).equals(diskOf(SMALL.size))).toBe(true);
    },
  );

  it('that is encrypted can be read with the key', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    const { file, location, size } = await store.write(partOf({ ...SMALL, encryptTo: [RECIPIENT] }));
    expect(file).toBe(`transship-${ID}.vms/shop.db.tar.zst.age`);
    const stored = await readFile(location);
    expect(stored.byteLength).toBe(size);
    let plain = 0;
    for await (const piece of decompress(decrypt(onePiece(stored), [IDENTITY]))) plain += piece.byteLength;
    expect(plain).toBeGreaterThan(SMALL.size);
  });

  it('is read from anywhere', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    const { file, location, size } = await store.write(partOf(SMALL));
    const snapshot = await backend.write(ID, '.tar.zst', bytesOf('main'));
    const reader = await backend.openPart(snapshot, file, folder);
    const whole = await readFile(location);
    expect((await reader.read(1_000, 50_000)).equals(whole.subarray(1_000, 51_000))).toBe(true);
    await expect(reader.read(size - 1, 2)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot read ${location}: it ends before byte ${size + 1}.`,
    });
    await reader.close();
  });

  it('is found from a snapshot that is a tree, also when the path is the folder of its cluster', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    const { file, size } = await store.write(partOf(SMALL));
    const tree = join(folder, 'stage', 'backup', ID);
    await mkdir(tree, { recursive: true });
    for (const name of ['_snapshot.json', 'manifest']) await writeFile(join(tree, name), '{}');
    for (const path of [folder, join(folder, 'stage')]) {
      const place = new LocalBackend(path);
      const reader = await place.openPart(await place.find('latest'), file, folder);
      expect(reader.size).toBe(size);
      await reader.close();
    }
  });

  it.each([
    '../secret',
    `transship-${ID}.vms/../../secret`,
    '/etc/passwd',
    'transship.tar',
    `transship-${ID}.vms/..`,
    './secret',
    'a\\b/c',
    'a/b/c',
  ])('never leads out of its folder: %s', async (file) => {
    const snapshot = await backend.write(ID, '.tar.zst', bytesOf('main'));
    await expect(backend.openPart(snapshot, file, folder)).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
  });

  it('that is not there is an error that names it', async () => {
    const snapshot = await backend.write(ID, '.tar.zst', bytesOf('main'));
    await expect(backend.openPart(snapshot, `transship-${ID}.vms/a.tar.xz`, folder)).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: `${join(group, 'a.tar.xz')} does not exist.`,
    });
  });
});

describe('an export that was killed', { timeout: 60_000 }, () => {
  it('is gone on with by the next of the same scope: what is stored is kept, and not read again', async () => {
    await killWhileWriting({ options: { path: folder }, id: ID, part: { at: 22 * MIB + LAG_BYTES } });
    const opened: number[] = [];
    const store = await backend.beginParts(LATER, SCOPE);
    expect(store.id).toBe(ID);
    expect(store.interrupted).toEqual(new Map([['shop.db', 'snapshot:shop/db:1']]));
    const written = await store.write(partOf({ opened }));
    expect(written.kept).toBeGreaterThan(15 * MIB);
    expect(opened).toHaveLength(1);
    expect(opened[0]).toBeGreaterThan(15 * MIB);
    const snapshot = await backend.write(store.id, '.tar.zst', bytesOf('main'));
    await store.finish();
    expect(await readdir(group)).toEqual(['shop.db.tar.zst']);
    const reader = await backend.openPart(snapshot, written.file, folder);
    expect((await readDisk(reader, written)).equals(diskOf())).toBe(true);
  });

  it('starts over and says why when the source is another', async () => {
    await killWhileWriting({ options: { path: folder }, id: ID, part: { at: 22 * MIB + LAG_BYTES } });
    const why: string[] = [];
    const store = await backend.beginParts(LATER, SCOPE);
    const part = partOf({ source: 'snapshot:shop/db:2', seed: 2, onRestart: (one) => why.push(one) });
    const written = await store.write(part);
    expect(written.kept).toBe(0);
    expect(why).toEqual(['The source is not the one that was exported then.']);
    const snapshot = await backend.write(store.id, '.tar.zst', bytesOf('main'));
    const reader = await backend.openPart(snapshot, written.file, folder);
    expect((await readDisk(reader, written)).equals(diskOf(undefined, 2))).toBe(true);
  });

  it('is listed as unfinished, and never found', async () => {
    await killWhileWriting({ options: { path: folder }, id: ID, part: { at: 22 * MIB + LAG_BYTES } });
    const [left, ...others] = await backend.list();
    expect(left).toMatchObject({ id: ID, layout: 'archive', location: group, state: 'unfinished' });
    expect(left?.size).toBeGreaterThan(15 * MIB);
    expect(others).toEqual([]);
    await expect(backend.find('latest')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    await expect(backend.find(ID)).rejects.toMatchObject({ message: expect.stringContaining('is unfinished') });
  });

  it('of another scope is left alone', async () => {
    await killWhileWriting({ options: { path: folder }, id: ID, part: { at: 22 * MIB + LAG_BYTES } });
    const store = await backend.beginParts(LATER, 'other machines');
    expect(store).toMatchObject({ id: LATER, interrupted: new Map() });
  });
});

describe('an export that failed', () => {
  it('is gone on with in the same process', async () => {
    const first = await backend.beginParts(ID, SCOPE);
    await expect(first.write(partOf({ at: 22 * MIB + LAG_BYTES, ending: 'breaks' }))).rejects.toThrow(
      'the source broke',
    );
    const second = await backend.beginParts(LATER, SCOPE);
    expect(second.id).toBe(ID);
    expect((await second.write(partOf())).kept).toBeGreaterThan(15 * MIB);
    await expect(first.write(partOf())).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Another export is writing ${group}.`,
    });
  });

  it('has its whole parts kept as they are, but those of another source written anew', async () => {
    const first = await backend.beginParts(ID, SCOPE);
    const whole = await first.write(partOf(SMALL));
    await first.write(partOf({ ...SMALL, name: 'shop.web', encryptTo: [RECIPIENT] }));
    await first.write(partOf({ ...SMALL, name: 'shop.old' }));
    await expect(first.write(partOf({ name: 'shop.cache', ending: 'breaks', at: 1 }))).rejects.toThrow();
    const second = await backend.beginParts(LATER, SCOPE);
    expect([...second.interrupted]).toEqual([
      ['shop.db', 'snapshot:shop/db:1'],
      ['shop.old', 'snapshot:shop/db:1'],
      ['shop.web', 'snapshot:shop/db:1'],
    ]);
    const untouched = () => {
      throw new Error('nothing is to be read');
    };
    expect(await second.write(partOf({ ...SMALL, entries: untouched }))).toEqual({ ...whole, kept: whole.size });
    const encrypted = partOf({ ...SMALL, name: 'shop.web', encryptTo: [RECIPIENT], entries: untouched });
    expect((await second.write(encrypted)).kept).toBeGreaterThan(SMALL.size);
    const old = await stat(join(group, 'shop.old.tar.zst'));
    const anew = await second.write(partOf({ ...SMALL, name: 'shop.old', source: 'snapshot:shop/db:2', seed: 2 }));
    expect(anew.kept).toBe(0);
    expect((await stat(join(group, 'shop.old.tar.zst'))).ino).not.toBe(old.ino);
    await second.finish();
    // What this export did not have goes too.
    expect(await readdir(group)).toEqual(['shop.db.tar.zst', 'shop.old.tar.zst', 'shop.web.tar.zst.age']);
  });

  it('keeps a whole part of another source until there is the new one', async () => {
    const first = await backend.beginParts(ID, SCOPE);
    const { location } = await first.write(partOf(SMALL));
    const before = await readFile(location);
    const broken = partOf({ source: 'snapshot:shop/db:2', ending: 'breaks', at: 22 * MIB + LAG_BYTES });
    await expect(first.write(broken)).rejects.toThrow('the source broke');
    expect((await readFile(location)).equals(before)).toBe(true);
    expect((await first.write(partOf(SMALL))).kept).toBe(before.byteLength);
  });
});

describe('two exports at once', () => {
  it('of one scope have a group each, also when they begin within the same second', async () => {
    const first = await backend.beginParts(ID, SCOPE);
    const second = await backend.beginParts(ID, SCOPE);
    expect([first.id, second.id]).toEqual([ID, '26-01-31_12-00-01']);
    const sizes = await Promise.all([first.write(partOf(SMALL)), second.write(partOf(SMALL))]);
    expect(sizes.map(({ kept }) => kept)).toEqual([0, 0]);
  });

  it('that find the same interrupted one: exactly one goes on with it', async () => {
    await leaveGroup();
    const stores = await Promise.all([1, 2, 3].map(() => backend.beginParts(LATER, SCOPE)));
    expect(stores.filter(({ id }) => id === ID)).toHaveLength(1);
    expect(new Set(stores.map(({ id }) => id)).size).toBe(3);
  });

  it('on another machine: one counts as living until nothing has changed for ten minutes', async () => {
    await leaveGroup();
    for (const name of await readdir(group)) if (name.startsWith('_lock')) await rm(join(group, name));
    await writeFile(join(group, '_lock-1'), JSON.stringify({ host: 'another', pid: 1, started: '1' }));
    expect((await backend.beginParts(LATER, 'x')).id).toBe(LATER);
    expect((await backend.beginParts(LATER, SCOPE)).id).not.toBe(ID);
    const then = new Date(Date.now() - 10 * 60_000 - 1);
    for (const name of await readdir(group)) await utimes(join(group, name), then, then);
    expect((await backend.beginParts(LATER, SCOPE)).id).toBe(ID);
  });

  it('on this machine: the lock of a process that is gone, or that got a number again, holds nobody up', async () => {
    await leaveGroup();
    const own = JSON.parse(await lockText());
    await writeFile(join(group, '_lock-2'), JSON.stringify({ ...own, started: '1' }));
    expect((await backend.beginParts(LATER, SCOPE)).id).toBe(ID);
    expect((await backend.beginParts(LATER, SCOPE)).id).toBe(LATER);
  });
});

describe('a list', () => {
  it('does not show the groups of complete snapshots, nor folders of others', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    expect((await backend.list()).map(({ state }) => state)).toEqual(['unfinished']);
    await backend.write(ID, '.tar.zst', bytesOf('main'));
    for (const name of ['transship-notes.vms', `other-${ID}.vms`, `transship-${LATER}.vms`]) {
      await mkdir(join(folder, name));
    }
    expect(await backend.list()).toMatchObject([{ id: ID, size: 4, state: 'complete' }]);
    await store.finish();
    expect(await backend.find('latest')).toMatchObject({ id: ID });
    expect((await backend.beginParts(LATER, SCOPE)).id).toBe('26-02-01_00-00-01');
  });

  it('keeps what is stored when it is closed, for any other export to go on with', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    const written = await store.write(partOf(SMALL));
    await store.close();
    const next = await backend.beginParts(LATER, SCOPE);
    expect(next).toMatchObject({ id: ID, interrupted: new Map([['shop.db', 'snapshot:shop/db:1']]) });
    expect(await next.write(partOf(SMALL))).toEqual({ ...written, kept: written.size });
  });
});

describe('a path that is a file', { timeout: 60_000 }, () => {
  const NAME = 'db.tar.zst';

  it('is the one part itself, without a snapshot around it', async () => {
    const bare = new LocalBackend(join(folder, NAME));
    const store = await bare.beginParts(ID, SCOPE);
    expect(store).toMatchObject({ id: ID, isBare: true, interrupted: new Map() });
    const written = await store.write(partOf(SMALL));
    expect(written).toMatchObject({ file: '', location: join(folder, NAME), kept: 0 });
    await expect(store.write(partOf({ ...SMALL, name: 'b' }))).rejects.toThrow('is the part shop.db');
    await store.finish();
    expect(await readdir(folder)).toEqual([NAME]);
    const snapshot = await bare.find('latest');
    expect(snapshot).toMatchObject({ id: ID, size: written.size });
    const reader = await bare.openPart(snapshot, '', folder);
    expect((await readDisk(reader, written)).equals(diskOf(SMALL.size))).toBe(true);
  });

  it('must end as the archive to write does', async () => {
    const store = await new LocalBackend(join(folder, NAME)).beginParts(ID, SCOPE);
    await expect(store.write(partOf({ ...SMALL, compression: 'xz' }))).rejects.toMatchObject({
      code: 'INPUT',
      message: 'path: "db.tar.zst" must end in .tar.xz, as the archive to write is one.',
    });
  });

  it('is never overwritten', async () => {
    await writeFile(join(folder, NAME), 'there');
    const bare = new LocalBackend(join(folder, NAME));
    await expect(bare.beginParts(ID, SCOPE)).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
  });

  it('is listed as unfinished when its export was killed, and gone on with', async () => {
    const path = join(folder, NAME);
    await killWhileWriting({ options: { path }, id: ID, part: { at: 22 * MIB + LAG_BYTES } }, `${path}.journal`);
    const bare = new LocalBackend(path);
    expect(await bare.list()).toMatchObject([{ location: `${path}.partial`, state: 'unfinished' }]);
    const store = await bare.beginParts(LATER, SCOPE);
    expect(store).toMatchObject({ id: LATER, interrupted: new Map([['shop.db', 'snapshot:shop/db:1']]) });
    const written = await store.write(partOf());
    expect(written.kept).toBeGreaterThan(15 * MIB);
    await store.finish();
    expect(await readdir(folder)).toEqual([NAME]);
    const reader = await bare.openPart(await bare.find('latest'), '', folder);
    expect((await readDisk(reader, written)).equals(diskOf())).toBe(true);
  });

  it('is written by one export at a time, until that is closed', async () => {
    const path = join(folder, NAME);
    const first = await new LocalBackend(path).beginParts(ID, SCOPE);
    await expect(new LocalBackend(path).beginParts(LATER, SCOPE)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Another export is writing ${path}.`,
    });
    await first.close();
    expect(await readdir(folder)).toEqual([]);
    expect(await new LocalBackend(path).beginParts(LATER, SCOPE)).toMatchObject({ id: LATER });
  });
});

describe('a place that refuses', { timeout: 60_000 }, () => {
  it('is named when it can not be written', async () => {
    const path = join(folder, 'no', 'such');
    await expect(new LocalBackend(path).beginParts(ID, SCOPE)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot write ${path}: the folder it belongs in does not exist.`,
    });
  });

  it('keeps what is stored when the disk is full', async () => {
    const program = fileURLToPath(new URL('write-part.ts', import.meta.url));
    const run = promisify(execFile);
    // A limit on the size of files fails as a full disk does.
    const script = `ulimit -f 40960; exec "$0" "$@"`;
    const order = JSON.stringify({ options: { path: folder }, id: ID, part: {} });
    const failed = await run('sh', ['-c', script, process.execPath, program, order]).catch((error: unknown) => error);
    expect(String(failed)).toMatch(/There is no room left to write .+shop\.db\.tar\.zst/);
    const store = await backend.beginParts(LATER, SCOPE);
    expect((await store.write(partOf())).kept).toBeGreaterThan(10 * MIB);
  });
});

/** A group whose writer is gone. */
async function leaveGroup(): Promise<void> {
  const store = await backend.beginParts(ID, SCOPE);
  await expect(store.write(partOf({ ending: 'breaks', at: 1 }))).rejects.toThrow();
}

/** What this process writes into its locks. */
async function lockText(): Promise<string> {
  const store = await backend.beginParts('25-01-01_00-00-00', 'to see a lock');
  const text = await readFile(join(folder, `transship-${store.id}.vms`, '_lock-1'), 'utf8');
  await rm(join(folder, `transship-${store.id}.vms`), { recursive: true });
  return text;
}

async function killWhileWriting(order: PartOrder, journal = join(group, 'shop.db.tar.zst.journal')): Promise<void> {
  const program = fileURLToPath(new URL('write-part.ts', import.meta.url));
  const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  const exited = once(child, 'exit');
  child.send(order);
  expect(await Promise.race([once(child, 'message'), exited])).toEqual(['silent', undefined]);
  await vi.waitFor(async () => expect((await readFile(journal, 'utf8')).split('\n').length).toBeGreaterThan(5), 20_000);
  child.kill('SIGKILL');
  await exited;
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
