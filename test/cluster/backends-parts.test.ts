import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { PartStore, WrittenPart } from '../../src/archive/part.ts';
import type { Backend } from '../../src/backends/backend.ts';
import { S3Backend } from '../../src/backends/s3.ts';
import type { S3Options } from '../../src/backends/s3-connect.ts';
import { newKeys } from '../unit/archive/keys.ts';
import { diskOf, LAG_BYTES, partOf, readDisk, SCOPE } from '../unit/backends/parts.ts';
import type { PartOrder } from '../unit/backends/write-part.ts';
import { type Fault, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';

const MIB = 1024 * 1024;
const ID = '26-01-31_12-00-00';
const LATER = '26-02-01_00-00-00';
const NAME = 'shop.db.tar.zst';
const FILE = `transship-${ID}.vms/${NAME}`;
/** Some segments. */
const LARGE = { size: 46 * MIB + LAG_BYTES };
const SMALL = { size: MIB };
const QUICK = { stallMilliseconds: 300, attempts: 3, gapMilliseconds: 1 };

let s3: TestS3;
let temporary: string;
let proxies: FaultyProxy[] = [];
let children: ChildProcess[] = [];
let places = 0;

beforeAll(async () => {
  [s3, temporary] = await Promise.all([startS3(), mkdtemp(join(tmpdir(), 'transship-parts-'))]);
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  proxies = [];
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([s3.stop(), rm(temporary, { recursive: true })]);
});

describe('a part in S3', () => {
  it.each([
    ['one small enough for one request', SMALL],
    ['one in segments, which the service joins', LARGE],
  ])('%s is an object beside its snapshot, and nothing else is left', async (_what, size) => {
    const { backend, place, keys } = newPlace();
    const store = await backend.beginParts(ID, SCOPE);
    expect(store).toMatchObject({ id: ID, isBare: false, interrupted: new Map() });
    const written = await store.write(partOf(size));
    // As of an upload that was killed.
    const key = `${place.slice(`s3://${s3.bucket}/`.length)}/transship-${ID}.vms/old.tar.xz`;
    await new S3Client({ forcePathStyle: true }).send(
      new CreateMultipartUploadCommand({ Bucket: s3.bucket, Key: key }),
    );
    expect(await uploadsLeft()).toHaveLength(1);
    expect(written).toMatchObject({ file: FILE, kept: 0 });
    const snapshot = await finish(backend, store);
    expect(await keys()).toEqual([`transship-${ID}.tar.zst`, FILE]);
    expect(await uploadsLeft()).toEqual([]);
    await expectDisk(backend, written, size.size);
    const reader = await backend.openPart(snapshot, FILE, temporary);
    const pieces: Uint8Array[] = [];
    for await (const piece of reader.bytes()) pieces.push(piece);
    const whole = Buffer.concat(pieces);
    const at = Math.floor(written.size / 2);
    expect((await reader.read(at, 5_000)).equals(whole.subarray(at, at + 5_000))).toBe(true);
    expect((await reader.read(written.size - 9, 9)).equals(whole.subarray(-9))).toBe(true);
    expect(await reader.read(5, 0)).toHaveLength(0);
    await expect(reader.read(written.size - 1, 2)).rejects.toMatchObject({ code: 'BACKEND' });
  });

  it('that is encrypted goes straight to its place', async () => {
    const { backend, keys } = newPlace();
    const { recipient } = await newKeys();
    const store = await backend.beginParts(ID, SCOPE);
    const written = await store.write(partOf({ size: 18 * MIB, encryptTo: [recipient] }));
    expect(written.file).toBe(`${FILE}.age`);
    const snapshot = await finish(backend, store);
    expect(await keys()).toEqual([`transship-${ID}.tar.zst`, `${FILE}.age`]);
    const reader = await backend.openPart(snapshot, written.file, temporary);
    expect((await reader.read(0, 21)).toString()).toBe('age-encryption.org/v1');
    expect(reader.size).toBe(written.size);
  });

  it('is found from a snapshot that is a tree', async () => {
    const { backend } = newPlace();
    const store = await backend.beginParts(ID, SCOPE);
    const { file, size } = await store.write(partOf(SMALL));
    const tree = { id: ID, layout: 'tree', size: 0, state: 'complete' } as const;
    const location = `${(await backend.list())[0]?.location.replace(/[^/]+$/, '')}stage/backup/${ID}`;
    expect((await backend.openPart({ ...tree, location }, file, temporary)).size).toBe(size);
  });

  it('never leads out of its place, and is named when it is not there', async () => {
    const { backend } = newPlace();
    const snapshot = await backend.write(ID, '.tar.zst', only('main'));
    await expect(backend.openPart(snapshot, '../x.tar', temporary)).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
    await expect(backend.openPart(snapshot, FILE, temporary)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    const reader = await backend.openPart(snapshot, '', temporary);
    expect((await reader.read(0, 4)).toString()).toBe('main');
  });

  it('is read on where a connection broke', async () => {
    const { backend, keys, place } = newPlace();
    const store = await backend.beginParts(ID, SCOPE);
    const written = await store.write(partOf(LARGE));
    await finish(backend, store);
    expect(await keys()).toContain(FILE);
    const broken = await openThrough(place, (request) =>
      request.method === 'GET' && request.path.includes('.vms/') ? { kind: 'cut', after: 9 * MIB } : undefined,
    );
    await expectDisk(broken, written, LARGE.size);
    expect(broken.proxy.requests.length).toBeGreaterThan(5);
  });
});

describe('an export to S3 that was killed', () => {
  it('is gone on with: only what is missing is read and sent', async () => {
    const { backend, place, keys } = newPlace();
    await killWhileWriting({ options: { path: place }, id: ID, part: { ...LARGE, at: 38 * MIB + LAG_BYTES } }, keys);
    expect(await backend.list()).toMatchObject([{ id: ID, state: 'unfinished' }]);
    await expect(backend.find('latest')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    const second = await openThrough(place, () => undefined);
    const opened: number[] = [];
    const store = await second.beginParts(LATER, SCOPE);
    expect(store.id).toBe(ID);
    expect(store.interrupted).toEqual(new Map([['shop.db', 'snapshot:shop/db:1']]));
    const written = await store.write(partOf({ ...LARGE, opened }));
    expect(written.kept).toBeGreaterThan(31 * MIB);
    expect(opened[0]).toBeGreaterThan(31 * MIB);
    const sent = second.proxy.requests
      .filter(({ method }) => method === 'PUT')
      .reduce((sum, { headers }) => sum + Number(headers['content-length'] ?? 0), 0);
    expect(sent).toBeLessThan(written.size - written.kept + 64 * 1024);
    await finish(backend, store);
    expect(await keys()).toEqual([`transship-${ID}.tar.zst`, FILE]);
    await expectDisk(backend, written, LARGE.size);
  });

  it('may be killed again: what each run has stored is kept', async () => {
    const { backend, place, keys } = newPlace();
    await killWhileWriting({ options: { path: place }, id: ID, part: { ...LARGE, at: 22 * MIB + LAG_BYTES } }, keys, 1);
    await killWhileWriting(
      { options: { path: place }, id: LATER, part: { ...LARGE, at: 38 * MIB + LAG_BYTES } },
      keys,
      2,
    );
    const store = await backend.beginParts(LATER, SCOPE);
    const written = await store.write(partOf(LARGE));
    expect(written.kept).toBeGreaterThan(31 * MIB);
    await expectDisk(backend, written, LARGE.size);
  });

  it('starts over and says why when the source, or its files, are others', async () => {
    const { backend, place, keys } = newPlace();
    await killWhileWriting({ options: { path: place }, id: ID, part: { ...LARGE, at: 38 * MIB + LAG_BYTES } }, keys);
    const why: string[] = [];
    const onRestart = (one: string) => why.push(one);
    const store = await backend.beginParts(LATER, SCOPE);
    const larger = partOf({ size: LARGE.size + MIB, ending: 'breaks', at: 22 * MIB + LAG_BYTES, onRestart });
    await expect(store.write(larger)).rejects.toThrow('the source broke');
    expect(why).toEqual([expect.stringMatching(/^volumes\/root\/disk\.img/)]);
    const written = await store.write(partOf({ ...LARGE, source: 'snapshot:shop/db:2', seed: 2, onRestart }));
    expect(written.kept).toBe(0);
    expect(why[1]).toBe('The source is not the one that was exported then.');
    await expectDisk(backend, written, LARGE.size, 2);
  });
});

describe('an export to S3 that failed', () => {
  it('is gone on with in the same process', async () => {
    const { backend } = newPlace();
    const first = await backend.beginParts(ID, SCOPE);
    await expect(first.write(partOf({ ...LARGE, at: 38 * MIB + LAG_BYTES, ending: 'breaks' }))).rejects.toThrow(
      'the source broke',
    );
    const second = await backend.beginParts(LATER, SCOPE);
    expect(second.id).toBe(ID);
    expect((await second.write(partOf(LARGE))).kept).toBeGreaterThan(31 * MIB);
    await expect(first.write(partOf(LARGE))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining('Another export is writing s3://'),
    });
  });

  it('has its whole parts kept as they are, and one of another source replaced at the end only', async () => {
    const { backend, keys } = newPlace();
    const first = await backend.beginParts(ID, SCOPE);
    const small = await first.write(partOf({ ...SMALL, name: 'shop.a' }));
    const large = await first.write(partOf(LARGE));
    await expect(first.write(partOf({ name: 'shop.c', at: 1, ending: 'breaks' }))).rejects.toThrow();
    const second = await backend.beginParts(LATER, SCOPE);
    expect([...second.interrupted.keys()].sort()).toEqual(['shop.a', 'shop.db']);
    const entries = () => {
      throw new Error('nothing is to be read');
    };
    expect(await second.write(partOf({ ...SMALL, name: 'shop.a', entries }))).toEqual({ ...small, kept: small.size });
    expect(await second.write(partOf({ ...LARGE, entries }))).toEqual({ ...large, kept: large.size });
    const other = { ...LARGE, source: 'snapshot:shop/db:2', seed: 2 };
    await expect(second.write(partOf({ ...other, at: 38 * MIB + LAG_BYTES, ending: 'breaks' }))).rejects.toThrow();
    await expectDisk(backend, large, LARGE.size);
    const anew = await second.write(partOf(other));
    await expectDisk(backend, anew, LARGE.size, 2);
    await finish(backend, second);
    expect(await keys()).toEqual([`transship-${ID}.tar.zst`, `transship-${ID}.vms/shop.a.tar.zst`, FILE]);
  });

  it('at its very end has only to be joined: the source is not read', async () => {
    const { place, keys } = newPlace();
    const refusing = await openThrough(place, (request) =>
      request.method === 'POST' && request.path.includes('uploadId=') ? refusal('AccessDenied') : undefined,
    );
    const store = await refusing.beginParts(ID, SCOPE);
    await expect(store.write(partOf(LARGE))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining('access denied'),
    });
    expect(await uploadsLeft()).toEqual([]);
    const backend = new S3Backend(place);
    const second = await backend.beginParts(LATER, SCOPE);
    const entries = () => {
      throw new Error('nothing is to be read');
    };
    const written = await second.write(partOf({ ...LARGE, entries }));
    expect(written.kept).toBe(written.size);
    await expectDisk(backend, written, LARGE.size);
    await finish(backend, second);
    expect(await keys()).toEqual([`transship-${ID}.tar.zst`, FILE]);
  });
});

describe('a bad connection', () => {
  it.each<[string, Fault]>([
    ['is reset', { kind: 'reset' }],
    ['loses its answer', { kind: 'lose-answer' }],
    ['is answered 503', { kind: 'answer', status: 503 }],
  ])('costs nothing but another try when each kind of request once %s', async (_what, fault) => {
    const { backend, place } = newPlace();
    const met = new Set<string>();
    const faulty = await openThrough(place, (request) => {
      const kind = kindOf(request);
      if (kind === undefined || met.has(kind)) return undefined;
      met.add(kind);
      return fault;
    });
    const store = await faulty.beginParts(ID, SCOPE);
    const written = await store.write(partOf(LARGE));
    expect([...met].sort()).toEqual(['complete', 'copy', 'journal', 'segment']);
    await finish(backend, store);
    await expectDisk(backend, written, LARGE.size);
  });

  it('keeps what is stored when the service refuses for good in the middle', async () => {
    const { backend, place } = newPlace();
    const refusing = await openThrough(place, (request) =>
      request.method === 'PUT' && /\.parts\/00003-/.test(request.path) ? refusal('AccessDenied') : undefined,
    );
    const store = await refusing.beginParts(ID, SCOPE);
    await expect(store.write(partOf(LARGE))).rejects.toMatchObject({ code: 'BACKEND' });
    const second = await backend.beginParts(LATER, SCOPE);
    const written = await second.write(partOf(LARGE));
    expect(written.kept).toBeGreaterThan(31 * MIB);
    expect(written.kept).toBeLessThan(48 * MIB);
    await expectDisk(backend, written, LARGE.size);
  });

  it('ends at once when it is cancelled, and what is stored is kept', async () => {
    const { backend } = newPlace();
    const controller = new AbortController();
    const store = await backend.beginParts(ID, SCOPE);
    const silent = { ...LARGE, at: 38 * MIB + LAG_BYTES, ending: 'falls silent' } as const;
    const onSilence = () => setTimeout(() => controller.abort(), 1_000);
    await expect(store.write(partOf({ ...silent, signal: controller.signal, onSilence }))).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    const second = await backend.beginParts(LATER, SCOPE);
    expect((await second.write(partOf(LARGE))).kept).toBeGreaterThan(31 * MIB);
  });

  it('is no reason to fail for a service that cannot copy into an upload: it is sent all of it', async () => {
    const { backend, place, keys } = newPlace();
    const unable = await openThrough(place, (request) =>
      kindOf(request) === 'copy' ? refusal('NotImplemented', 501) : undefined,
    );
    const store = await unable.beginParts(ID, SCOPE);
    const written = await store.write(partOf(LARGE));
    await finish(backend, store);
    expect(await keys()).toEqual([`transship-${ID}.tar.zst`, FILE]);
    expect(await uploadsLeft()).toEqual([]);
    await expectDisk(backend, written, LARGE.size);
  });

  it('works with credentials that may only write', async () => {
    const { backend, place } = newPlace();
    const writeOnly = await openThrough(place, ({ method }) =>
      ['GET', 'HEAD', 'DELETE'].includes(method) ? refusal('AccessDenied') : undefined,
    );
    const store = await writeOnly.beginParts(ID, SCOPE);
    const written = await store.write(partOf(LARGE));
    await finish(writeOnly, store);
    expect(await backend.list()).toMatchObject([{ id: ID, state: 'complete' }]);
    await expectDisk(backend, written, LARGE.size);
  });
});

describe('two exports to S3 at once', () => {
  it('of one scope have a group each, until one is closed, which the next goes on with', async () => {
    const { backend, place } = newPlace();
    const first = await backend.beginParts(ID, SCOPE);
    const written = await first.write(partOf(SMALL));
    expect((await new S3Backend(place, {}, QUICK).beginParts(ID, SCOPE)).id).not.toBe(ID);
    await first.close();
    const next = await new S3Backend(place, {}, QUICK).beginParts(LATER, SCOPE);
    expect(next.id).toBe(ID);
    expect(await next.write(partOf(SMALL))).toEqual({ ...written, kept: written.size });
  });

  it('of one scope have a group each', async () => {
    const { backend } = newPlace();
    const stores = [await backend.beginParts(ID, SCOPE), await backend.beginParts(ID, SCOPE)];
    expect(stores.map(({ id }) => id)).toEqual([ID, '26-01-31_12-00-01']);
    const written = await Promise.all(stores.map((store, index) => store.write(partOf({ ...LARGE, seed: index + 1 }))));
    for (const [index, one] of written.entries()) await expectDisk(backend, one, LARGE.size, index + 1);
  });

  it('that find the same interrupted one: exactly one goes on with it', async () => {
    const { backend } = newPlace();
    const left = await backend.beginParts(ID, SCOPE);
    await expect(left.write(partOf({ at: 1, ending: 'breaks' }))).rejects.toThrow();
    const stores = await Promise.all([1, 2, 3].map(() => backend.beginParts(LATER, SCOPE)));
    expect(stores.filter(({ id }) => id === ID)).toHaveLength(1);
    expect(new Set(stores.map(({ id }) => id)).size).toBe(3);
  });
});

describe('a list', () => {
  it('takes nothing in a group for a snapshot, and shows none of a complete one', async () => {
    const { backend, place } = newPlace();
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf({ ...SMALL, name: `a-${LATER}` }));
    await expect(store.write(partOf({ ...LARGE, at: 38 * MIB + LAG_BYTES, ending: 'breaks' }))).rejects.toThrow();
    expect(await backend.list()).toMatchObject([
      { id: ID, location: `${place}/transship-${ID}.vms`, state: 'unfinished' },
    ]);
    await backend.write(ID, '.tar.zst', only('main'));
    expect(await backend.list()).toMatchObject([{ id: ID, size: 4, state: 'complete' }]);
    expect(await backend.find('latest')).toMatchObject({ id: ID, size: 4 });
  });
});

describe("a customer's key", () => {
  it('is in every request that touches what it encrypts, also as that of what is copied', async () => {
    const key = randomBytes(32).toString('base64');
    const { place } = newPlace();
    const lacking: string[] = [];
    const copies: unknown[] = [];
    const backend = await openThrough(
      place,
      (request) => {
        const { method, path, headers } = request;
        const touches =
          ['PUT', 'HEAD', 'POST'].includes(method) || (method === 'GET' && !/list-type|uploads/.test(path));
        const name = 'x-amz-server-side-encryption-customer-key';
        if (touches && headers[name] !== key) lacking.push(`${method} ${path}`);
        if (kindOf(request) === 'copy') copies.push(headers['x-amz-copy-source-server-side-encryption-customer-key']);
        return undefined;
      },
      { sseCustomerKey: key },
    );
    const store = await backend.beginParts(ID, SCOPE);
    await expect(store.write(partOf({ ...LARGE, at: 38 * MIB + LAG_BYTES, ending: 'breaks' }))).rejects.toThrow();
    const second = await backend.beginParts(LATER, SCOPE);
    const written = await second.write(partOf(LARGE));
    await finish(backend, second);
    await expectDisk(backend, written, LARGE.size);
    expect(lacking).toEqual([]);
    expect(copies.length).toBeGreaterThan(3);
    expect(new Set(copies)).toEqual(new Set([key]));
  });
});

function newPlace(): { place: string; backend: S3Backend; keys: () => Promise<string[]> } {
  const prefix = `parts/${++places}`;
  const place = `s3://${s3.bucket}/${prefix}`;
  const folder = join(s3.folder, 'buckets', s3.bucket, prefix);
  const keys = async () => {
    const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = found.filter((one) => one.isFile());
    return files.map((one) => join(one.parentPath, one.name).slice(folder.length + 1)).sort();
  };
  return { place, backend: new S3Backend(place, {}, QUICK), keys };
}

async function openThrough(
  place: string,
  choose: (request: ProxiedRequest) => Fault | undefined,
  options: S3Options = {},
): Promise<S3Backend & { readonly proxy: FaultyProxy }> {
  const proxy = await startFaultyProxy(s3.endpoint, choose);
  proxies.push(proxy);
  return Object.assign(new S3Backend(place, { endpoint: proxy.url, ...options }, QUICK), { proxy });
}

/** What a request about a part in segments is; undefined for any other. */
function kindOf({ method, path, headers }: ProxiedRequest): string | undefined {
  if (method === 'POST' && path.includes('uploadId=')) return 'complete';
  if (method !== 'PUT') return undefined;
  if (headers['x-amz-copy-source'] !== undefined) return 'copy';
  if (!path.includes('.parts/')) return undefined;
  return path.includes('.journal') ? 'journal' : 'segment';
}

function refusal(code: string, status = 403): Fault {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  return { kind: 'answer', status, body };
}

async function uploadsLeft(): Promise<unknown[]> {
  const client = new S3Client({ forcePathStyle: true });
  return (await client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket }))).Uploads ?? [];
}

/** Stores the snapshot that the parts belong to, and ends the export. */
async function finish(backend: Backend, store: PartStore) {
  const snapshot = await backend.write(store.id, '.tar.zst', only('main'));
  await store.finish();
  return snapshot;
}

async function expectDisk(backend: Backend, written: WrittenPart, size: number, seed = 1): Promise<void> {
  const location = written.location.replace(/\.vms\/.*$/, '.tar.zst');
  const snapshot = { id: ID, layout: 'archive', location, size: 0, state: 'complete' } as const;
  const disk = await readDisk(await backend.openPart(snapshot, written.file, temporary), written);
  expect(disk.equals(diskOf(size, seed))).toBe(true);
}

async function killWhileWriting(order: PartOrder, keys: () => Promise<string[]>, segments = 2): Promise<void> {
  const program = fileURLToPath(new URL('../unit/backends/write-part.ts', import.meta.url));
  const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  const exited = once(child, 'exit');
  child.send(order);
  expect(await Promise.race([once(child, 'message'), exited])).toEqual(['silent', undefined]);
  const journals = async () => (await keys()).filter((key) => key.endsWith('.journal')).length;
  await vi.waitFor(async () => expect(await journals()).toBe(segments), { timeout: 30_000, interval: 50 });
  child.kill('SIGKILL');
  await exited;
}

async function* only(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
