import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once as nextEvent } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Entry, entryOf } from '../../src/archive/entry.ts';
import { checkEncryptedTree, readTree, writeTree } from '../../src/archive/tree.ts';
import type { Backend } from '../../src/backends/backend.ts';
import { type OpenBackendOptions, openBackend } from '../../src/backends/open.ts';
import { S3Backend } from '../../src/backends/s3.ts';
import { collectFiles, entriesOf, inPieces } from '../unit/archive/helpers.ts';
import { newKeys } from '../unit/archive/keys.ts';
import type { WriteOrder } from './children/write-snapshot.ts';
import { type Fault, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';

const MIB = 1024 * 1024;
const ID = '26-01-31_12-00-00';
const DISK = randomBytes(20 * MIB);
const MEDIUM = randomBytes(3 * MIB);
const QUICK = { stallMilliseconds: 300, attempts: 3, gapMilliseconds: 1 };
const FILES: Readonly<Record<string, string | Buffer>> = {
  '_snapshot.json': '{}',
  'storageclasses.json': '[]',
  ...Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`shop/kind-${index}.json`, `${index}`])),
  'shop/medium.json': MEDIUM,
  'shop/empty.json': '',
};

let s3: TestS3;
let folder: string;
let proxies: FaultyProxy[] = [];
let places = 0;

beforeAll(async () => {
  [s3, folder] = await Promise.all([startS3(), mkdtemp(join(tmpdir(), 'transship-trees-'))]);
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
});

afterEach(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  proxies = [];
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([s3.stop(), rm(folder, { recursive: true })]);
});

/** A place of each kind that nothing was written to yet. */
const newPlaces = {
  local: (): OpenBackendOptions => ({ path: join(folder, `place-${++places}`) }),
  s3: (): OpenBackendOptions => ({ path: `s3://${s3.bucket}/place/${++places}` }),
};

describe.each(Object.entries(newPlaces))('trees of the %s backend', (_name, newPlace) => {
  it('come back byte for byte, small files and large, and are pinned by one digest', async () => {
    const backend = openBackend(newPlace());
    const { entries, summary } = writeTree(withDisk());
    const written = await backend.writeTree(ID, 'arn:eks/stage', entries);
    expect(written).toMatchObject({ id: ID, layout: 'tree', cluster: 'arn-eks-stage', state: 'complete' });
    expect(written.location).toMatch(new RegExp(`/arn-eks-stage/backup/${ID}$`));
    const found = await backend.find('latest');
    expect(written).toMatchObject(found);
    const reading = readTree(backend.readTree(found));
    const content = new Map(await collectFiles(reading.entries));
    expect([...content.keys()].sort()).toEqual([...Object.keys(FILES), '_vms/disk.img'].sort());
    expect(content.get('_vms/disk.img')?.equals(DISK)).toBe(true);
    expect(content.get('shop/medium.json')?.equals(MEDIUM)).toBe(true);
    const { size, digest } = summary();
    expect(reading.result()).toEqual({ size, digest });
    expect(found.size).toBe(size);
  });

  it('that are encrypted come back byte for byte, and are listed as such', async () => {
    const backend = openBackend(newPlace());
    const { identity, recipient } = await newKeys();
    const { entries, summary } = writeTree(withDisk(), undefined, [recipient]);
    const written = await backend.writeTree(ID, 'stage', entries);
    expect(written).toMatchObject({ encrypted: true, size: summary().size });
    const found = await backend.find('latest');
    expect(written).toMatchObject(found);
    const reading = readTree(backend.readTree(found), undefined, [identity]);
    const content = new Map(await collectFiles(reading.entries));
    expect([...content.keys()].sort()).toEqual([...Object.keys(FILES), '_vms/disk.img'].sort());
    expect(content.get('_vms/disk.img')?.equals(DISK)).toBe(true);
    const { size, digest } = summary();
    expect(reading.result()).toEqual({ size, digest });
    expect(await checkEncryptedTree(backend.readTree(found))).toEqual({ size, digest });
  });

  it('are that of exactly one of two writers of an id, whole', async () => {
    const backend = openBackend(newPlace());
    const results = await Promise.allSettled(
      [1, 2].map((writer) => backend.writeTree(ID, 'stage', treeOf({ ...FILES, [`writer-${writer}.json`]: '' }))),
    );
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'SNAPSHOT_EXISTS' } });
    const winner = results.findIndex(({ status }) => status === 'fulfilled') + 1;
    const paths = await verifiedPaths(backend, ID);
    expect(paths.filter((path) => path.startsWith('writer-'))).toEqual([`writer-${winner}.json`]);
    expect((await backend.list()).map(({ state }) => state)).toEqual(['complete']);
  });

  it('are listed with archives, and of several clusters one must be chosen by its folder', async () => {
    const options = newPlace();
    const backend = openBackend(options);
    await backend.write('26-01-01_00-00-00', '.tar', inPieces(MEDIUM, MIB));
    await backend.writeTree('26-01-02_00-00-00', 'stage', treeOf(FILES));
    expect((await backend.find('latest')).layout).toBe('tree');
    await backend.writeTree('26-01-03_00-00-00', 'prod', treeOf(FILES));
    expect((await backend.list()).map(({ id, layout, cluster }) => [id, layout, cluster])).toEqual([
      ['26-01-03_00-00-00', 'tree', 'prod'],
      ['26-01-02_00-00-00', 'tree', 'stage'],
      ['26-01-01_00-00-00', 'archive', undefined],
    ]);
    await expect(backend.find('latest')).rejects.toMatchObject({
      code: 'INPUT',
      message: expect.stringMatching(/ has snapshots of 2 clusters: prod, stage\.$/),
      hint: `Choose one by its folder: give ${options.path}/prod as path, for example.`,
    });
    expect((await backend.find('26-01-02_00-00-00')).cluster).toBe('stage');
    const stage = openBackend({ ...options, path: `${options.path}/stage` });
    expect(await stage.find('latest')).toMatchObject({ id: '26-01-02_00-00-00', cluster: 'stage' });
    await expect(stage.find('26-01-03_00-00-00')).rejects.toMatchObject({
      message: expect.stringMatching(/ is not in .+\. There is 26-01-02_00-00-00\.$/),
    });
  });

  it('leave nothing when the source breaks in the middle', async () => {
    const backend = openBackend(newPlace());
    await backend.writeTree('25-01-01_00-00-00', 'stage', treeOf(FILES));
    const broken = new Error('the cluster is gone');
    async function* breaking(): AsyncGenerator<Entry> {
      yield* withDisk();
      throw broken;
    }
    await expect(backend.writeTree(ID, 'stage', writeTree(breaking()).entries)).rejects.toBe(broken);
    expect((await backend.list()).map(({ id }) => id)).toEqual(['25-01-01_00-00-00']);
  });

  it('leave nothing when the export is cancelled in the middle', async () => {
    const backend = openBackend(newPlace());
    await backend.writeTree('25-01-01_00-00-00', 'stage', treeOf(FILES));
    const controller = new AbortController();
    async function* stuck(): AsyncGenerator<Entry> {
      yield* entriesOf(FILES);
      controller.abort();
      await new Promise(() => {});
    }
    const writing = backend.writeTree(ID, 'stage', writeTree(stuck()).entries, controller.signal);
    await expect(writing).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await backend.list()).map(({ id }) => id)).toEqual(['25-01-01_00-00-00']);
  });

  it('stop being read when that is cancelled', async () => {
    const backend = openBackend(newPlace());
    await backend.writeTree(ID, 'stage', writeTree(withDisk()).entries);
    const controller = new AbortController();
    const reading = (async () => {
      for await (const { body } of backend.readTree(await backend.find(ID), controller.signal)) {
        if (!(body instanceof Uint8Array)) for await (const _piece of body) controller.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('offer nothing of a writer that was killed in the middle', async () => {
    const options = newPlace();
    const backend = openBackend(options);
    await backend.writeTree('25-01-01_00-00-00', 'stage', treeOf(FILES));
    await killInTheMiddle({ options, id: ID, layout: 'tree', mebibytes: 12 });
    expect((await backend.list()).map(({ id, state, cluster }) => [id, state, cluster])).toEqual([
      [ID, 'unfinished', 'stage'],
      ['25-01-01_00-00-00', 'complete', 'stage'],
    ]);
    expect((await backend.find('latest')).id).toBe('25-01-01_00-00-00');
    await expect(backend.find(ID)).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: expect.stringContaining('is unfinished: its export still runs or was interrupted.'),
    });
  });
});

it('a tree copied from S3 into a folder by other means is found there and is whole', async () => {
  const { path } = newPlaces.s3();
  await openBackend({ path }).writeTree(ID, 'stage', treeOf(FILES));
  const copied = openBackend({ path: join(s3.folder, 'buckets', s3.bucket, path.slice(`s3://${s3.bucket}/`.length)) });
  expect(await copied.find('latest')).toMatchObject({ id: ID, cluster: 'stage', layout: 'tree' });
  expect(await verifiedPaths(copied, ID)).toHaveLength(Object.keys(FILES).length);
});

describe('a tree written to S3', () => {
  it('begins with its claim and ends with its index and its manifest, sixteen objects at once between', async () => {
    let now = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const { backend, proxy } = await openThrough(
      () => undefined,
      async ({ method, path }) => {
        if (method !== 'PUT' || !path.includes('/kind-')) return;
        now += 1;
        most = Math.max(most, now);
        // They wait for each other until there can be no more of them.
        if (now < 16) await new Promise<void>((resolve) => waiting.push(resolve));
        for (const resume of waiting.splice(0)) resume();
        now -= 1;
      },
    );
    const files = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`shop/kind-${index}.json`, '{}']));
    await backend.writeTree(ID, 'stage', treeOf({ '_snapshot.json': '{}', ...files }));
    expect(most).toBe(16);
    const puts = proxy.requests.filter(({ method }) => method === 'PUT');
    expect(puts.every(({ headers }) => headers['if-none-match'] === '*')).toBe(true);
    const names = puts.map(({ path }) => path.replace(/^.*26-01-31_12-00-00\/|\?.*$/g, ''));
    expect([names[0], ...names.slice(-2)]).toEqual(['_snapshot.json', '_index.json', 'manifest']);
  });

  it.each<[string, Fault]>([
    ['is reset before the service sees it', { kind: 'reset' }],
    ['loses its answer', { kind: 'lose-answer' }],
    ['is answered 503', { kind: 'answer', status: 503 }],
  ])('is whole when a request of each kind %s', async (_what, fault) => {
    for (const name of ['_snapshot.json', 'kind-7.json', 'manifest']) {
      const { backend, good } = await openThrough(once(isPutOf(name), fault));
      await backend.writeTree(ID, 'stage', treeOf(FILES));
      expect(await verifiedPaths(good, ID), name).toHaveLength(Object.keys(FILES).length);
    }
  });

  it.each(['_snapshot.json', 'kind-7.json', 'medium.json', '_index.json', 'manifest'])(
    'leaves nothing when the service refuses %s, and says what it said',
    async (name) => {
      const { backend, good, keys } = await openThrough((request) =>
        isPutOf(name)(request) ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') } : undefined,
      );
      await expect(backend.writeTree(ID, 'stage', treeOf(FILES))).rejects.toMatchObject({
        code: 'BACKEND',
        message: expect.stringMatching(new RegExp(`${name.replace('.', '\\.')} at http.+: access denied\\.$`)),
        hint: expect.stringContaining('s3:PutObject on arn:aws:s3:::snapshots/'),
      });
      expect(await good.list()).toEqual([]);
      expect(await keys()).toEqual([]);
    },
  );

  it('leaves nothing when a part of a large file is refused', async () => {
    const { backend, keys } = await openThrough(({ path }) =>
      path.includes('partNumber=2') ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') } : undefined,
    );
    await expect(backend.writeTree(ID, 'stage', writeTree(withDisk()).entries)).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/disk\.img at http.+: access denied\.$/),
    });
    expect(await keys()).toEqual([]);
  });

  it('is unfinished when what it left may not be deleted, and keeps its claim', async () => {
    const { backend, good } = await openThrough((request) =>
      isPutOf('manifest')(request) || request.method === 'DELETE'
        ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') }
        : undefined,
    );
    await expect(backend.writeTree(ID, 'stage', treeOf(FILES))).rejects.toMatchObject({
      message: expect.stringContaining('manifest'),
    });
    expect(await good.list()).toMatchObject([{ id: ID, state: 'unfinished', layout: 'tree' }]);
    await expect(good.writeTree(ID, 'stage', treeOf(FILES))).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      message: expect.stringMatching(/\/stage\/backup\/26-01-31_12-00-00 already exists/),
    });
  });

  it('deletes nothing of another writer when it finds out late that it is second', async () => {
    // It may not list, so that only the claim tells.
    const { backend, good } = await openThrough((request) =>
      request.path.includes('list-type=2')
        ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') }
        : undefined,
    );
    await good.writeTree(ID, 'stage', treeOf(FILES));
    await expect(backend.writeTree(ID, 'stage', treeOf(FILES))).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
    expect(await verifiedPaths(good, ID)).toHaveLength(Object.keys(FILES).length);
  });

  it('does not take over an object that somebody else put under its prefix, and leaves that', async () => {
    const { backend, keys, path } = await openThrough(() => undefined);
    const intruding = `${path.slice(`s3://${s3.bucket}/`.length)}/stage/backup/${ID}/shop/late.json`;
    async function* entries(): AsyncGenerator<Entry> {
      yield* entriesOf(FILES);
      await new S3Client({ forcePathStyle: true }).send(
        new PutObjectCommand({ Bucket: s3.bucket, Key: intruding, Body: 'mine' }),
      );
      yield entryOf('shop/late.json', 'theirs');
    }
    await expect(backend.writeTree(ID, 'stage', writeTree(entries()).entries)).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
    });
    expect(await keys()).toEqual([intruding]);
    const { Body } = await new S3Client({ forcePathStyle: true }).send(
      new GetObjectCommand({ Bucket: s3.bucket, Key: intruding }),
    );
    expect(await Body?.transformToString()).toBe('mine');
  });
});

describe('a tree read from S3', () => {
  it.each<[string, string, Fault]>([
    ['a small file breaks', 'kind-7.json', { kind: 'cut', after: 0 }],
    ['a small file stalls', 'medium.json', { kind: 'stall', after: MIB }],
    ['a large file breaks', 'disk.img', { kind: 'cut', after: 10 * MIB }],
    ['a large file stalls', 'disk.img', { kind: 'stall', after: 10 * MIB }],
  ])('goes on where it was when the connection of %s', async (_what, name, fault) => {
    const { backend, good, proxy } = await openThrough(
      once(({ method, path }) => method === 'GET' && path.includes(name), fault),
    );
    await good.writeTree(ID, 'stage', writeTree(withDisk()).entries);
    expect(await verifiedPaths(backend, ID)).toContain('_vms/disk.img');
    expect(proxy.requests.filter(({ path }) => path.includes(name)).length).toBeGreaterThan(1);
  });

  it('is not read ahead by more than eight small files', async () => {
    const { backend, good, proxy } = await openThrough(() => undefined);
    await good.writeTree(ID, 'stage', treeOf(FILES));
    const found = await backend.find(ID);
    const before = proxy.requests.length;
    for await (const _entry of backend.readTree(found)) break;
    const gets = proxy.requests.slice(before).filter(({ path }) => path.includes('.json'));
    expect(gets.length).toBeLessThanOrEqual(8);
  });

  it.each<[string, string, string | undefined, string]>([
    ['changed', 'shop/kind-7.json', '8', 'shop/kind-7.json is damaged:'],
    ['cut', 'shop/medium.json', '', 'shop/medium.json has 0 bytes;'],
    ['missing', 'shop/kind-7.json', undefined, 'shop/kind-7.json is missing:'],
    ['too much', 'zzz.json', '', 'zzz.json is not one of the files that _index.json names.'],
    ['missing, its index', '_index.json', undefined, 'it has no _index.json after'],
  ])('is told to be damaged when a file is %s', async (_what, name, content, message) => {
    const backend = openBackend(newPlaces.s3());
    const { location } = await backend.writeTree(ID, 'stage', treeOf(FILES));
    const object = { Bucket: s3.bucket, Key: `${location.slice(`s3://${s3.bucket}/`.length)}/${name}` };
    // As somebody else would who does not ask first.
    const client = new S3Client({ forcePathStyle: true });
    if (content === undefined) await client.send(new DeleteObjectCommand(object));
    else await client.send(new PutObjectCommand({ ...object, Body: Buffer.from(content) }));
    await expect(verifiedPaths(backend, ID)).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringContaining(message),
    });
  });
});

it('a list of S3 reads every page of a large tree, and takes what only looks like one for nothing', async () => {
  const { path } = newPlaces.s3();
  const directory = join(s3.folder, 'buckets', s3.bucket, path.slice(`s3://${s3.bucket}/`.length));
  const tree = join(directory, 'stage', 'backup', ID);
  for (const deeper of [
    tree,
    join(directory, 'stage', 'backup', 'notes'),
    join(directory, 'stage', 'backup', '25-99-01_00-00-00'),
    join(directory, 'other', ID),
  ]) {
    await mkdir(deeper, { recursive: true });
    await writeFile(join(deeper, 'manifest'), '12345');
  }
  for (let number = 0; number < 1100; number += 1) await writeFile(join(tree, `kind-${number}.json`), '1');
  expect(await openBackend({ path }).list()).toEqual([
    { id: ID, layout: 'tree', cluster: 'stage', location: `${path}/stage/backup/${ID}`, size: 1105, state: 'complete' },
  ]);
});

async function* withDisk(): AsyncGenerator<Entry> {
  yield* entriesOf(FILES);
  yield { path: '_vms/disk.img', size: DISK.byteLength, body: inPieces(DISK, 300_000) };
}

function treeOf(files: Readonly<Record<string, string | Buffer>>): AsyncGenerator<Entry> {
  return writeTree(entriesOf(files)).entries;
}

/** The files of a snapshot, read and verified to the end. */
async function verifiedPaths(backend: Backend, id: string): Promise<string[]> {
  const files = await collectFiles(readTree(backend.readTree(await backend.find(id))).entries);
  return files.map(([path]) => path);
}

/** A backend whose requests go through a proxy that fails them, and one for the same place that goes straight. */
async function openThrough(
  choose: (request: ProxiedRequest) => Fault | undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
) {
  const proxy = await startFaultyProxy(s3.endpoint, choose, before);
  proxies.push(proxy);
  const { path } = newPlaces.s3();
  const directory = join(s3.folder, 'buckets', s3.bucket);
  const prefix = path.slice(`s3://${s3.bucket}/`.length);
  return {
    path,
    proxy,
    backend: new S3Backend(path, { endpoint: proxy.url }, QUICK),
    good: new S3Backend(path),
    /** Of all objects there are in the place. */
    keys: async () => {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
      return files.map((file) => file.slice(directory.length + 1)).filter((key) => key.startsWith(`${prefix}/`));
    },
  };
}

/** Only the first request of a kind fails. */
function once(matches: (request: ProxiedRequest) => boolean, fault: Fault): (r: ProxiedRequest) => Fault | undefined {
  let done = false;
  return (request) => {
    if (done || !matches(request)) return undefined;
    done = true;
    return fault;
  };
}

function isPutOf(name: string): (request: ProxiedRequest) => boolean {
  return ({ method, path }) => method === 'PUT' && path.split('?')[0]?.endsWith(`/${name}`) === true;
}

function xmlError(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
}

async function killInTheMiddle(order: WriteOrder): Promise<void> {
  const program = fileURLToPath(new URL('children/write-snapshot.ts', import.meta.url));
  const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exited = nextEvent(child, 'exit');
  child.send(order);
  expect(await Promise.race([nextEvent(child, 'message'), exited])).toEqual(['middle', undefined]);
  child.kill('SIGKILL');
  await exited;
}
