import { createHash, randomBytes } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { createVmHttp } from '../../../src/vms/http.ts';
import { type UploadOptions, type UploadTarget, uploadVolume } from '../../../src/vms/upload-disk.ts';
import { type FakeCdi, type FakeOptions, fakeCdi, fakeClock, otherAuthority } from './fake-cdi.ts';

const MEBIBYTE = 1024 * 1024;

/** A disk of zeros with some text and some noise, odd at its end. */
function makeDisk(bytes = 2 * MEBIBYTE + 513): Buffer {
  const disk = Buffer.alloc(bytes);
  disk.write('a boot sector', 0);
  randomBytes(Math.min(bytes, 600_000)).copy(disk, Math.floor(bytes / 3));
  return disk;
}

async function* inPieces(disk: Uint8Array, bytes = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < disk.byteLength; at += bytes) yield disk.subarray(at, at + bytes);
}

interface Upload extends FakeCdi {
  /** How often the source was read. */
  readonly reads: number;
  readonly told: string[];
  readonly masked: string[];
  result(): Promise<unknown>;
}

async function upload(
  source: Uint8Array | (() => AsyncIterable<Uint8Array>),
  cdi: FakeOptions = {},
  more: Partial<UploadOptions> & { target?: Partial<UploadTarget> } = {},
): Promise<Upload> {
  const fake = await fakeCdi(cdi);
  const http = await createVmHttp({ connections: 2 });
  onTestFinished(() => http.close());
  const told: string[] = [];
  const masked: string[] = [];
  let reads = 0;
  const { target, ...options } = more;
  const size = source instanceof Uint8Array ? source.byteLength : 2 * MEBIBYTE;
  const running = uploadVolume(
    fake.cluster,
    fake.discovery,
    { namespace: 'shop', pvc: 'web-root-abcde', size, ...target },
    () => {
      reads += 1;
      return source instanceof Uint8Array ? inPieces(source) : source();
    },
    {
      ...{ http, proxy: fake.proxy, clock: fake.clock, encoding: 'raw', timeout: 60_000, retries: 3 },
      reporter: {
        ...silentReporter,
        info: (text) => told.push(text),
        progress: (text) => told.push(text),
        mask: (text) => masked.push(text),
      },
      ...options,
    },
  );
  running.catch(() => {});
  const done = async () => {
    try {
      await running;
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const result = await done();
  return {
    ...fake,
    get stored() {
      return fake.stored;
    },
    ...{ reads, told, masked, result: async () => result },
  };
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const LAST = 'POST /v1beta1/upload-async';

test('a disk is in place byte for byte after one token, one look for the asynchronous way and one upload', async () => {
  const disk = makeDisk();
  const done = await upload(disk);
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toEqual({ sha256: sha256(disk), bytes: disk.byteLength, encoding: 'raw' });
  expect(done.requests).toEqual(['TOKEN web-root-abcde', 'HEAD /v1beta1/upload-async', LAST]);
  expect(done.headers.at(-1)).toMatchObject({
    'transfer-encoding': 'chunked',
    'content-type': 'application/octet-stream',
    authorization: 'Bearer token-1',
  });
  expect(done.masked).toEqual(['token-1']);
});

test('an older CDI without the asynchronous way gets a synchronous upload', async () => {
  const done = await upload(makeDisk(), { hasAsync: false });
  expect(await done.result()).toBeUndefined();
  expect(done.requests.at(-1)).toBe('POST /v1beta1/upload');
});

test('gzip is sent when asked for, and is much less for a disk of zeros', async () => {
  const disk = Buffer.alloc(4 * MEBIBYTE);
  const done = await upload(disk, {}, { encoding: 'gzip' });
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toEqual({ sha256: sha256(disk), bytes: disk.byteLength, encoding: 'gzip' });
});

test('a small disk is sent raw even then, for CDI fails on a stream of less than 512 bytes', async () => {
  const disk = Buffer.alloc(300 * 1024);
  const done = await upload(disk, {}, { encoding: 'gzip' });
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toEqual({ sha256: sha256(disk), bytes: disk.byteLength, encoding: 'raw' });
});

test('a disk that begins like gzip is sent inside gzip, where CDI leaves it as it is', async () => {
  const disk = makeDisk();
  disk.writeUInt16BE(0x1f8b, 0);
  const done = await upload(disk);
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toEqual({ sha256: sha256(disk), bytes: disk.byteLength, encoding: 'gzip' });
});

test.each([
  ['qcow2', '514649fb', 0],
  ['xz', 'fd377a585a00', 0],
  ['zstd', '28b52ffd', 0],
  ['vdi', '7f10dabe', 0x40],
])('a raw disk that begins like %s is refused, for CDI would unpack it', async (format, magic, at) => {
  const disk = makeDisk(2 * MEBIBYTE);
  disk.write(magic, at, 'hex');
  let isClosed = false;
  const done = await upload(async function* () {
    try {
      yield* inPieces(disk);
    } finally {
      isClosed = true;
    }
  });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: expect.stringContaining(`a ${format} file`),
  });
  expect([done.stored, done.reads, isClosed]).toEqual([undefined, 1, true]);
});

test('a disk of less than 512 bytes is refused in words', async () => {
  const done = await upload(Buffer.alloc(511));
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: 'shop/web-root-abcde has 511 bytes, and CDI takes no upload of less than 512.',
  });
  expect(done.stored).toBeUndefined();
});

test('files go to the synchronous way as a tar of any length', async () => {
  const tar = randomBytes(10_240);
  const done = await upload(tar, {}, { target: { contentType: 'archive', size: MEBIBYTE } });
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toMatchObject({ sha256: sha256(tar) });
  expect(done.requests).toEqual(['TOKEN web-root-abcde', 'POST /v1beta1/upload']);
});

test.each([
  ['at its first byte', 1],
  ['in the middle', MEBIBYTE],
  ['at its last byte', 2 * MEBIBYTE + 513],
])('a connection reset %s is followed by the whole disk again, with a new token', async (_where, resetAt) => {
  const disk = makeDisk();
  const done = await upload(disk, { answers: [{ resetAt }, 'take'] });
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toMatchObject({ sha256: sha256(disk) });
  expect(done.requests).toEqual([
    'TOKEN web-root-abcde',
    'HEAD /v1beta1/upload-async',
    LAST,
    'TOKEN web-root-abcde',
    LAST,
  ]);
  expect(done.reads).toBe(2);
  expect(done.told.filter((line) => line.includes('try'))).toEqual([expect.stringContaining('(try 2 of 4)')]);
});

test.each([
  [500, 'Saving stream failed: unexpected EOF'],
  [502, 'error in upload-proxy: http: proxy error: dial tcp: connection refused'],
  [503, ''],
  [504, '<html><head><title>504</title></head></html>'],
])('after %i the same server takes it the next time', async (status, said) => {
  const disk = makeDisk();
  const done = await upload(disk, { answers: [{ status, said }, { status, said }, 'take'] }, { encoding: 'gzip' });
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toMatchObject({ sha256: sha256(disk) });
  expect(done.reads).toBe(3);
});

test('gaps between tries grow, and the last error is told when they are used up', async () => {
  const done = await upload(makeDisk(), { answers: [{ status: 500, said: 'Saving stream failed: no space left' }] });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message:
      'The upload into shop/web-root-abcde failed 4 times. The last time: shop/web-root-abcde: CDI could not take the upload (500 Saving stream failed: no space left).',
  });
  const [first = 0, second = 0, third = 0] = done.clock.slept.filter((gap) => gap >= 500);
  expect([first <= 1_000, second >= 1_000 && second <= 2_000, third >= 2_000 && third <= 4_000]).toEqual([
    true,
    true,
    true,
  ]);
});

test('too large a disk is not sent twice: what CDI says is the error', async () => {
  const said = 'Saving stream failed: effective image size is larger than the reported available storage';
  const done = await upload(makeDisk(), { answers: [{ status: 400, said }] });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: `shop/web-root-abcde: CDI refuses the disk (400 ${said}).`,
  });
  expect(done.reads).toBe(1);
});

test('an answer that comes before the disk was read is heard, and the source closed', async () => {
  const closed: number[] = [];
  const disk = makeDisk(24 * MEBIBYTE);
  const done = await upload(
    async function* () {
      try {
        yield* inPieces(disk);
      } finally {
        closed.push(1);
      }
    },
    { answers: [{ early: 400, said: 'Saving stream failed: too large' }] },
    { target: { size: disk.byteLength } },
  );
  expect(await done.result()).toMatchObject({
    message: 'shop/web-root-abcde: CDI refuses the disk (400 Saving stream failed: too large).',
  });
  expect(closed).toEqual([1]);
});

test('what an ingress says of too large a body names the way out', async () => {
  const done = await upload(makeDisk(), { answers: [{ status: 413, said: '<center>nginx</center>' }] });
  expect(await done.result()).toMatchObject({
    hint: expect.stringContaining('proxy-body-size'),
    message: expect.stringContaining('413 nginx'),
  });
});

test('a token that the proxy does not know is followed by another', async () => {
  const done = await upload(makeDisk(), { badTokens: 1 });
  expect(await done.result()).toBeUndefined();
  expect(done.requests).toEqual([
    'TOKEN web-root-abcde',
    'HEAD /v1beta1/upload-async',
    'TOKEN web-root-abcde',
    'HEAD /v1beta1/upload-async',
    LAST,
  ]);
});

test('a proxy that takes none of two tokens in a row is another cluster’s', async () => {
  const done = await upload(makeDisk(), { badTokens: 9 });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: expect.stringContaining("does not accept CDI's token (401)"),
    hint: 'Is it the upload proxy of the same cluster, and do the clocks there agree?',
  });
  expect(done.reads).toBe(0);
});

test('each try has a token of its own, and what finds the way has that of its try', async () => {
  const done = await upload(makeDisk(), { answers: [{ status: 503 }, 'take'] });
  expect(await done.result()).toBeUndefined();
  expect(done.headers.map(({ authorization }) => authorization)).toEqual([
    'Bearer token-1',
    'Bearer token-1',
    'Bearer token-2',
  ]);
});

test('an API server that does not know CDI for a moment is asked again', async () => {
  const away = new ClusterError(503, 'ServiceUnavailable', 'the server is currently unable to handle the request');
  const done = await upload(makeDisk(), { refuseToken: (count) => (count === 1 ? away : undefined) });
  expect(await done.result()).toBeUndefined();
});

test('a user who may not make tokens is told at once', async () => {
  const denied = new ClusterError(403, 'Forbidden', 'uploadtokenrequests is forbidden');
  const done = await upload(makeDisk(), { refuseToken: () => denied });
  expect(await done.result()).toBe(denied);
  expect(done.requests).toEqual(['TOKEN web-root-abcde']);
});

test('a proxy that takes no byte any more is left after the timeout, and the disk is sent again', async () => {
  const disk = makeDisk(24 * MEBIBYTE);
  const done = await upload(disk, { answers: ['stall', 'take'] });
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toMatchObject({ sha256: sha256(disk) });
  expect(done.told).toContainEqual(expect.stringContaining('for 60 s'));
});

test('a source that gives no byte any more is left after the timeout, and read anew', async () => {
  const disk = makeDisk();
  let reads = 0;
  let waking: NodeJS.Timeout | undefined;
  const clock = fakeClock();
  onTestFinished(() => clearInterval(waking));
  const done = await upload(
    async function* () {
      reads += 1;
      clearInterval(waking);
      yield disk.subarray(0, MEBIBYTE);
      if (reads === 1) {
        waking = setInterval(() => clock.wake(), 10);
        await new Promise(() => {});
      }
      yield* inPieces(disk.subarray(MEBIBYTE));
    },
    {},
    { clock, target: { size: disk.byteLength } },
  );
  expect(await done.result()).toBeUndefined();
  expect(done.stored).toMatchObject({ sha256: sha256(disk) });
  expect(done.told).toContainEqual(expect.stringContaining('its source gave no byte for 60 s'));
});

test('a disk that was taken without an answer is not sent twice', async () => {
  const disk = makeDisk();
  const done = await upload(disk, { answers: ['take and reset'] });
  expect(await done.result()).toBeUndefined();
  expect(done.requests.filter((line) => line === LAST)).toHaveLength(1);
});

test('a claim that was filled by something else is not taken for this disk', async () => {
  const done = await upload(makeDisk(), {
    claim: { annotations: { 'cdi.kubevirt.io/storage.pod.phase': 'Succeeded' } },
  });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: 'shop/web-root-abcde: the claim already has been filled.',
  });
  expect(done.requests).toEqual([]);
});

test.each(['take and restart', 'take and go', 'take and fail'] as const)(
  'an upload server that is lost while it finishes (%s) gets the disk again',
  async (lost) => {
    const disk = makeDisk();
    const done = await upload(disk, { answers: [lost, 'take'] });
    expect(await done.result()).toBeUndefined();
    expect(done.stored).toMatchObject({ sha256: sha256(disk) });
    expect(done.reads).toBe(2);
  },
);

test.each([
  ['shorter', 2 * MEBIBYTE - 1, 'should have 2097152 bytes, and has only 2097151'],
  ['longer', 2 * MEBIBYTE + 1, 'should have 2097152 bytes, and has more than that'],
])('a source that is %s than the disk never ends the upload as if whole', async (_what, bytes, message) => {
  const done = await upload(() => inPieces(makeDisk(bytes)));
  expect(await done.result()).toMatchObject({ code: 'IMPORT_FAILED', message: expect.stringContaining(message) });
  expect(done.stored).toBeUndefined();
  expect(done.reads).toBe(1);
});

test.each(['raw', 'gzip'] as const)(
  'what a source throws ends the upload (%s) as it is, and nothing is kept',
  async (encoding) => {
    const damaged = new TransshipError('ARCHIVE_DAMAGED', 'volumes/root/disk.img has another digest.');
    const closed: string[] = [];
    const done = await upload(
      async function* () {
        try {
          yield* inPieces(makeDisk(1.5 * MEBIBYTE));
          throw damaged;
        } finally {
          closed.push('closed');
        }
      },
      {},
      { encoding },
    );
    expect(await done.result()).toBe(damaged);
    expect(done.stored).toBeUndefined();
    expect(closed).toEqual(['closed']);
  },
);

test('a source is closed when the connection breaks under it', async () => {
  const closed: number[] = [];
  let reads = 0;
  const disk = makeDisk(16 * MEBIBYTE);
  const done = await upload(
    async function* () {
      reads += 1;
      const number = reads;
      try {
        yield* inPieces(disk);
      } finally {
        closed.push(number);
      }
    },
    { answers: [{ resetAt: 1000 }, 'take'] },
    { target: { size: disk.byteLength } },
  );
  expect(await done.result()).toBeUndefined();
  expect(closed).toEqual([1, 2]);
});

test('a proxy whose certificate is of another authority gets nothing, and is not asked again', async () => {
  const fake = await fakeCdi();
  const done = await upload(makeDisk(), {}, { proxy: { url: fake.proxy.url, ca: otherAuthority.cert } });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: expect.stringContaining('no TLS connection that can be trusted'),
  });
  expect(done.reads).toBe(0);
  expect(fake.requests).toEqual([]);
});

test('the proxy is reached by its service name through another address', async () => {
  const fake = await fakeCdi();
  const http = await createVmHttp();
  onTestFinished(() => http.close());
  const disk = makeDisk();
  await uploadVolume(
    fake.cluster,
    fake.discovery,
    { namespace: 'shop', pvc: 'web-root-abcde', size: disk.byteLength },
    () => inPieces(disk),
    {
      ...{ http, clock: fake.clock, encoding: 'raw', timeout: 60_000, retries: 0, reporter: silentReporter },
      proxy: {
        url: 'cdi-uploadproxy.cdi.svc',
        ca: fake.proxy.ca,
        serverName: 'cdi-uploadproxy.cdi.svc',
        connect: { host: '127.0.0.1', port: Number(new URL(fake.proxy.url).port) },
      },
    },
  );
  expect(fake.stored).toMatchObject({ sha256: sha256(disk) });
});

test('a claim that never takes an upload is told with its state and the last warnings about it', async () => {
  const done = await upload(makeDisk(), {
    looks: Number.POSITIVE_INFINITY,
    claim: { phase: 'Pending' },
    status: {
      phase: 'Pending',
      conditions: [{ type: 'Bound', status: 'False', reason: 'ErrExceededQuota', message: 'exceeded quota: storage' }],
    },
    events: [{ reason: 'ProvisioningFailed', message: 'storageclass "fast" has no provisioner' }],
  });
  expect(await done.result()).toMatchObject({
    code: 'TIMEOUT',
    message:
      'Timed out after 60 s waiting for the claim shop/web-root-abcde to take an upload. Last seen: DataVolume Pending; claim Pending; Bound: ErrExceededQuota, exceeded quota: storage. ProvisioningFailed: storageclass "fast" has no provisioner',
  });
  expect(done.requests).toEqual([]);
});

test('a claim that turns out smaller than its disk is an error', async () => {
  const disk = makeDisk();
  const done = await upload(disk, { capacity: '1Mi' });
  expect(await done.result()).toMatchObject({
    code: 'IMPORT_FAILED',
    message: `The claim shop/web-root-abcde has room for 1048576 bytes, and its disk has ${disk.byteLength}.`,
  });
});

test('cancelling ends the upload at once', async () => {
  const cancel = new AbortController();
  const disk = makeDisk(24 * MEBIBYTE);
  const done = await upload(
    async function* () {
      yield disk.subarray(0, MEBIBYTE);
      cancel.abort();
      yield* inPieces(disk.subarray(MEBIBYTE));
    },
    {},
    { signal: cancel.signal, target: { size: disk.byteLength } },
  );
  expect(await done.result()).toMatchObject({ code: 'CANCELLED' });
  expect(done.stored).toBeUndefined();
});

test('progress is told about once a second, in whole MiB', async () => {
  const done = await upload(makeDisk());
  expect(done.told).toContainEqual(expect.stringMatching(/^web-root-abcde: 0 of 3 MiB, \d+ % uploaded$/));
});
