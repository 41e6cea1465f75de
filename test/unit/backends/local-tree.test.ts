import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { readTree, writeTree } from '../../../src/archive/tree.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { collectFiles, entriesOf, inPieces, noise } from '../archive/helpers.ts';

const ID = '26-01-31_12-00-00';
const FILES = {
  '_snapshot.json': '{}',
  'storageclasses.json': 'a'.repeat(600),
  'alpha/deployments.json': 'b',
  'alpha/configmaps.json': '',
  '_releases/alpha/web/1.json': 'c',
};
const DISK = noise(3_000_000);
const run = promisify(execFile);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-tree-'));
});

afterEach(() => rm(folder, { recursive: true }));

describe('a tree in a folder', () => {
  it('has a file for each entry, under its cluster and id, for this user alone', async () => {
    const { entries, summary } = writeTree(entriesOf(FILES));
    const written = await new LocalBackend(folder).writeTree(ID, 'kind/stage', entries);
    const location = join(folder, 'kind-stage', 'backup', ID);
    expect(written).toEqual({
      id: ID,
      layout: 'tree',
      cluster: 'kind-stage',
      location,
      size: summary().size,
      sent: summary().size,
      files: expect.any(Map),
      state: 'complete',
    });
    expect([...(written.files?.keys() ?? [])].sort()).toEqual(
      [...Object.keys(FILES), '_index.json', 'manifest'].sort(),
    );
    expect(await namesIn(folder)).toEqual(
      [
        ...['kind-stage', 'kind-stage/backup', `kind-stage/backup/${ID}`],
        ...['_index.json', '_releases', '_releases/alpha', '_releases/alpha/web', '_releases/alpha/web/1.json'],
        ...['_snapshot.json', 'alpha', 'alpha/configmaps.json', 'alpha/deployments.json', 'manifest'],
        'storageclasses.json',
      ].map((name) => (name.startsWith('kind') ? name : `kind-stage/backup/${ID}/${name}`)),
    );
    for (const name of await namesIn(folder)) {
      const { mode } = await stat(join(folder, name));
      expect((mode & 0o777).toString(8), name).toBe(/\.json$|manifest$/.test(name) ? '600' : '700');
    }
    await run('sh', ['-c', 'cd "$1" && sha1sum --strict --status -c manifest', 'sh', location]);
  });

  it('is found, and comes back as it was written, large files as streams', async () => {
    const backend = new LocalBackend(folder);
    const written = await writeOne(backend, 'stage', { 'z/disk.img': DISK });
    const found = await backend.find('latest');
    expect(written).toMatchObject(found);
    const content = await collectFiles(readTree(backend.readTree(found)).entries);
    expect(content.map(([path]) => path)).toEqual(['_snapshot.json', 'z/disk.img']);
    expect(content[1]?.[1].equals(DISK)).toBe(true);
  });

  it('is found from the folder above its cluster and from that of the cluster', async () => {
    await writeOne(new LocalBackend(folder), 'stage');
    for (const path of [folder, join(folder, 'stage'), `${join(folder, 'stage')}/`]) {
      expect(await new LocalBackend(path).list(), path).toMatchObject([{ id: ID, cluster: 'stage', layout: 'tree' }]);
    }
  });

  it('is listed with archives, newest first, and the newest of all is latest', async () => {
    const backend = new LocalBackend(folder);
    await backend.write('26-01-01_00-00-00', '.tar', inPieces(noise(9), 9));
    await writeOne(backend, 'stage', {}, '26-01-02_00-00-00');
    await backend.write('26-01-03_00-00-00', '.tar', inPieces(noise(9), 9));
    expect((await backend.list()).map(({ id, layout }) => [id, layout])).toEqual([
      ['26-01-03_00-00-00', 'archive'],
      ['26-01-02_00-00-00', 'tree'],
      ['26-01-01_00-00-00', 'archive'],
    ]);
    expect((await backend.find('latest')).layout).toBe('archive');
    expect((await backend.find('26-01-02_00-00-00')).layout).toBe('tree');
  });

  it('of one of several clusters must be asked for by its folder', async () => {
    const backend = new LocalBackend(folder);
    await writeOne(backend, 'stage');
    await writeOne(backend, 'prod');
    await expect(backend.find('latest')).rejects.toMatchObject({
      code: 'INPUT',
      message: `${folder} has snapshots of 2 clusters: prod, stage.`,
    });
    expect(await new LocalBackend(join(folder, 'prod')).find('latest')).toMatchObject({ id: ID, cluster: 'prod' });
  });

  it('is not written over, nor beside an archive of its id', async () => {
    const backend = new LocalBackend(folder);
    const { location } = await writeOne(backend, 'stage');
    const before = await namesIn(folder);
    await expect(writeOne(backend, 'stage', { 'other.json': '1' })).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      message: `${location} already exists, and a snapshot is never overwritten.`,
    });
    expect(await namesIn(folder)).toEqual(before);
    const archive = await backend.write('26-02-01_00-00-00', '.tar', inPieces(noise(9), 9));
    await expect(writeOne(backend, 'prod', {}, '26-02-01_00-00-00')).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      message: `${archive.location} already exists, and a snapshot is never overwritten.`,
    });
    expect(await readdir(folder)).not.toContain('prod');
  });

  it('is that of exactly one of many writers of an id, whole', async () => {
    const backend = new LocalBackend(folder);
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => writeOne(backend, 'stage', { [`writer-${index}.json`]: `${index}` })),
    );
    const winners = results.flatMap(({ status }, index) => (status === 'fulfilled' ? [`writer-${index}.json`] : []));
    expect(winners).toHaveLength(1);
    const losers = results.filter((result) => result.status === 'rejected');
    expect(new Set(losers.map(({ reason }) => reason.code))).toEqual(new Set(['SNAPSHOT_EXISTS']));
    const [found, ...others] = await backend.list();
    expect(others).toEqual([]);
    if (found === undefined) throw new Error('There is none.');
    const content = await collectFiles(readTree(backend.readTree(found)).entries);
    expect(content.map(([path]) => path)).toEqual(['_snapshot.json', ...winners]);
  });

  it('is unfinished as long as its folder is not named after it or it has no manifest', async () => {
    const backend = new LocalBackend(folder);
    const { location } = await writeOne(backend, 'stage');
    await rename(location, `${location}.0123abcd.partial`);
    expect(await backend.list()).toMatchObject([{ id: ID, state: 'unfinished', cluster: 'stage' }]);
    await rename(`${location}.0123abcd.partial`, location);
    await rm(join(location, 'manifest'));
    expect(await backend.list()).toMatchObject([{ id: ID, state: 'unfinished', location }]);
    await expect(backend.find(ID)).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: expect.stringContaining('is unfinished: its export still runs or was interrupted.'),
    });
  });

  it('is nothing that only looks like one', async () => {
    const parent = join(folder, 'stage', 'backup');
    await mkdir(join(parent, '26-13-31_12-00-00'), { recursive: true });
    await writeFile(join(parent, '26-13-31_12-00-00', 'manifest'), '');
    await mkdir(join(parent, ID));
    await writeFile(join(parent, '26-01-01_00-00-00'), '');
    await writeFile(join(folder, 'prod'), '');
    await mkdir(join(folder, 'lost+found', 'backup', ID), { recursive: true });
    await writeFile(join(folder, 'lost+found', 'backup', ID, 'manifest'), '');
    expect(await new LocalBackend(folder).list()).toEqual([]);
  });

  it('is not read through links', async () => {
    const backend = new LocalBackend(folder);
    const { location } = await writeOne(backend, 'stage');
    await symlink('/etc/hostname', join(location, 'alpha.json'));
    await expect(collectFiles(backend.readTree(await backend.find(ID)))).rejects.toMatchObject({
      code: 'ARCHIVE_UNSUPPORTED',
      message: `${join(location, 'alpha.json')} is neither a file nor a folder; a snapshot has plain files only.`,
    });
  });

  it('that is gone is not there to read', async () => {
    const backend = new LocalBackend(folder);
    const written = await writeOne(backend, 'stage');
    await rm(written.location, { recursive: true });
    await expect(collectFiles(backend.readTree(written))).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: `${written.location} does not exist.`,
    });
  });
});

describe('a tree beside another one', () => {
  const NEXT = '26-02-01_12-00-00';
  const SAME = { '_snapshot.json': '{}', 'a/same.json': 'same', 'large.bin': DISK };

  async function writeNext(edit: (location: string) => Promise<unknown> = async () => {}) {
    const backend = new LocalBackend(folder);
    const base = await writeOne(backend, 'stage', { ...SAME, 'a/changed.json': 'before' });
    const all = base.files ?? new Map();
    const files = new Map(
      ['a/same.json', 'large.bin'].flatMap((path) => (all.has(path) ? [[path, all.get(path)]] : [])),
    );
    await edit(base.location);
    const { entries } = writeTree(entriesOf({ ...SAME, 'a/changed.json': 'after' }));
    return { base, written: await backend.writeTree(NEXT, 'stage', entries, undefined, { snapshot: base, files }) };
  }

  it('is whole and has copies of its own, and only what differs was sent', async () => {
    const { base, written } = await writeNext();
    const content = new Map(await collectFiles(readTree(new LocalBackend(folder).readTree(written)).entries));
    expect([...content.keys()].sort()).toEqual(['_snapshot.json', 'a/changed.json', 'a/same.json', 'large.bin']);
    expect(written.size - (written.sent ?? 0)).toBe(4 + DISK.byteLength);
    const copy = join(written.location, 'a', 'same.json');
    expect((await stat(copy)).mode & 0o777).toBe(0o600);
    await writeFile(copy, 'mine');
    expect(await readFile(join(base.location, 'a', 'same.json'), 'utf8')).toBe('same');
    await run('sh', ['-c', 'cd "$1" && sha1sum --strict --status -c manifest', 'sh', base.location]);
  });

  it('can be the base of the next one', async () => {
    const { written } = await writeNext();
    const files = new Map([...(written.files ?? [])].filter(([path]) => path in SAME && path !== '_snapshot.json'));
    const { entries } = writeTree(entriesOf(SAME));
    const backend = new LocalBackend(folder);
    await backend.writeTree('26-03-01_12-00-00', 'stage', entries, undefined, { snapshot: written, files });
    const content = await collectFiles(readTree(backend.readTree(await backend.find('latest'))).entries);
    expect(content.map(([path]) => path)).toEqual(['_snapshot.json', 'a/same.json', 'large.bin']);
  });

  it.each<[string, (location: string) => Promise<unknown>]>([
    ['is gone', (location) => rm(location, { recursive: true })],
    ['lacks a file', (location) => rm(join(location, 'a', 'same.json'))],
    ['has a file that was written to', (location) => writeFile(join(location, 'a', 'same.json'), 'some')],
    ['has a file that was replaced', (location) => replaceFile(join(location, 'a', 'same.json'), 'same')],
    ['has a link for a file', (location) => replaceByLink(join(location, 'a', 'same.json'))],
  ])('is not written when that %s, and nothing is left of it', async (_what, edit) => {
    await expect(writeNext(edit)).rejects.toMatchObject({
      code: 'BASE_GONE',
      message: `${join(folder, 'stage', 'backup', ID, 'a', 'same.json')} can't be copied: it was removed or changed.`,
    });
    expect((await readdir(join(folder, 'stage', 'backup'))).filter((name) => name !== ID)).toEqual([]);
  });
});

describe('the files of a tree', () => {
  it('are told with their sizes, as whoever wrote them knows them, and can be read one by one', async () => {
    const backend = new LocalBackend(folder);
    const written = await writeOne(backend, 'stage', { 'a/b.json': 'text' });
    const tree = await backend.openTree(written);
    const versions = [...tree.files].map(([path, { size, version }]) => [path, { size, version }] as const);
    expect(new Map(versions)).toEqual(written.files);
    expect((await tree.read('a/b.json')).toString()).toBe('text');
    await expect(tree.read('a/c.json')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  it('are none where there is no tree', async () => {
    const backend = new LocalBackend(folder);
    const written = await writeOne(backend, 'stage');
    await rm(written.location, { recursive: true });
    await expect(backend.openTree(written)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });
});

describe('a tree that cannot be written', () => {
  it.each<[string, () => AsyncGenerator<Entry>, string]>([
    ['the source breaks', () => breakingEntries(), 'the source broke'],
    ['a body breaks', () => breakingBody(), 'the body broke'],
    ['it does not end with its manifest', () => entriesOf(FILES), 'must end with manifest'],
  ])('leaves nothing when %s', async (_what, entries, message) => {
    const path = join(folder, 'snapshots');
    await expect(new LocalBackend(path).writeTree(ID, 'stage', entries())).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });

  it('leaves nothing when it is cancelled while the source is stuck', async () => {
    const controller = new AbortController();
    async function* stuck() {
      yield* entriesOf(FILES);
      controller.abort();
      await new Promise(() => {});
    }
    const writing = new LocalBackend(folder).writeTree(ID, 'stage', stuck(), controller.signal);
    await expect(writing).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await readdir(folder)).toEqual([]);
  });

  it('leaves what others have there', async () => {
    const backend = new LocalBackend(folder);
    await writeOne(backend, 'stage', {}, '25-01-01_00-00-00');
    await expect(backend.writeTree(ID, 'stage', breakingEntries())).rejects.toThrow('the source broke');
    expect(await readdir(join(folder, 'stage', 'backup'))).toEqual(['25-01-01_00-00-00']);
  });

  it.each(['a file in memory', 'a stream'])(
    'leaves nothing when the system takes no more bytes of %s',
    async (what) => {
      const url = (path: string) => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href);
      const body = what === 'a stream' ? '(async function* () { yield bytes; })()' : 'bytes';
      const script = `
      const { LocalBackend } = await import(${url('backends/local.ts')});
      const { writeTree } = await import(${url('archive/tree.ts')});
      const bytes = new Uint8Array(2 * 1024 * 1024);
      const entries = (async function* () {
        yield { path: '_snapshot.json', size: 2, body: Buffer.from('{}') };
        yield { path: 'a/large.json', size: bytes.byteLength, body: ${body} };
      })();
      const backend = new LocalBackend(${JSON.stringify(folder)});
      const error = await backend.writeTree('${ID}', 'stage', writeTree(entries).entries).catch((error) => error);
      console.log(JSON.stringify([error.code, error.message.replace(/[0-9a-f]{8}(?=.partial)/, 'X')]));`;
      // The kernel's own limit on the size of a file stands in for a full disk: 2048 blocks of 512 bytes.
      const command = `ulimit -f 2048; exec "$0" --input-type=module --eval "$1"`;
      const { stdout } = await run('sh', ['-c', command, process.execPath, script]);
      expect(JSON.parse(stdout)).toEqual([
        'BACKEND',
        `Cannot write ${join(folder, 'stage', 'backup', `${ID}.X.partial`, 'a', 'large.json')}: the file would be larger than the file system or a limit allows.`,
      ]);
      expect(await readdir(folder)).toEqual([]);
    },
  );

  it('is not put into a file', async () => {
    await writeFile(join(folder, 'file'), 'mine');
    await expect(writeOne(new LocalBackend(join(folder, 'file')), 'stage')).rejects.toMatchObject({ code: 'BACKEND' });
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('mine');
  });

  it('does not grow the folders above its path', async () => {
    const path = join(folder, 'no', 'such');
    await expect(writeOne(new LocalBackend(path), 'stage')).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot write ${path}: the folder it belongs in does not exist.`,
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

function writeOne(backend: LocalBackend, cluster: string, files: Record<string, string | Uint8Array> = {}, id = ID) {
  return backend.writeTree(id, cluster, writeTree(entriesOf({ '_snapshot.json': '{}', ...files })).entries);
}

async function replaceFile(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function replaceByLink(path: string): Promise<void> {
  await rename(path, join(folder, 'elsewhere'));
  await symlink(join(folder, 'elsewhere'), path);
}

async function* breakingEntries(): AsyncGenerator<Entry> {
  yield* entriesOf(FILES);
  throw new Error('the source broke');
}

async function* breakingBody(): AsyncGenerator<Entry> {
  yield entryOf('_snapshot.json', '{}');
  async function* body() {
    yield noise(10);
    throw new Error('the body broke');
  }
  yield { path: 'disk.img', size: 20, body: body() };
}

async function namesIn(path: string): Promise<string[]> {
  return (await readdir(path, { recursive: true })).sort();
}
