import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readTree } from '../../src/archive/tree.ts';
import { S3Backend } from '../../src/backends/s3.ts';
import type { S3Options } from '../../src/backends/s3-connect.ts';
import { createSpool, type SpooledSnapshot } from '../../src/watch/spool.ts';
import { type StoreOptions, storeSpooled } from '../../src/watch/store-spooled.ts';
import { readStoredContents, type StoredContents } from '../../src/watch/stored-contents.ts';
import { collectFiles } from '../unit/archive/helpers.ts';
import { newKeys } from '../unit/archive/keys.ts';
import { collectReports } from '../unit/watch/reports.ts';
import { collected, type Files, manyFiles } from '../unit/watch/spooled.ts';
import { trackFiles } from '../unit/watch/tracked-files.ts';
import { type Fault, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';

const [ONE, TWO, THREE] = ['26-01-31_12-00-00', '26-01-31_12-00-01', '26-01-31_12-00-02'];
/** What is allowed in a tree and has a meaning in a request. */
const ODD = ["it's (1)!.json", 'a+b %41&c=d;e@f,g~h$i#j.json', 'größe 日本 🚢.json', '[x]{y}^`z`.json'];

let s3: TestS3;
let folder: string;
let proxies: FaultyProxy[] = [];
let places = 0;

beforeAll(async () => {
  [s3, folder] = await Promise.all([startS3(), mkdtemp(join(tmpdir(), 'transship-spools-'))]);
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

type Choose = (request: ProxiedRequest) => Fault | undefined;

/** A new place: through a proxy that fails requests, and straight. */
async function openPlace(
  choose: Choose = () => undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
  s3Options: S3Options = {},
) {
  const proxy = await startFaultyProxy(s3.endpoint, choose, before);
  proxies.push(proxy);
  const path = `s3://${s3.bucket}/spooled/${++places}`;
  const directory = join(s3.folder, 'buckets', s3.bucket, 'spooled', `${places}`);
  const good = new S3Backend(path);
  const backend = new S3Backend(path, { ...s3Options, endpoint: proxy.url });
  const { reporter, lines } = collectReports();
  const spool = createSpool(folder, trackFiles().openFile);
  const options: StoreOptions = { cluster: 'stage', layout: 'tree', compression: 'zstd', reporter };
  return {
    ...{ path, directory, good, backend, lines, proxy },
    spool: (id: string, files: Files, previous?: SpooledSnapshot) => spool.add(collected(id, files), previous),
    /** Stores through the proxy. */
    store: (spooled: SpooledSnapshot, more: Partial<StoreOptions> = {}) =>
      storeSpooled(backend, spooled, { ...options, ...more }),
    /** Stores straight. */
    storeWell: (spooled: SpooledSnapshot, more: Partial<StoreOptions> = {}) =>
      storeSpooled(good, spooled, { ...options, ...more }),
    read: (stored: StoredContents) => readStoredContents(backend, stored.snapshot, options),
    /** Of all objects that are there. */
    keys: async () => {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
      const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
      return files.map((file) => file.slice(directory.length + 1)).sort();
    },
    states: async () => (await good.list()).map(({ id, state }) => [id, state]),
  };
}

/** What is in a tree, verified, but for `_snapshot.json`. */
async function verified(backend: S3Backend, id: string, identities: readonly string[] = []): Promise<Files> {
  const reading = readTree(backend.readTree(await backend.find(id)), undefined, identities);
  const [, ...files] = await collectFiles(reading.entries);
  return Object.fromEntries(files.map(([path, content]) => [path, content.toString()]));
}

const isCopy = ({ headers }: ProxiedRequest) => headers['x-amz-copy-source'] !== undefined;
const isPutOf = (name: string) => (request: ProxiedRequest) =>
  request.method === 'PUT' && !isCopy(request) && decodeURIComponent(request.path).includes(name);
const bytesOf = (requests: readonly ProxiedRequest[]) =>
  requests.reduce((sum, { headers }) => sum + Number(headers['content-length'] ?? 0), 0);
const refuse = (status: number, code: string): Fault => ({
  kind: 'answer',
  status,
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>No.</Message></Error>`,
});

describe('a tree written beside another one in S3', () => {
  it('sends what has changed and little more, and is whole', async () => {
    const { spool, storeWell, store, proxy, good } = await openPlace();
    const first = await spool(ONE, manyFiles(300));
    const base = await storeWell(first);
    const { sent, snapshot } = await store(await spool(TWO, manyFiles(300, 3), first), { base });
    const puts = proxy.requests.filter(({ method }) => method === 'PUT');
    expect(puts.filter(isCopy)).toHaveLength(297);
    // Bodies travel in chunks with checksums.
    expect(bytesOf(puts)).toBeGreaterThanOrEqual(sent);
    // The index and the manifest are always sent: some 190 bytes a file, which are as small as files can be here.
    const fixed = await sizeOfFixed(good, snapshot.location);
    expect(sent).toBe(fixed + 3000);
    expect(proxy.requests.filter(({ method }) => method === 'GET' || method === 'HEAD').every(isList)).toBe(true);
    expect(await verified(good, TWO)).toEqual(manyFiles(300, 3));
    expect(await verified(good, ONE)).toEqual(manyFiles(300));
  });

  it('is the same byte for byte as one that was sent', async () => {
    const { spool, storeWell, store } = await openPlace();
    const first = await spool(ONE, manyFiles(50));
    const base = await storeWell(first);
    const second = await spool(TWO, manyFiles(50, 2), first);
    const beside = await store(second, { base });
    const alone = await (await openPlace()).storeWell(second);
    const { size, digest } = alone.snapshot;
    expect(beside.snapshot).toMatchObject({ size, digest });
  });

  it('copies files of any name, and asks the library for the first one only', async () => {
    const { spool, storeWell, store, proxy, good } = await openPlace();
    const files = { ...manyFiles(3), ...Object.fromEntries(ODD.map((name) => [`shop/${name}`, name])) };
    const first = await spool(ONE, files);
    const base = await storeWell(first);
    await store(await spool(TWO, files, first), { base });
    const copies = proxy.requests.filter(isCopy);
    expect(copies).toHaveLength(3 + ODD.length);
    expect(copies.filter(({ headers }) => headers['amz-sdk-invocation-id'] !== undefined)).toHaveLength(1);
    expect(await verified(good, TWO)).toEqual(files);
  });

  it('can be written beside one that was itself copied, and beside one found after a restart', async () => {
    const { spool, storeWell, store, read, proxy, good } = await openPlace();
    const second = await store(await spool(TWO, manyFiles(20, 1)), {
      base: await storeWell(await spool(ONE, manyFiles(20))),
    });
    const before = proxy.requests.length;
    const found = await read(second);
    expect(proxy.requests.slice(before).filter((request) => !isList(request))).toHaveLength(3);
    await store(await spool(THREE, manyFiles(20, 2)), { base: found });
    const fourth = await store(await spool('26-01-31_12-00-03', manyFiles(20, 3)), { base: second });
    expect(fourth.sent).toBeLessThan(fourth.snapshot.size - 16_000);
    expect(proxy.requests.filter(isCopy)).toHaveLength(19 + 19 + 18);
    expect(await verified(good, THREE)).toEqual(manyFiles(20, 2));
    expect(await verified(good, '26-01-31_12-00-03')).toEqual(manyFiles(20, 3));
  });

  it('takes over encrypted files as they are, and is read with the key', async () => {
    const { identity, recipient } = await newKeys();
    const { spool, storeWell, store, proxy, good, read } = await openPlace();
    const base = await storeWell(await spool(ONE, manyFiles(30)), { encryptTo: [recipient] });
    const second = await store(await spool(TWO, manyFiles(30, 2)), { base, encryptTo: [recipient] });
    expect(proxy.requests.filter(isCopy)).toHaveLength(28);
    expect(await verified(good, TWO, [identity])).toEqual(manyFiles(30, 2));
    expect(await read(second)).toBeUndefined();
  });

  it('sends again a file whose version it does not know, as the answer to it was lost', async () => {
    const { spool, store, proxy, good } = await openPlace(once(isPutOf('kind-7.json'), { kind: 'lose-answer' }));
    const base = await store(await spool(ONE, manyFiles(10)));
    expect(base.snapshot.files?.has('namespace-7/kind-7.json')).toBe(false);
    await store(await spool(TWO, manyFiles(10)), { base });
    expect(proxy.requests.filter(isCopy)).toHaveLength(9);
    expect(await verified(good, TWO)).toEqual(manyFiles(10));
  });

  it('copies with the encryption that is asked for, from what the same key opens', async () => {
    const key = Buffer.alloc(32, 'key').toString('base64');
    for (const [s3Options, expected] of [
      [{ sse: 'AES256' }, { 'x-amz-server-side-encryption': 'AES256' }],
      [
        { sseCustomerKey: key },
        {
          'x-amz-server-side-encryption-customer-key': key,
          'x-amz-copy-source-server-side-encryption-customer-key': key,
          'x-amz-copy-source-server-side-encryption-customer-algorithm': 'AES256',
        },
      ],
    ] as const) {
      const etag = '"0123456789abcdef0123456789abcdef"';
      const { spool, store, storeWell, proxy } = await openPlace(
        ({ method }) =>
          method === 'PUT' ? { kind: 'answer', status: 200, headers: { etag }, body: copied(etag) } : undefined,
        undefined,
        s3Options,
      );
      const base = await storeWell(await spool(ONE, manyFiles(5)));
      await store(await spool(TWO, manyFiles(5)), { base });
      const copies = proxy.requests.filter(isCopy);
      expect(copies).toHaveLength(5);
      for (const { headers } of copies) expect(headers).toMatchObject(expected);
    }
  });
});

describe('when the tree that it is written beside', () => {
  it.each<[string, (base: string) => Promise<unknown>]>([
    ['is removed under way', (base) => rm(base, { recursive: true })],
    ['loses a file', (base) => rm(join(base, 'namespace-9', 'kind-19.json'))],
  ])('%s, a snapshot is sent whole, and that is told', async (_what, edit) => {
    let place: Awaited<ReturnType<typeof openPlace>>;
    let done = false;
    place = await openPlace(undefined, async (request) => {
      if (done || !isCopy(request)) return;
      done = true;
      await edit(join(place.directory, 'stage', 'backup', ONE));
    });
    const { spool, storeWell, store, good, lines } = place;
    const base = await storeWell(await spool(ONE, manyFiles(100)));
    const { sent, snapshot } = await store(await spool(TWO, manyFiles(100, 1)), { base });
    expect(sent).toBe(snapshot.size);
    expect(await verified(good, TWO)).toEqual(manyFiles(100, 1));
    expect(lines).toEqual([
      expect.stringMatching(
        /^warn: s3:.+ can't be copied: it was removed or changed\. All of snapshot 26-01-31_12-00-01 is sent\.$/,
      ),
    ]);
  });

  it('has a file that somebody replaced by one of the same size, that is not copied', async () => {
    const { path, spool, storeWell, good, lines, store } = await openPlace();
    const base = await storeWell(await spool(ONE, manyFiles(20)));
    const { S3Client, PutObjectCommand } = await import('@aws-sdk/client-s3');
    const Key = `${path.slice(`s3://${s3.bucket}/`.length)}/stage/backup/${ONE}/namespace-9/kind-19.json`;
    const replaced = { Bucket: s3.bucket, Key, Body: 'x'.repeat(1000) };
    await new S3Client({ forcePathStyle: true }).send(new PutObjectCommand(replaced));
    await store(await spool(TWO, manyFiles(20)), { base });
    expect(await verified(good, TWO)).toEqual(manyFiles(20));
    expect(lines).toHaveLength(1);
  });

  it.each([
    ['may not be read', refuse(403, 'AccessDenied')],
    ['cannot be copied by this service', refuse(501, 'NotImplemented')],
    ['is in cold storage', refuse(403, 'InvalidObjectState')],
  ])('%s, a snapshot is sent whole, and that is told with what to do', async (_what, fault) => {
    const { spool, storeWell, store, good, lines } = await openPlace((request) =>
      isCopy(request) ? fault : undefined,
    );
    const base = await storeWell(await spool(ONE, manyFiles(20)));
    await store(await spool(TWO, manyFiles(20)), { base });
    expect(await verified(good, TWO)).toEqual(manyFiles(20));
    expect(lines).toEqual([expect.stringMatching(/All of snapshot .+ is sent\. Copying needs s3:GetObject/)]);
  });

  it('is gone, writing beside it fails with BASE_GONE and leaves nothing', async () => {
    const { spool, storeWell, backend, directory, keys } = await openPlace();
    const spooled = await spool(ONE, manyFiles(20));
    const base = await storeWell(spooled);
    await rm(join(directory, 'stage', 'backup', ONE), { recursive: true });
    const { writeTree } = await import('../../src/archive/tree.ts');
    const files = new Map([...(base.snapshot.files ?? [])].filter(([name]) => name.startsWith('namespace-')));
    const tree = writeTree(spooled.entries());
    const writing = backend.writeTree(TWO, 'stage', tree.entries, undefined, { snapshot: base.snapshot, files });
    await expect(writing).rejects.toMatchObject({ code: 'BASE_GONE' });
    expect(await keys()).toEqual([]);
  });
});

describe('a push to a service that fails', () => {
  it.each<[string, (request: ProxiedRequest) => boolean, Fault]>([
    ['resets a copy', isCopy, { kind: 'reset' }],
    ['loses the answer to a copy', isCopy, { kind: 'lose-answer' }],
    ['is too busy for a copy', isCopy, refuse(503, 'SlowDown')],
    ['fails in the middle of a copy, after it has answered 200', isCopy, refuse(200, 'InternalError')],
    ['loses the answer to the index', isPutOf('_index.json'), { kind: 'lose-answer' }],
    ['loses the answer to the manifest', isPutOf('manifest'), { kind: 'lose-answer' }],
  ])('for a moment, and %s, is whole', async (_what, matches, fault) => {
    let seen = 0;
    // Not the first copy, which goes another way.
    const { spool, storeWell, store, good, lines } = await openPlace((request) =>
      matches(request) && ++seen === (matches === isCopy ? 5 : 1) ? fault : undefined,
    );
    const base = await storeWell(await spool(ONE, manyFiles(20)));
    await store(await spool(TWO, manyFiles(20, 1)), { base });
    expect(await verified(good, TWO)).toEqual(manyFiles(20, 1));
    expect(lines).toEqual([]);
  });

  it.each(['tree', 'archive'] as const)(
    'and is full ends with its word, leaves no %s, and succeeds when there is room',
    async (layout) => {
      let full = true;
      const isLate = (request: ProxiedRequest) => isPutOf(layout === 'tree' ? '_index.json' : 'transship-')(request);
      const { spool, store, states, keys } = await openPlace((request) =>
        full && isLate(request) ? refuse(507, 'QuotaExceeded') : undefined,
      );
      const spooled = await spool(ONE, manyFiles(20));
      await expect(store(spooled, { layout })).rejects.toMatchObject({
        code: 'BACKEND',
        message: expect.stringMatching(/QuotaExceeded|No\./),
      });
      expect(await keys()).toEqual([]);
      full = false;
      await store(spooled, { layout });
      expect(await states()).toEqual([[ONE, 'complete']]);
    },
  );

  it('and does not answer any more is given up with the signal, and its tree is not listed as complete', async () => {
    const controller = new AbortController();
    const { spool, store, states } = await openPlace(undefined, async (request) => {
      if (!isPutOf('kind-9.json')(request)) return;
      setImmediate(() => controller.abort());
      await new Promise(() => {});
    });
    const spooled = await spool(ONE, manyFiles(20));
    await expect(store(spooled, { signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    // What was on its way may arrive yet.
    expect(await states()).not.toContainEqual([ONE, 'complete']);
  });

  it('and is slow with each request is whole', async () => {
    const { spool, storeWell, store, good } = await openPlace(
      undefined,
      () => new Promise((resolve) => setTimeout(resolve, 20)),
    );
    const base = await storeWell(await spool(ONE, manyFiles(100)));
    await store(await spool(TWO, manyFiles(100, 5)), { base });
    expect(await verified(good, TWO)).toEqual(manyFiles(100, 5));
  });

  it('and refuses everything from some point on is listed as unfinished only', async () => {
    let broken = false;
    const { spool, storeWell, store, states } = await openPlace((request) => {
      broken ||= isPutOf('_index.json')(request);
      return broken ? refuse(403, 'AccessDenied') : undefined;
    });
    const base = await storeWell(await spool(ONE, manyFiles(20)));
    await expect(store(await spool(TWO, manyFiles(20, 1)), { base })).rejects.toMatchObject({ code: 'BACKEND' });
    expect(await states()).toEqual([
      [TWO, 'unfinished'],
      [ONE, 'complete'],
    ]);
  });
});

describe('before a snapshot in S3 is whole', () => {
  it('it is asked whether it may be, when all but the manifest is in place', async () => {
    const { spool, storeWell, keys } = await openPlace();
    let seen: string[] = [];
    const beforeLast = async () => {
      seen = await keys();
    };
    await storeWell(await spool(ONE, manyFiles(20)), { beforeLast });
    expect((await keys()).filter((key) => !seen.includes(key))).toEqual([`stage/backup/${ONE}/manifest`]);
  });

  it.each(['tree', 'archive'] as const)('no %s is left when the answer is no', async (layout) => {
    const { spool, storeWell, keys } = await openPlace();
    const refusal = new Error('another manager writes here');
    const storing = storeWell(await spool(ONE, manyFiles(20)), { layout, beforeLast: () => Promise.reject(refusal) });
    await expect(storing).rejects.toBe(refusal);
    expect(await keys()).toEqual([]);
  });
});

const isList = ({ path }: ProxiedRequest) => path.includes('list-type=2');

function copied(etag: string): string {
  return `<?xml version="1.0"?><CopyObjectResult><ETag>${etag.replaceAll('"', '&quot;')}</ETag></CopyObjectResult>`;
}

/** Bytes of the files of a tree that are always sent. */
async function sizeOfFixed(backend: S3Backend, location: string): Promise<number> {
  const { files } = await backend.openTree({ id: '', layout: 'tree', location, size: 0, state: 'complete' });
  return ['_snapshot.json', '_index.json', 'manifest'].reduce((sum, path) => sum + (files.get(path)?.size ?? 0), 0);
}

/** Only the first request of a kind fails. */
function once(matches: (request: ProxiedRequest) => boolean, fault: Fault): Choose {
  let done = false;
  return (request) => {
    if (done || !matches(request)) return undefined;
    done = true;
    return fault;
  };
}
