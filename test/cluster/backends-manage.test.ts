import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once as nextEvent } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeTree } from '../../src/archive/tree.ts';
import type { LeaseStore, Leftover, StoredSnapshot } from '../../src/backends/backend.ts';
import { S3Backend } from '../../src/backends/s3.ts';
import type { S3Options } from '../../src/backends/s3-connect.ts';
import { entriesOf, inPieces } from '../unit/archive/helpers.ts';
import { countOn } from '../unit/backends/leases.ts';
import { partOf, SCOPE } from '../unit/backends/parts.ts';
import type { WriteOrder } from './children/write-snapshot.ts';
import { type Fault, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';

const ID = '26-01-31_12-00-00';
const LATER = '26-02-01_00-00-00';
const PLAN = `${ID}-${'0a'.repeat(16)}`;
const SMALL = { size: 100_000 };
const QUICK = { stallMilliseconds: 300, attempts: 3, gapMilliseconds: 1 };
const DENIED: Fault = { kind: 'answer', status: 403, body: xmlError('AccessDenied') };

let s3: TestS3;
let client: S3Client;
let proxies: FaultyProxy[] = [];
let places = 0;

beforeAll(async () => {
  s3 = await startS3();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  client = new S3Client({ forcePathStyle: true });
});

afterEach(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  proxies = [];
});

afterAll(async () => {
  vi.unstubAllEnvs();
  client.destroy();
  await s3.stop();
});

describe('a survey of a place in S3', () => {
  it('shows all kinds of things for what they are, and nothing of a place that begins like it', async () => {
    const place = newPlace();
    const { backend } = place;
    await withParts(place, ID);
    await tree(place, 'stage', LATER);
    await tree(place, 'prod', LATER);
    const interrupted = await backend.beginParts('26-02-02_00-00-00', SCOPE);
    await interrupted.write(partOf(SMALL));
    await interrupted.close();
    await killInTheMiddle({ options: { path: place.path }, id: '26-02-03_00-00-00', mebibytes: 40 });
    await killInTheMiddle({ options: { path: place.path }, id: '26-02-04_00-00-00', mebibytes: 3, layout: 'tree' });
    const plan = await backend.writePlan(PLAN, Buffer.from('{}'));
    await backend.lease.write('{}', undefined);
    await put(place, 'notes.txt', 'stage/readme.md', 'photos/1.jpg', '_manager.1.json');
    await put({ ...place, prefix: `${place.prefix.slice(0, -1)}2/` }, 'x', `transship-${ID}.tar.zst`);
    // As consoles show a folder.
    await put(place, 'prod/backup/', 'empty/');
    await beginUpload(place, 'movie.mp4');
    const abandoned = await beginUpload(place, `transship-${ID}.vms/old.tar.zst`);

    const { snapshots, leftovers, foreign, foreignCount, plans, now } = await backend.survey();
    expect(snapshots).toEqual(await backend.list());
    expect(
      leftovers.map(({ what, location, uploadId }) => [what, location.slice(place.path.length + 1), uploadId]),
    ).toEqual([
      ['snapshot', 'stage/backup/26-02-04_00-00-00', undefined],
      ['upload', `transship-${ID}.vms/old.tar.zst`, abandoned],
      ['parts', 'transship-26-02-02_00-00-00.vms', undefined],
      ['snapshot', 'transship-26-02-03_00-00-00.tar.zst', expect.any(String)],
    ]);
    expect(foreign).toEqual(['_manager.1.json', 'notes.txt', 'photos/1.jpg', 'stage/readme.md']);
    expect(foreignCount).toBe(4);
    expect(plans).toEqual([plan]);
    for (const { modified } of leftovers) expect(now.getTime() - modified.getTime()).toBeLessThan(120_000);

    for (const leftover of leftovers) await backend.removeLeftover(leftover);
    for (const leftover of leftovers) await backend.removeLeftover(leftover);
    await backend.removePlan(plan);
    const after = await backend.survey();
    expect(after).toMatchObject({ leftovers: [], plans: [], foreign });
    expect(after.snapshots.map(({ id, state }) => [id, state])).toEqual([
      [LATER, 'complete'],
      [LATER, 'complete'],
      [ID, 'complete'],
    ]);
    expect(await uploads(place.prefix)).toEqual([`${place.prefix}movie.mp4`]);
  });

  it('takes an upload for as old as its last part', async () => {
    const place = newPlace();
    const key = `transship-${ID}.tar.zst`;
    const uploadId = await beginUpload(place, key);
    const begun = (await place.backend.survey()).leftovers[0]?.modified.getTime() ?? 0;
    const part = { Bucket: s3.bucket, Key: `${place.prefix}${key}`, UploadId: uploadId, PartNumber: 1 };
    // The service may tell full seconds only.
    for (let modified = begun; modified <= begun; ) {
      await client.send(new UploadPartCommand({ ...part, Body: Buffer.alloc(10) }));
      const leftover = await onlyLeftover(place);
      expect(leftover).toMatchObject({ what: 'snapshot', size: 10, uploadId });
      modified = leftover.modified.getTime();
    }
  });

  it('takes an upload whose parts may not be listed for one that goes on, and knows of none where none may be', async () => {
    const place = newPlace();
    await beginUpload(place, `transship-${ID}.tar.zst`);
    const parts = await through(place, (request) => (request.path.includes('uploadId=') ? DENIED : undefined));
    const { leftovers, now } = await parts.backend.survey();
    expect(leftovers).toMatchObject([{ what: 'snapshot', size: 0, modified: now }]);
    const none = await through(place, (request) => (/[?&]uploads/.test(request.path) ? DENIED : undefined));
    expect(await none.backend.survey()).toMatchObject({ snapshots: [], leftovers: [] });
  });

  it('has the service’s time', async () => {
    const place = newPlace();
    // No more: the library would believe it.
    const date = new Date(Math.floor(Date.now() / 1000) * 1000 + 200_000);
    const empty = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
    const { backend } = await through(place, ({ path }) =>
      path.includes('max-keys=1')
        ? {
            kind: 'answer',
            status: 200,
            headers: { date: date.toUTCString(), 'content-type': 'application/xml' },
            body: empty,
          }
        : undefined,
    );
    expect((await backend.survey()).now).toEqual(date);
  });

  it('fails when it may not list', async () => {
    const { backend } = await through(newPlace(), ({ path }) => (path.includes('list-type=2') ? DENIED : undefined));
    await expect(backend.survey()).rejects.toMatchObject({
      code: 'BACKEND',
      hint: expect.stringContaining('s3:ListBucket'),
    });
  });
});

describe('removing a snapshot in S3', () => {
  it('that is an archive takes its parts along, and nothing else', async () => {
    const place = newPlace();
    const snapshot = await withParts(place, ID);
    await withParts(place, LATER);
    await put(place, 'notes.txt');
    await beginUpload(place, `transship-${ID}.vms/old.tar.zst`);
    await place.backend.remove(snapshot);
    expect(await keys(place)).toEqual([
      'notes.txt',
      `transship-${LATER}.tar.zst`,
      `transship-${LATER}.vms/shop.db.tar.zst`,
    ]);
    expect(await uploads(place.prefix)).toEqual([]);
    await place.backend.remove(snapshot);
  });

  it('that is a tree of many objects takes few requests, the manifest first and what says whose it is last', async () => {
    const place = newPlace();
    const snapshot = await tree(place, 'stage', ID, 1001);
    const { backend, proxy } = await through(place, () => undefined);
    await backend.remove(snapshot);
    expect(await keys(place)).toEqual([]);
    const deletes = proxy.requests.filter(({ method, path }) => method === 'DELETE' || /[?&]delete/.test(path));
    expect(deletes.map(({ method, path }) => `${method} ${path.replace(/^.*\/|\?.*$/g, '')}`)).toEqual([
      'DELETE manifest',
      'DELETE _index.json',
      ...Array.from({ length: 2 }, () => 'POST '),
      'DELETE _snapshot.json',
    ]);
  });

  it.each([
    ['does not know requests for many', 501, 'NotImplemented'],
    ['wants another checksum for such', 400, 'InvalidRequest'],
  ])('goes object by object where a service %s', async (_what, status, code) => {
    const place = newPlace();
    const snapshot = await tree(place, 'stage', ID, 30);
    const { backend } = await through(place, ({ method }) =>
      method === 'POST' ? { kind: 'answer', status, body: xmlError(code) } : undefined,
    );
    await backend.remove(snapshot);
    expect(await keys(place)).toEqual([]);
  });

  it('tries again what is refused within a request for many, and names what stays', async () => {
    const place = newPlace();
    const snapshot = await tree(place, 'stage', ID, 30);
    const key = `${place.prefix}stage/backup/${ID}/shop/file-7.json`;
    const body = `<DeleteResult><Error><Key>${key}</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>`;
    const { backend } = await through(place, ({ method, path }) => {
      if (method === 'POST') return { kind: 'answer', status: 200, body };
      return method === 'DELETE' && path.includes('file-7.json') ? DENIED : undefined;
    });
    await expect(backend.remove(snapshot)).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining(`s3://${s3.bucket}/${key}`),
      hint: expect.stringContaining(`s3:DeleteObject on arn:aws:s3:::${s3.bucket}/${key}`),
    });
    expect((await place.backend.list()).map(({ state }) => state)).toEqual(['unfinished']);
  });

  it.each<[string, Fault]>([
    ['is reset', { kind: 'reset' }],
    ['loses its answer', { kind: 'lose-answer' }],
    ['is answered 503', { kind: 'answer', status: 503 }],
  ])('sends again what %s', async (_what, fault) => {
    const place = newPlace();
    const snapshot = await tree(place, 'stage', ID, 30);
    const seen = new Set<string>();
    const { backend } = await through(place, ({ method, path }) => {
      if (method === 'GET' || seen.has(`${method} ${path}`)) return undefined;
      seen.add(`${method} ${path}`);
      return fault;
    });
    await backend.remove(snapshot);
    expect(await keys(place)).toEqual([]);
    expect(seen.size).toBe(4);
  });

  it('that breaks off after any of its steps lists nothing as complete that is not, and can be gone on with', async () => {
    for (let steps = 0; steps < 6; steps += 1) {
      const place = newPlace();
      const snapshot = await tree(place, 'stage', ID, 30, true);
      const before = await keys(place);
      let done = 0;
      const { backend } = await through(place, ({ method, path }) => {
        if (method !== 'DELETE' && !/[?&]delete/.test(path)) return undefined;
        done += 1;
        return done > steps ? DENIED : undefined;
      });
      const isDone = await backend.remove(snapshot).then(
        () => true,
        () => false,
      );
      const left = await keys(place);
      const complete = (await place.backend.list()).filter(({ state }) => state === 'complete');
      expect(complete).toHaveLength(left.length === before.length ? 1 : 0);
      if (isDone) expect(left).toEqual([]);
      await place.backend.remove(snapshot);
      expect(await keys(place)).toEqual([]);
    }
  });

  it('leaves parts as long as another snapshot of that id may have them, or an export writes them', async () => {
    const place = newPlace();
    const [stage, prod] = [await tree(place, 'stage', ID, 1, true), await tree(place, 'prod', ID)];
    await place.backend.remove(stage);
    expect(await keys(place)).toContain(`transship-${ID}.vms/shop.db.tar.zst`);
    await place.backend.remove(prod);
    expect(await keys(place)).toEqual([]);

    const store = await place.backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    await place.backend.remove(await tree(place, 'stage', ID));
    expect(await keys(place)).toContain(`transship-${ID}.vms/shop.db.tar.zst`);
    const leftover = await onlyLeftover(place);
    await expect(place.backend.removeLeftover(leftover)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Another export is writing ${place.path}/transship-${ID}.vms.`,
    });
    await store.close();
    await place.backend.removeLeftover(leftover);
    expect(await keys(place)).toEqual([]);
  });

  it('leaves a group that could not be deleted to the next one', async () => {
    const place = newPlace();
    const store = await place.backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    await store.close();
    const leftover = await onlyLeftover(place);
    const { backend } = await through(place, ({ method, path }) =>
      /[?&]delete/.test(path) || (method === 'DELETE' && path.includes('.tar')) ? DENIED : undefined,
    );
    await expect(backend.removeLeftover(leftover)).rejects.toMatchObject({ code: 'BACKEND' });
    await place.backend.removeLeftover(leftover);
    expect(await keys(place)).toEqual([]);
  });

  it('keeps what has become complete since it was found', async () => {
    const place = newPlace();
    const store = await place.backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    await store.close();
    const leftover = await onlyLeftover(place);
    await archive(place, ID);
    await place.backend.removeLeftover(leftover);
    expect(await keys(place)).toEqual([`transship-${ID}.tar.zst`, `transship-${ID}.vms/shop.db.tar.zst`]);
    const { location } = await tree(place, 'stage', LATER);
    await place.backend.removeLeftover({ what: 'snapshot', location, size: 0, modified: new Date() });
    expect((await place.backend.list()).map(({ state }) => state)).toEqual(['complete', 'complete']);
  });

  it('gives up only the uploads that are meant', async () => {
    const place = newPlace();
    const key = `transship-${ID}.tar.zst`;
    const [first, second] = [await beginUpload(place, key), await beginUpload(place, key)];
    const { leftovers } = await place.backend.survey();
    expect(new Set(leftovers.map(({ uploadId }) => uploadId))).toEqual(new Set([first, second]));
    const own = leftovers.find(({ uploadId }) => uploadId === first);
    if (own === undefined) throw new Error('it is not found');
    // Somebody else gave it up meanwhile.
    await client.send(
      new AbortMultipartUploadCommand({ Bucket: s3.bucket, Key: `${place.prefix}${key}`, UploadId: first }),
    );
    await place.backend.removeLeftover(own);
    expect(await uploads(place.prefix)).toHaveLength(1);
    const [unfinished] = await place.backend.list();
    if (unfinished === undefined) throw new Error('it is not listed');
    await place.backend.remove(unfinished);
    expect(await uploads(place.prefix)).toEqual([]);
  });

  it('never touches what is somebody else’s, or elsewhere', async () => {
    const place = newPlace();
    const beside = { ...place, prefix: `${place.prefix.slice(0, -1)}2/` };
    await put(place, `photos/backup/${ID}/1.jpg`, 'notes.txt');
    await put(beside, `transship-${ID}.tar.zst`);
    const [listed] = await place.backend.list();
    if (listed === undefined) throw new Error('it is not listed');
    await expect(place.backend.remove(listed)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `${listed.location} has neither manifest nor _snapshot.json: it is not removed.`,
    });
    const snapshot = { id: ID, layout: 'archive', size: 0, state: 'complete' } as const;
    const elsewhere = [
      `s3://${s3.bucket}/${beside.prefix}transship-${ID}.tar.zst`,
      `s3://other/${place.prefix}transship-${ID}.tar.zst`,
      `${place.path}/notes.txt`,
      `${place.path}/`,
      `${place.path}/_manager.json`,
    ];
    for (const location of elsewhere) {
      await expect(place.backend.remove({ ...snapshot, location }), location).rejects.toMatchObject({ code: 'INPUT' });
      const leftover = { what: 'snapshot', location, size: 0, modified: new Date() } as const;
      await expect(place.backend.removeLeftover(leftover), location).rejects.toMatchObject({ code: 'INPUT' });
      await expect(place.backend.removePlan(location), location).rejects.toMatchObject({ code: 'INPUT' });
    }
    expect(await keys(place)).toEqual(['notes.txt', `photos/backup/${ID}/1.jpg`]);
    expect(await keys(beside)).toEqual([`transship-${ID}.tar.zst`]);
  });

  it('by the folder of its cluster is refused while it has parts, which are above that', async () => {
    const place = newPlace();
    await tree(place, 'stage', ID, 1, true);
    const cluster = new S3Backend(`${place.path}/stage`);
    const own = await cluster.find('latest');
    await expect(cluster.remove(own)).rejects.toMatchObject({ code: 'INPUT', hint: `Give ${place.path} as path.` });
    expect((await place.backend.list()).map(({ state }) => state)).toEqual(['complete']);
  });

  it('says which right is missing', async () => {
    const place = newPlace();
    const snapshot = await archive(place, ID);
    const { backend } = await through(place, ({ method }) => (method === 'DELETE' ? DENIED : undefined));
    await expect(backend.remove(snapshot)).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/transship-26-01-31_12-00-00\.tar\.zst at http.+: access denied\.$/),
      hint: expect.stringContaining('s3:DeleteObject on arn:aws:s3:::snapshots/'),
    });
    expect((await place.backend.list()).map(({ state }) => state)).toEqual(['complete']);
  });

  it('ends with its signal', async () => {
    const place = newPlace();
    const snapshot = await archive(place, ID);
    const signal = AbortSignal.abort();
    await expect(place.backend.remove(snapshot, signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(place.backend.survey(signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await keys(place)).toEqual([`transship-${ID}.tar.zst`]);
  });
});

describe('a lease in S3', () => {
  it('is one object, which is in no list and no leftover', async () => {
    const place = newPlace();
    const { lease } = place.backend;
    expect(await lease.read()).toBeUndefined();
    const first = await lease.write('one', undefined);
    const second = await lease.write('two', first);
    expect(await keys(place)).toEqual(['_manager.json']);
    expect(await lease.read()).toEqual({ text: 'two', version: second, age: expect.any(Number) });
    expect(await place.backend.survey()).toMatchObject({ snapshots: [], leftovers: [], foreign: [] });
    await lease.remove();
    await lease.remove();
    expect(await lease.read()).toBeUndefined();
  });

  it('is replaced only by who has read it', async () => {
    const { lease } = newPlace().backend;
    const first = await lease.write('one', undefined);
    expect(await lease.write('other', undefined)).toBeUndefined();
    const second = await lease.write('two', first);
    expect(await lease.write('late', first)).toBeUndefined();
    expect(await lease.read()).toMatchObject({ text: 'two', version: second });
    await lease.remove();
    // There is none to be replaced: S3 says 404.
    expect(await lease.write('late', second)).toBeUndefined();
    expect(await lease.read()).toBeUndefined();
  });

  it('has the age that the service’s clock says', async () => {
    const headers = {
      date: 'Tue, 03 Feb 2026 10:00:00 GMT',
      'last-modified': 'Tue, 03 Feb 2026 09:58:30 GMT',
      etag: '"abc"',
    };
    const { backend } = await through(newPlace(), () => ({ kind: 'answer', status: 200, headers, body: 'text' }));
    expect(await backend.lease.read()).toEqual({ text: 'text', version: '"abc"', age: 90_000 });
  });

  it('is that of exactly one of 50 racers, each of 10 rounds', async () => {
    const place = newPlace();
    const racers = Array.from({ length: 5 }, () => new S3Backend(place.path).lease);
    let expected: string | undefined;
    for (let round = 0; round < 10; round += 1) {
      const names = Array.from({ length: 50 }, (_, index) => `${round}-${index}`);
      const versions = await Promise.all(
        names.map((name, index) => racers[index % racers.length]?.write(name, expected)),
      );
      const winners = names.filter((_, index) => versions[index] !== undefined);
      const stored = await place.backend.lease.read();
      expect(winners).toEqual([stored?.text]);
      expect(versions).toContain(stored?.version);
      expected = stored?.version;
    }
  });

  it('loses nothing that another has counted', async () => {
    const place = newPlace();
    await Promise.all(Array.from({ length: 4 }, () => countOn(new S3Backend(place.path).lease, 15)));
    expect((await place.backend.lease.read())?.text).toBe('60');
  });

  it.each<[string, Fault]>([
    ['is reset before the service sees it', { kind: 'reset' }],
    ['loses its answer', { kind: 'lose-answer' }],
    ['is answered 503', { kind: 'answer', status: 503 }],
    [
      'is answered 409 for another that is under way',
      { kind: 'answer', status: 409, body: xmlError('ConditionalRequestConflict') },
    ],
  ])('a write that %s is known as one’s own', async (_what, fault) => {
    const place = newPlace();
    let faults = 0;
    const { backend } = await through(place, ({ method, headers }) => {
      // Each first try, but not the one that is to be refused.
      if (method !== 'PUT' || headers['if-match'] === `"${'0'.repeat(32)}"`) return undefined;
      faults += 1;
      return faults % 2 === 1 ? fault : undefined;
    });
    const first = await backend.lease.write('one', undefined);
    expect(first).toBeDefined();
    const second = await backend.lease.write('two', first);
    expect(await place.backend.lease.read()).toMatchObject({ text: 'two', version: second });
  });

  it('a write that loses its answer, and then the lease to another, is not taken for one’s own', async () => {
    const place = newPlace();
    const other = place.backend.lease;
    let isLost = false;
    const { backend } = await through(
      place,
      ({ method, headers }) => {
        if (method !== 'PUT' || isLost || headers['if-none-match'] === undefined) return undefined;
        isLost = true;
        return { kind: 'lose-answer' };
      },
      async ({ method }) => {
        if (method !== 'PUT' || !isLost) return;
        const there = await other.read();
        if (there?.text === 'one') await other.write('other', there.version);
      },
    );
    expect(await backend.lease.write('one', undefined)).toBeUndefined();
    expect((await other.read())?.text).toBe('other');
  });

  it('a write of which nobody knows what became of it fails', async () => {
    const place = newPlace();
    const { backend } = await through(place, ({ method }) => (method === 'PUT' ? { kind: 'reset' } : undefined));
    await expect(backend.lease.write('one', undefined)).rejects.toMatchObject({ code: 'BACKEND' });
    const deaf = await through(place, ({ method }) => {
      if (method === 'PUT') return { kind: 'lose-answer' };
      return method === 'HEAD' ? { kind: 'answer', status: 500 } : undefined;
    });
    await expect(deaf.backend.lease.write('one', undefined)).rejects.toMatchObject({ code: 'BACKEND' });
    expect((await place.backend.lease.read())?.text).toBe('one');
  });

  it('is read again when its text is cut', async () => {
    const place = newPlace();
    const version = await place.backend.lease.write('a text', undefined);
    let cuts = 0;
    const { backend } = await through(place, ({ method }) => {
      cuts += 1;
      return method === 'GET' && cuts < 3 ? { kind: 'cut', after: 2 } : undefined;
    });
    expect(await backend.lease.read()).toMatchObject({ text: 'a text', version });
    const broken = await through(place, () => ({ kind: 'cut', after: 2 }));
    await expect(broken.backend.lease.read()).rejects.toMatchObject({ code: 'BACKEND' });
  });

  it('needs conditional writes: a service that refuses them is an error', async () => {
    const place = newPlace();
    const { backend, proxy } = await through(place, ({ method }) =>
      method === 'PUT' ? { kind: 'answer', status: 501, body: xmlError('NotImplemented') } : undefined,
    );
    await expect(backend.lease.write('one', undefined)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `${place.path}/_manager.json at ${proxy.url}: the service knows no conditional writes (If-Match), without which two managers could write here.`,
    });
  });

  it('needs conditional writes: a service that ignores them is an error, and nothing is left', async () => {
    const place = newPlace();
    const { backend } = await through(place, ({ method, headers }) =>
      method === 'PUT' && headers['if-match'] !== undefined
        ? { kind: 'answer', status: 200, headers: { etag: '"any"' } }
        : undefined,
    );
    await expect(backend.lease.write('one', undefined)).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining('knows no conditional writes'),
    });
    expect(await keys(place)).toEqual([]);
  });

  it('names the right that is missing, and ends with its signal', async () => {
    const { backend } = await through(newPlace(), () => DENIED);
    await expect(backend.lease.read()).rejects.toMatchObject({ hint: expect.stringContaining('s3:GetObject') });
    await expect(backend.lease.write('one', undefined)).rejects.toMatchObject({
      hint: expect.stringContaining('s3:PutObject'),
    });
    const signal = AbortSignal.abort();
    await expect(backend.lease.read(signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(backend.lease.write('one', undefined, signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

interface Place {
  readonly path: string;
  /** Ends in `/`. */
  readonly prefix: string;
  readonly backend: S3Backend & { readonly lease: LeaseStore };
}

/** A place that nothing was written to yet. */
function newPlace(): Place {
  places += 1;
  const path = `s3://${s3.bucket}/manage/place-${places}x`;
  return { path, prefix: `manage/place-${places}x/`, backend: new S3Backend(path) };
}

/** The same place, by a proxy that fails requests. */
async function through(
  { path }: Place,
  choose: (request: ProxiedRequest) => Fault | undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
): Promise<{ backend: S3Backend; proxy: FaultyProxy }> {
  const proxy = await startFaultyProxy(s3.endpoint, choose, before);
  proxies.push(proxy);
  const options: S3Options = { endpoint: proxy.url };
  return { backend: new S3Backend(path, options, QUICK), proxy };
}

function archive({ backend }: Place, id: string): Promise<StoredSnapshot> {
  return backend.write(id, '.tar.zst', inPieces(randomBytes(100), 100));
}

async function withParts(place: Place, id: string): Promise<StoredSnapshot> {
  const store = await place.backend.beginParts(id, SCOPE);
  await store.write(partOf(SMALL));
  const snapshot = await archive(place, id);
  await store.finish();
  return snapshot;
}

async function tree(
  { backend }: Place,
  cluster: string,
  id: string,
  files = 1,
  hasParts = false,
): Promise<StoredSnapshot> {
  const store = hasParts ? await backend.beginParts(id, SCOPE) : undefined;
  await store?.write(partOf(SMALL));
  const names = Array.from({ length: files }, (_, index) => [`shop/file-${index}.json`, `${index}`]);
  const entries = entriesOf({ '_snapshot.json': '{}', ...Object.fromEntries(names) });
  const snapshot = await backend.writeTree(id, cluster, writeTree(entries).entries);
  await store?.finish();
  return snapshot;
}

async function onlyLeftover({ backend }: Place): Promise<Leftover> {
  const [leftover, ...others] = (await backend.survey()).leftovers;
  if (leftover === undefined || others.length > 0) throw new Error(`there are ${others.length + 1} leftovers`);
  return leftover;
}

async function put({ prefix }: Pick<Place, 'prefix'>, ...names: string[]): Promise<void> {
  for (const name of names) {
    const Body = Buffer.from(name.endsWith('/') ? '' : 'x');
    await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key: `${prefix}${name}`, Body }));
  }
}

async function beginUpload({ prefix }: Place, name: string): Promise<string> {
  const request = new CreateMultipartUploadCommand({ Bucket: s3.bucket, Key: `${prefix}${name}` });
  return (await client.send(request)).UploadId ?? '';
}

async function keys({ prefix }: Pick<Place, 'prefix'>): Promise<string[]> {
  const found: string[] = [];
  let token: string | undefined;
  do {
    const request = { Bucket: s3.bucket, Prefix: prefix, ...(token === undefined ? {} : { ContinuationToken: token }) };
    const page = await client.send(new ListObjectsV2Command(request));
    found.push(...(page.Contents ?? []).map(({ Key = '' }) => Key.slice(prefix.length)));
    token = page.NextContinuationToken;
  } while (token !== undefined);
  return found;
}

async function uploads(prefix: string): Promise<string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: prefix }));
  return Uploads.map(({ Key = '' }) => Key);
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

function xmlError(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
}
