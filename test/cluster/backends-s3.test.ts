import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readTree, writeTree } from '../../src/archive/tree.ts';
import type { Backend, Bytes } from '../../src/backends/backend.ts';
import { S3Backend } from '../../src/backends/s3.ts';
import type { S3Options } from '../../src/backends/s3-connect.ts';
import { collectFiles, entriesOf } from '../unit/archive/helpers.ts';
import { type Fault, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';

const MIB = 1024 * 1024;
const ID = '26-01-31_12-00-00';
const SMALL = randomBytes(3 * MIB);
const LARGE = randomBytes(40 * MIB);
const TWO_PARTS = LARGE.subarray(0, 17 * MIB);
/** S3's own words. */
const MISSING =
  'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.';
const QUICK = { stallMilliseconds: 300, attempts: 3, gapMilliseconds: 1 };

let s3: TestS3;
let proxies: FaultyProxy[] = [];
let prefixes = 0;

beforeAll(async () => {
  s3 = await startS3();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
});

afterEach(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  proxies = [];
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await s3.stop();
});

describe('a write over a bad connection', () => {
  it.each<[string, Fault]>([
    ['is reset before the service sees it', { kind: 'reset' }],
    ['loses its answer', { kind: 'lose-answer' }],
    ['is answered 503', { kind: 'answer', status: 503 }],
    ['is answered 500', { kind: 'answer', status: 500 }],
  ])('sends a part again that %s', async (_what, fault) => {
    const { backend, good } = await openThrough(once(isPart, fault));
    await backend.write(ID, '.tar.zst', inPieces(LARGE));
    expect(LARGE.equals(await readAll(good.read(await good.find(ID))))).toBe(true);
  });

  it.each([
    ['in one request', SMALL, isPut],
    ['in parts', LARGE, isComplete],
  ])('knows its own object when the answer to the last request is lost (%s)', async (_what, content, isLast) => {
    const { backend, good } = await openThrough(once(isLast, { kind: 'lose-answer' }));
    expect(await backend.write(ID, '.tar.zst', inPieces(content))).toMatchObject({ size: content.byteLength });
    expect(content.equals(await readAll(good.read(await good.find(ID))))).toBe(true);
  });

  it('gives up when a part fails for good, takes the upload back and says what the service said', async () => {
    const { backend, good, proxy } = await openThrough((request) =>
      isPart(request) ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') } : undefined,
    );
    await expect(backend.write(ID, '.tar.zst', inPieces(LARGE))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/transship-26-01-31_12-00-00\.tar\.zst at http.+: access denied\.$/),
      hint: expect.stringContaining('s3:PutObject on arn:aws:s3:::snapshots/'),
    });
    expect(await good.list()).toEqual([]);
    expect(proxy.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  });

  it('has no more than four parts of 16 MiB on their way', async () => {
    let now = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const { backend } = await openThrough(
      () => undefined,
      async (request) => {
        if (!isPart(request)) return;
        now += 1;
        most = Math.max(most, now);
        // Parts wait for each other until there can be no more of them.
        if (now < 4) await new Promise<void>((resolve) => waiting.push(resolve));
        for (const resume of waiting.splice(0)) resume();
        now -= 1;
      },
    );
    await backend.write(ID, '.tar.zst', inPieces(Buffer.alloc(16 * MIB * 8)));
    expect(most).toBe(4);
  });

  it('writes with credentials that may not list', async () => {
    const { backend, good } = await openThrough((request) =>
      isList(request) ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') } : undefined,
    );
    await backend.write(ID, '.tar.zst', inPieces(SMALL));
    await expect(backend.write(ID, '.tar.zst', inPieces(SMALL))).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
    expect((await good.list()).map(({ id }) => id)).toEqual([ID]);
  });

  it('never writes without its condition: a service that does not know conditions is an error', async () => {
    const { backend, good } = await openThrough((request) =>
      request.headers['if-none-match'] === '*'
        ? { kind: 'answer', status: 501, body: xmlError('NotImplemented') }
        : undefined,
    );
    await expect(backend.write(ID, '.tar.zst', inPieces(SMALL))).rejects.toMatchObject({
      code: 'BACKEND',
      hint: expect.stringContaining('conditional writes'),
    });
    expect(await good.list()).toEqual([]);
  });
});

describe('a read over a bad connection', () => {
  it.each<[string, Fault]>([
    ['breaks', { kind: 'cut', after: 10 * MIB }],
    ['stalls', { kind: 'stall', after: 10 * MIB }],
  ])('goes on where it was when the connection %s', async (_what, fault) => {
    const { backend, good, proxy } = await openThrough(once(isGet, fault));
    await good.write(ID, '.tar.zst', inPieces(LARGE));
    expect(LARGE.equals(await readAll(backend.read(await backend.find(ID))))).toBe(true);
    const [first, second] = proxy.requests.filter(isGet);
    expect(first?.headers.range).toBeUndefined();
    const offset = Number(/^bytes=(\d+)-$/.exec(String(second?.headers.range))?.[1]);
    expect(offset).toBeGreaterThan(0);
    expect(offset).toBeLessThanOrEqual(10 * MIB);
    expect(second?.headers['if-match']).toMatch(/^".+"$/);
  });

  it('survives any number of breaks while each connection brings something', async () => {
    const { backend, good, proxy } = await openThrough((request) =>
      isGet(request) ? { kind: 'cut', after: 6 * MIB } : undefined,
    );
    await good.write(ID, '.tar.zst', inPieces(LARGE));
    expect(LARGE.equals(await readAll(backend.read(await backend.find(ID))))).toBe(true);
    expect(proxy.requests.filter(isGet).length).toBeGreaterThan(QUICK.attempts + 1);
  });

  it('gives up when connections bring nothing again and again, and says where', async () => {
    let gets = 0;
    const { backend, good } = await openThrough((request) => {
      if (!isGet(request)) return undefined;
      gets += 1;
      return gets === 1 ? { kind: 'cut', after: MIB } : { kind: 'cut', after: 0 };
    });
    await good.write(ID, '.tar.zst', inPieces(SMALL));
    await expect(readAll(backend.read(await backend.find(ID)))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/the download broke at byte \d+ of 3145728 again and again/),
    });
  });

  it('fails when the object was replaced while it was read', async () => {
    let key = '';
    let gets = 0;
    const { backend, good } = await openThrough(
      (request) => {
        if (isGet(request)) gets += 1;
        return isGet(request) && gets === 1 ? { kind: 'cut', after: MIB } : undefined;
      },
      async (request) => {
        if (isGet(request) && gets === 2) await replaceObject(key);
      },
    );
    const { location } = await good.write(ID, '.tar.zst', inPieces(SMALL));
    key = location.slice(`s3://${s3.bucket}/`.length);
    await expect(readAll(backend.read(await backend.find(ID)))).rejects.toMatchObject({
      code: 'BACKEND',
      message: `${location} cannot be read as it was found: it was replaced.`,
    });
  });

  it('fails when the object is not as large as it was when it was found', async () => {
    const { good } = await openThrough(() => undefined);
    const found = await good.write(ID, '.tar.zst', inPieces(SMALL));
    await expect(readAll(good.read({ ...found, size: found.size + 1 }))).rejects.toMatchObject({
      message: `${found.location} cannot be read as it was found: it has 3145728 bytes instead of 3145729.`,
    });
  });

  it('does not take a reader that is slow for a stalled connection', async () => {
    const { backend, good, proxy } = await openThrough(() => undefined);
    await good.write(ID, '.tar.zst', inPieces(LARGE));
    const chunks: Uint8Array[] = [];
    for await (const chunk of backend.read(await backend.find(ID))) {
      if (chunks.push(chunk) === 1) await new Promise((resolve) => setTimeout(resolve, 2 * QUICK.stallMilliseconds));
    }
    expect(LARGE.equals(Buffer.concat(chunks))).toBe(true);
    expect(proxy.requests.filter(isGet)).toHaveLength(1);
  });
});

describe('server-side encryption', () => {
  const key = randomBytes(32).toString('base64');
  const customer = {
    'x-amz-server-side-encryption-customer-algorithm': 'AES256',
    'x-amz-server-side-encryption-customer-key': key,
    'x-amz-server-side-encryption-customer-key-md5': createHash('md5').update(key, 'base64').digest('base64'),
  };
  const plan = `26-01-31_12-00-00-${'0a'.repeat(16)}`;

  /** What a request is about; undefined for one that S3 takes without any of it. */
  const kindOf = ({ method, path }: ProxiedRequest) => {
    const query = path.split('?')[1] ?? '';
    if (method === 'POST') return query.includes('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
    if (method === 'PUT') return query.includes('partNumber=') ? 'UploadPart' : 'PutObject';
    if (method === 'HEAD') return 'HeadObject';
    return method === 'GET' && !/list-type|uploads/.test(query) ? 'GetObject' : undefined;
  };

  /** Refuses, as S3 does, what has not the headers that it must have, and notes what came. */
  async function openGuarded(expected: Record<string, string>, only: RegExp, options: S3Options, first?: Fault) {
    const seen = new Set<string>();
    let fault = first;
    const { place, proxy } = await openAt((request) => {
      const kind = kindOf(request);
      const given = Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-server-side'));
      const wanted = kind !== undefined && only.test(kind) ? expected : {};
      if (kind !== undefined) seen.add(kind);
      if (JSON.stringify(Object.fromEntries(given.sort())) !== JSON.stringify(wanted)) {
        return { kind: 'answer', status: 400, body: xmlError('InvalidRequest', MISSING) };
      }
      const once = kind === 'PutObject' ? fault : undefined;
      if (once !== undefined) fault = undefined;
      return once;
    });
    return { backend: new S3Backend(place, { endpoint: proxy.url, ...options }, QUICK), seen, place, proxy };
  }

  async function writeAll(backend: Backend): Promise<void> {
    await backend.write(ID, '.tar.zst', inPieces(TWO_PARTS));
    await backend.writeTree('26-01-30_12-00-00', 'stage', writeTree(entriesOf({ '_snapshot.json': '{}' })).entries);
    await backend.writePlan(plan, Buffer.from('the plan'));
  }

  async function readBack(backend: Backend): Promise<void> {
    expect(TWO_PARTS.equals(await readAll(backend.read(await backend.find(ID))))).toBe(true);
    const tree = await backend.find('26-01-30_12-00-00');
    expect(await collectFiles(readTree(backend.readTree(tree)).entries)).toHaveLength(1);
    expect((await backend.readPlan(plan))?.toString()).toBe('the plan');
  }

  it.each<[S3Options, Record<string, string>]>([
    [{ sse: 'AES256' }, { 'x-amz-server-side-encryption': 'AES256' }],
    [
      { sse: 'aws:kms', sseKmsKeyId: 'alias/backups' },
      { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'alias/backups' },
    ],
  ])('by %j is asked for where objects are made, and nowhere else', async (options, headers) => {
    const { backend, seen } = await openGuarded(headers, /^(PutObject|CreateMultipartUpload)$/, options);
    await writeAll(backend);
    await readBack(backend);
    expect([...seen].sort()).toEqual(
      ['CompleteMultipartUpload', 'CreateMultipartUpload', 'GetObject', 'PutObject', 'UploadPart'].sort(),
    );
  });

  it("by a customer's key is in every request that touches an object", async () => {
    const options = { sseCustomerKey: key };
    // An answer that is lost makes it look at its object.
    const { backend, seen } = await openGuarded(customer, /./, options, { kind: 'lose-answer' });
    await writeAll(backend);
    await readBack(backend);
    expect([...seen].sort()).toEqual(
      ['CompleteMultipartUpload', 'CreateMultipartUpload', 'GetObject', 'HeadObject', 'PutObject', 'UploadPart'].sort(),
    );
  });

  it("says that a customer's key is needed to read, and shows none", async () => {
    const { backend, place, proxy } = await openGuarded(customer, /./, { sseCustomerKey: key });
    await backend.write(ID, '.tar.zst', inPieces(SMALL));
    const wrong = randomBytes(32).toString('base64');
    for (const options of [{}, { sseCustomerKey: wrong }]) {
      const other = new S3Backend(place, { endpoint: proxy.url, ...options }, QUICK);
      const error = await readAll(other.read(await other.find(ID))).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'BACKEND',
        message: expect.stringContaining(MISSING),
        hint: 'Set s3-sse-customer-key to the key it was exported with, or leave it out when there was none.',
      });
      expect(inspect(error, { depth: 20 })).not.toContain(wrong);
    }
  });
});

describe('a list', () => {
  it('reads every page, and only the snapshots of its own prefix', async () => {
    const prefix = newPrefix();
    const folder = join(s3.folder, 'buckets', s3.bucket, prefix);
    await mkdir(join(folder, 'deeper'), { recursive: true });
    const ids = Array.from({ length: 1001 }, (_, index) => `26-01-01_00-${two(index / 60)}-${two(index % 60)}`);
    for (const id of ids) await writeFile(join(folder, `transship-${id}.tar.zst`), '');
    for (const other of ['transship-notes.txt', `deeper/transship-${ID}.tar.zst`, `other-${ID}.tar.zst`]) {
      await writeFile(join(folder, other), '');
    }
    const snapshots = await new S3Backend(`s3://${s3.bucket}/${prefix}/`).list();
    expect(snapshots.map(({ id }) => id)).toEqual(ids.toReversed());
  });

  it('works with credentials that may not see unfinished uploads', async () => {
    const { backend, good } = await openThrough((request) =>
      request.path.includes('uploads') ? { kind: 'answer', status: 403, body: xmlError('AccessDenied') } : undefined,
    );
    await good.write(ID, '.tar.zst', inPieces(SMALL));
    expect((await backend.list()).map(({ id }) => id)).toEqual([ID]);
  });

  it.each([
    [
      'the bucket does not exist',
      () => new S3Backend('s3://no-such-bucket/x'),
      /^The bucket no-such-bucket at http:.+ does not exist\.$/,
      'Make it first',
    ],
    [
      'the secret key is wrong',
      () => {
        vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong');
        return new S3Backend(`s3://${s3.bucket}`);
      },
      /the AWS credentials are not accepted \(SignatureDoesNotMatch\)\.$/,
      'aws-actions/configure-aws-credentials',
    ],
    [
      'there are no credentials',
      () => {
        for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, '');
        vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
        vi.stubEnv('HOME', s3.folder);
        return new S3Backend(`s3://${s3.bucket}`);
      },
      /^There are no AWS credentials to reach bucket snapshots at http/,
      'id-token: write',
    ],
    [
      'nothing listens',
      () => new S3Backend(`s3://${s3.bucket}`, { endpoint: 'http://127.0.0.1:9' }),
      /^bucket snapshots at http:\/\/127\.0\.0\.1:9: .*ECONNREFUSED/,
      'Check s3-endpoint',
    ],
  ])('says what to do when %s', async (_what, open, message, hint) => {
    try {
      await expect(open().list()).rejects.toMatchObject({
        code: 'BACKEND',
        message: expect.stringMatching(message),
        hint: expect.stringContaining(hint),
      });
    } finally {
      for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
    }
  });

  it.each([
    [301, xmlError('PermanentRedirect'), { 'x-amz-bucket-region': 'eu-west-1' }],
    [400, xmlError('AuthorizationHeaderMalformed', "the region 'us-east-1' is wrong; expecting 'eu-west-1'"), {}],
  ])('names the region to set when the service answers %d from another one', async (status, body, headers) => {
    const { backend } = await openThrough(() => ({ kind: 'answer', status, body, headers }));
    await expect(backend.list()).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/^The bucket snapshots at http:.+ is in another region, eu-west-1\.$/),
      hint: 'Set s3-region to eu-west-1.',
    });
  });

  it('says that the session has expired', async () => {
    const { backend } = await openThrough(() => ({ kind: 'answer', status: 400, body: xmlError('ExpiredToken') }));
    await expect(backend.list()).rejects.toMatchObject({
      message: expect.stringMatching(/^The AWS credentials have expired while reaching bucket snapshots/),
      hint: expect.stringContaining('role-duration-seconds'),
    });
  });
});

/** A backend whose requests go through a proxy that fails them, and one for the same place that goes straight. */
async function openThrough(
  choose: (request: ProxiedRequest) => Fault | undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
): Promise<{ backend: Backend; good: Backend; proxy: FaultyProxy }> {
  const { place, proxy } = await openAt(choose, before);
  return { backend: new S3Backend(place, { endpoint: proxy.url }, QUICK), good: new S3Backend(place), proxy };
}

/** A place that nothing was written to yet, and a proxy before it. */
async function openAt(
  choose: (request: ProxiedRequest) => Fault | undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
): Promise<{ place: string; proxy: FaultyProxy }> {
  const proxy = await startFaultyProxy(s3.endpoint, choose, before);
  proxies.push(proxy);
  return { place: `s3://${s3.bucket}/${newPrefix()}`, proxy };
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

function isPart({ method, path }: ProxiedRequest): boolean {
  return method === 'PUT' && path.includes('partNumber=');
}

function isPut({ method, path }: ProxiedRequest): boolean {
  return method === 'PUT' && !path.includes('partNumber=');
}

function isComplete({ method, path }: ProxiedRequest): boolean {
  return method === 'POST' && path.includes('uploadId=');
}

function isGet({ method, path }: ProxiedRequest): boolean {
  return method === 'GET' && path.includes('.tar');
}

function isList({ method, path }: ProxiedRequest): boolean {
  return method === 'GET' && path.includes('list-type=2');
}

function newPrefix(): string {
  prefixes += 1;
  return `prefix-${prefixes}`;
}

/** As somebody else would who does not ask first. */
async function replaceObject(key: string): Promise<void> {
  const client = new S3Client({ forcePathStyle: true });
  const Body = randomBytes(SMALL.byteLength);
  await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key: key, Body }));
}

function xmlError(code: string, message = code): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

function two(number: number): string {
  return String(Math.floor(number)).padStart(2, '0');
}

async function* inPieces(content: Buffer): Bytes {
  for (let start = 0; start < content.byteLength; start += 300_000) yield content.subarray(start, start + 300_000);
}

async function readAll(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
