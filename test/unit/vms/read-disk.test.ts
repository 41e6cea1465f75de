import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { isZeros, type ReadDiskOptions, readDisk } from '../../../src/vms/read-disk.ts';
import { makeCertificate } from '../cluster/certificates.ts';
import { authority, jumpingClock } from '../cluster/misbehaving-server.ts';
import {
  type Asked,
  type Behave,
  type DiskServer,
  openVmHttp,
  type ServeOptions,
  serveDisk,
  startDiskServer,
  TOKEN,
  VOLUME,
} from './disk-server.ts';

const KIB = 1024;
/** An odd tail, as disks of 512-byte sectors and files have. */
const SIZE = 3 * 1024 * KIB + 12_345;
const disk = randomBytes(SIZE);

type Changes = Partial<ReadDiskOptions>;

async function open(server: DiskServer, changes: Changes = {}) {
  const clock = jumpingClock();
  const links = async () => server.links();
  const http = changes.http ?? (await openVmHttp());
  const options = { http, links, refresh: links, token: TOKEN, timeout: 600_000, rangeBytes: 256 * KIB, clock };
  return { clock, reading: await readDisk(VOLUME, { ...options, ...changes }) };
}

async function readAll(server: DiskServer, changes: Changes = {}) {
  const { reading, clock } = await open(server, changes);
  const pieces: Uint8Array[] = [];
  for await (const piece of reading.pieces) pieces.push(piece);
  return { ...reading, pieces, bytes: Buffer.concat(pieces), clock };
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Does something with the first Range request that begins at or after a byte. */
function onceAt(byte: number, behave: (asked: Asked) => boolean | undefined | Promise<boolean | undefined>): Behave {
  let isDone = false;
  return (asked) => {
    if (isDone || asked.range === undefined || asked.range.start < byte) return false;
    isDone = true;
    return behave(asked);
  };
}

async function serve(asked: Asked, options: ServeOptions & { bytes?: Uint8Array } = {}): Promise<true> {
  await serveDisk(asked, options.bytes ?? disk, options);
  return true;
}

const cut = (asked: Asked) => serve(asked, { cutAfter: { bytes: 5000, how: 'reset' } });

test('a disk is read whole, in order, in pieces that stay as they are', async () => {
  const server = await startDiskServer(disk);
  const { size, pieces, bytes } = await readAll(server);
  expect(size).toBe(SIZE);
  expect(digest(bytes)).toBe(digest(disk));
  expect(Math.max(...pieces.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(1024 * KIB);
  expect(server.requests[0]).toEqual({ method: 'HEAD', range: undefined });
  expect(server.requests.slice(1).map(({ range }) => range?.start)).toEqual(
    Array.from({ length: 13 }, (_, index) => index * 256 * KIB),
  );
});

test('large ranges are joined to pieces of 1 MiB', async () => {
  const server = await startDiskServer(disk);
  const { pieces } = await readAll(server, { rangeBytes: 2048 * KIB });
  expect(pieces.map(({ byteLength }) => byteLength)).toEqual([1024 * KIB, 1024 * KIB, 1024 * KIB, 12_345]);
});

test('as many ranges as allowed are requested at once, over connections that are kept', async () => {
  let now = 0;
  let most = 0;
  const server = await startDiskServer(disk, async (asked) => {
    if (asked.range === undefined) return false;
    most = Math.max(most, ++now);
    asked.response.on('close', () => now--);
    await new Promise((resolve) => setImmediate(resolve));
    return false;
  });
  await readAll(server, { ranges: 3, rangeBytes: 128 * KIB });
  expect(most).toBe(3);
  expect(server.connections.accepted).toBeLessThanOrEqual(4);
});

test('a reader that takes nothing is not read ahead of', async () => {
  const server = await startDiskServer(disk);
  const { reading } = await open(server, { ranges: 2 });
  const pieces = reading.pieces[Symbol.asyncIterator]();
  await pieces.next();
  await expect.poll(() => server.sent.bytes).toBe(2 * 256 * KIB);
  expect(server.requests).toHaveLength(3);
  await pieces.return?.();
});

test('reading can begin in the middle', async () => {
  const server = await startDiskServer(disk);
  const { size, bytes } = await readAll(server, { from: 1_234_567 });
  expect(size).toBe(SIZE);
  expect(digest(bytes)).toBe(digest(disk.subarray(1_234_567)));
});

test('nothing is left at the end, and nothing is asked for', async () => {
  const server = await startDiskServer(disk);
  expect((await readAll(server, { from: SIZE })).bytes).toHaveLength(0);
  expect(server.requests).toEqual([{ method: 'HEAD', range: undefined }]);
});

test('a disk that is smaller than what was read of it before is another one', async () => {
  const server = await startDiskServer(disk);
  await expect(open(server, { from: SIZE + 1 })).rejects.toMatchObject({
    code: 'CLUSTER',
    message: `The volume "rootdisk" can't be read on from byte ${SIZE + 1}: it has ${SIZE}. It is not the one that was read before.`,
  });
});

test('an empty disk has no pieces', async () => {
  const server = await startDiskServer(new Uint8Array());
  expect(await readAll(server)).toMatchObject({ size: 0, pieces: [] });
});

test.each([400, 405, 501])('where HEAD is answered with %i the size is that of a Content-Range', async (status) => {
  const server = await startDiskServer(disk, ({ method, response }) => {
    if (method !== 'HEAD') return false;
    response.writeHead(status).end();
    return true;
  });
  const { size, bytes } = await readAll(server);
  expect([size, digest(bytes)]).toEqual([SIZE, digest(disk)]);
  expect(server.requests[1]).toEqual({ method: 'GET', range: { start: 0, end: 1 } });
});

test('an empty disk without HEAD is empty, too', async () => {
  const server = await startDiskServer(new Uint8Array(), ({ method, response }) => {
    if (method === 'HEAD') response.writeHead(405).end();
    return method === 'HEAD';
  });
  expect(await readAll(server)).toMatchObject({ size: 0, pieces: [] });
});

test('zeros cost no memory, and are told from data at once', async () => {
  const sparse = Buffer.alloc(8 * 1024 * KIB);
  sparse[5 * 1024 * KIB] = 1;
  const server = await startDiskServer(sparse);
  const { pieces, bytes } = await readAll(server, { rangeBytes: 2048 * KIB });
  expect(bytes.equals(sparse)).toBe(true);
  expect(pieces.map(isZeros)).toEqual([true, true, true, true, true, false, true, true]);
  expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(2);
});

test.each([
  ['one wrong byte at the end', 1024 * KIB + 5, (bytes: Uint8Array) => bytes.fill(1, -1), false],
  ['one wrong byte at the start', 77, (bytes: Uint8Array) => bytes.fill(1, 0, 1), false],
  ['zeros', 3 * 1024 * KIB + 1, (bytes: Uint8Array) => bytes, true],
  ['nothing', 0, (bytes: Uint8Array) => bytes, true],
])('isZeros: %s', (_, length, change, expected) => {
  expect(isZeros(change(new Uint8Array(length)))).toBe(expected);
});

test('with reuse, pieces come whole and share a few pieces of memory', async () => {
  const large = Buffer.concat([randomBytes(6 * 1024 * KIB), Buffer.alloc(3 * 1024 * KIB), randomBytes(6 * 1024 * KIB)]);
  const server = await startDiskServer(large);
  const { reading } = await open(server, { rangeBytes: 1024 * KIB, ranges: 2, reuse: true });
  const hash = createHash('sha256');
  const memories = new Set<ArrayBufferLike>();
  for await (const piece of reading.pieces) {
    hash.update(piece);
    memories.add(piece.buffer);
  }
  expect(hash.digest('hex')).toBe(digest(large));
  // Of two ranges and the piece in hand; and the one of zeros.
  expect(memories.size).toBeLessThanOrEqual(4);
});

test('a piece that only begins with zeros is told from one of zeros, wherever its first byte of data is', async () => {
  for (const at of [1, 16 * KIB, 512 * KIB + 3, 1024 * KIB - 1]) {
    const mixed = Buffer.alloc(2 * 1024 * KIB + 100);
    mixed[1024 * KIB + at] = 1;
    const { pieces, bytes } = await readAll(await startDiskServer(mixed), { rangeBytes: 1500 * KIB });
    expect(bytes.equals(mixed)).toBe(true);
    expect(isZeros(pieces[0] ?? mixed)).toBe(true);
  }
});

test('a chunked answer is read as well', async () => {
  const server = await startDiskServer(disk, (asked) => asked.range !== undefined && serve(asked, { chunked: true }));
  expect(digest((await readAll(server)).bytes)).toBe(digest(disk));
});

// When it breaks.

test('wherever connections break, and however often, each byte comes once', async () => {
  const small = disk.subarray(0, 300_001);
  const cut = fc.record({ at: fc.nat(small.length - 1), how: fc.constantFrom('end' as const, 'reset' as const) });
  let cuts: { at: number; how: 'end' | 'reset' }[] = [];
  const server = await startDiskServer(small, (asked) => {
    const { range } = asked;
    const found = cuts.find(({ at }) => range !== undefined && at >= range.start && at < range.end);
    if (range === undefined || found === undefined) return false;
    cuts = cuts.filter((one) => one !== found);
    return serve(asked, { bytes: small, cutAfter: { bytes: found.at - range.start, how: found.how } });
  });
  const http = await openVmHttp();
  await fc.assert(
    fc.asyncProperty(
      fc.array(cut, { maxLength: 10 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 30_000, max: 120_000 }),
      fc.nat(100_000),
      async (some, ranges, rangeBytes, from) => {
        cuts = some;
        const { bytes } = await readAll(server, { http, ranges, rangeBytes, from });
        expect(digest(bytes)).toBe(digest(small.subarray(from)));
      },
    ),
    { numRuns: 20 },
  );
});

test('20 cuts at random bytes cost less than 5 % more bytes', async () => {
  const large = Buffer.concat(Array.from({ length: 5 }, () => disk));
  const cuts = Array.from({ length: 20 }, () => Math.floor(Math.random() * large.length)).toSorted((a, b) => a - b);
  const sent = { bytes: 0 };
  const server = await startDiskServer(large, (asked) => {
    const { range } = asked;
    if (range === undefined) return false;
    const index = cuts.findIndex((at) => at >= range.start && at < range.end);
    const [at] = index < 0 ? [] : cuts.splice(index, 1);
    return serve(asked, {
      bytes: large,
      sent,
      ...(at !== undefined && { cutAfter: { bytes: at - range.start, how: 'reset' as const } }),
    });
  });
  const { bytes } = await readAll(server, { rangeBytes: 2048 * KIB });
  expect(digest(bytes)).toBe(digest(large));
  expect(cuts).toEqual([]);
  expect(sent.bytes).toBeLessThan(large.length * 1.05);
});

const troubles: Readonly<Record<string, (asked: Asked) => boolean | Promise<boolean>>> = {
  'the token is not accepted': ({ response }) => Boolean(response.writeHead(401).end()),
  'the export is not known': ({ response }) => Boolean(response.writeHead(404).end('404 page not found')),
  'the export is not ready': ({ response }) => Boolean(response.writeHead(503).end('not ready')),
  'the proxy has no backend': ({ response }) => Boolean(response.writeHead(502).end('<html>Bad Gateway</html>')),
  'the connection is reset before an answer': ({ reset }) => {
    reset();
    return true;
  },
  'the body is shorter than the range': ({ response, range }) => {
    const { start = 0, end = 0 } = range ?? {};
    const headers = { 'content-length': 1000, 'content-range': `bytes ${start}-${end - 1}/${SIZE}` };
    return Boolean(response.writeHead(206, headers).end(disk.subarray(start, start + 1000)));
  },
};

test.each(Object.entries(troubles))('%s once: links are read again, and reading goes on there', async (_, trouble) => {
  const server = await startDiskServer(disk, onceAt(256 * KIB, trouble));
  let refreshed = 0;
  const refresh = async () => {
    refreshed += 1;
    return server.links();
  };
  const { bytes } = await readAll(server, { refresh });
  expect(digest(bytes)).toBe(digest(disk));
  expect(refreshed).toBe(1);
});

test.each([
  ['before an answer', () => true],
  [
    'in the middle',
    ({ response, range }: Asked) => {
      const { start = 0, end = 0 } = range ?? {};
      const headers = { 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${SIZE}` };
      response.writeHead(206, headers).write(disk.subarray(start, start + 1000));
      return true;
    },
  ],
])('a server that stalls %s is asked again', async (_, stall) => {
  const server = await startDiskServer(disk, onceAt(256 * KIB, stall));
  const http = await openVmHttp({ idleTimeout: 150 });
  expect(digest((await readAll(server, { http })).bytes)).toBe(digest(disk));
});

test('a chunked body that is shorter than its range is resumed', async () => {
  const server = await startDiskServer(disk, ({ range, response }, count) => {
    if (range === undefined || count > 12) return false;
    const { start, end } = range;
    response.writeHead(206, { 'content-range': `bytes ${start}-${end - 1}/${SIZE}` });
    response.write(disk.subarray(start, Math.min(start + 1000, end)));
    response.end();
    return true;
  });
  const { bytes, clock } = await readAll(server);
  expect(digest(bytes)).toBe(digest(disk));
  expect(clock.sleeps.length).toBeGreaterThan(2);
});

test.each(Object.entries(troubles).slice(0, 5))(
  '%s when the size is asked for: it is asked again',
  async (_, trouble) => {
    const server = await startDiskServer(disk, (asked, count) => count === 1 && trouble(asked));
    expect((await readAll(server)).size).toBe(SIZE);
  },
);

test('a server may give less of a range than was asked for', async () => {
  const server = await startDiskServer(disk, (asked) => {
    const { range } = asked;
    return (
      range !== undefined && serve({ ...asked, range: { ...range, end: Math.min(range.end, range.start + 99_999) } })
    );
  });
  const { bytes, clock } = await readAll(server);
  expect(digest(bytes)).toBe(digest(disk));
  expect(clock.sleeps).toEqual([]);
});

test('Retry-After is waited for', async () => {
  const server = await startDiskServer(
    disk,
    onceAt(0, ({ response }) => Boolean(response.writeHead(503, { 'retry-after': '7' }).end())),
  );
  const { clock } = await readAll(server);
  expect(clock.sleeps).toEqual([7000]);
});

test('the certificate is rotated in the middle', async () => {
  const next = makeCertificate({ commonName: 'next authority', authority: true });
  let ca = authority.cert;
  const server: DiskServer = await startDiskServer(
    disk,
    onceAt(1_000_000, (asked) => {
      server.rotate(makeCertificate({ commonName: 's', names: ['127.0.0.1'], issuer: next }));
      ca = next.cert;
      return serve(asked, { cutAfter: { bytes: 5000, how: 'reset' } });
    }),
  );
  const { bytes } = await readAll(server, { ranges: 1, refresh: async () => server.links({ ca }) });
  expect(digest(bytes)).toBe(digest(disk));
});

test("links that follow the certificate late don't end the reading", async () => {
  const next = makeCertificate({ commonName: 'next authority', authority: true });
  const server = await startDiskServer(
    disk,
    undefined,
    makeCertificate({ commonName: 's', names: ['127.0.0.1'], issuer: next }),
  );
  let refreshed = 0;
  const refresh = async () => server.links({ ca: ++refreshed < 5 ? authority.cert : next.cert });
  expect(digest((await readAll(server, { refresh })).bytes)).toBe(digest(disk));
});

test('the pod is replaced by one elsewhere', async () => {
  const other = await startDiskServer(disk);
  const server = await startDiskServer(disk, (asked) => (asked.range?.start ?? 0) >= 1_000_000 && cut(asked));
  const { bytes } = await readAll(server, { refresh: async () => other.links() });
  expect(digest(bytes)).toBe(digest(disk));
  expect(other.requests.every(({ range }) => range !== undefined)).toBe(true);
});

test('all ranges that broke with the same links share one look at the new ones', async () => {
  let refreshed = 0;
  const waiting: Asked[] = [];
  const server = await startDiskServer(disk, (asked) => {
    if (asked.range === undefined || refreshed > 0) return false;
    waiting.push(asked);
    if (waiting.length === 4) for (const { reset } of waiting) reset();
    return true;
  });
  const refresh = async () => {
    refreshed += 1;
    return server.links();
  };
  expect(digest((await readAll(server, { refresh })).bytes)).toBe(digest(disk));
  expect(refreshed).toBe(1);
});

// When it can't be read.

async function failure(behave: Behave, changes: Changes = {}): Promise<unknown> {
  const server = await startDiskServer(disk, behave);
  return readAll(server, changes).then(
    () => 'no failure',
    (error: unknown) => error,
  );
}

test('a server that knows no ranges is named as such', async () => {
  expect(await failure((asked) => serve({ ...asked, range: undefined }))).toMatchObject({
    code: 'CLUSTER',
    message: expect.stringMatching(
      /^The volume "rootdisk" can't be read in ranges: https:.*\/disk\.img answers a Range request with the whole of it \(200\)\.$/,
    ),
  });
});

test.each([
  ['another range', { 'content-range': `bytes 5-9/${SIZE}`, 'content-length': '5' }, 'is 206 with the Content-Range'],
  ['a longer range', { 'content-range': `bytes 0-${256 * KIB}/${SIZE}` }, 'is 206 with the Content-Range'],
  ['no size', { 'content-range': `bytes 0-${256 * KIB - 1}/*` }, 'is 206 with the Content-Range'],
  [
    'another size',
    { 'content-range': 'bytes 0-9/10' },
    `was changed while it was read: ${SIZE} bytes before, 10 bytes now`,
  ],
  ['an encoding', { 'content-encoding': 'gzip' }, 'answers in the encoding gzip'],
])('%s in the answer is an error, not data', async (_, headers, message) => {
  const behave: Behave = async (asked) => asked.range?.start === 0 && serve(asked, { headers });
  expect(await failure(behave)).toMatchObject({ code: 'CLUSTER', message: expect.stringContaining(message) });
});

test('an answer without a Content-Range is an error', async () => {
  const behave: Behave = ({ range, response }) =>
    range !== undefined && Boolean(response.writeHead(206, { 'content-length': 4 }).end('data'));
  expect(await failure(behave)).toMatchObject({ message: expect.stringContaining('is 206 with no Content-Range') });
});

test('more bytes than the Content-Range says are an error', async () => {
  const headers = { 'content-range': `bytes 0-9/${SIZE}` };
  const behave: Behave = (asked) => asked.range?.start === 0 && serve(asked, { headers });
  expect(await failure(behave)).toMatchObject({
    message: expect.stringContaining('sent more than its Content-Range says'),
  });
});

test('a disk that shrank is another one', async () => {
  const behave: Behave = (asked) =>
    (asked.range?.start ?? 0) > 1_000_000 && serve(asked, { bytes: disk.subarray(0, 99) });
  expect(await failure(behave)).toMatchObject({
    code: 'CLUSTER',
    message: `The volume "rootdisk" was changed while it was read: ${SIZE} bytes before, 99 bytes now.`,
    hint: expect.stringContaining('stopped'),
  });
});

test('a disk of another version is another one', async () => {
  const behave: Behave = (asked) =>
    serve(asked, { headers: { etag: (asked.range?.start ?? 0) < 1_000_000 ? '"one"' : '"two"' } });
  expect(await failure(behave)).toMatchObject({
    message: 'The volume "rootdisk" was changed while it was read: "one" before, "two" now.',
  });
});

test('when no byte has come for the timeout it gives up, and says where and why', async () => {
  const clock = jumpingClock();
  const behave: Behave = ({ range, response }) =>
    range?.start === 512 * KIB && Boolean(response.writeHead(503, { 'content-length': 19 }).end('<b>no</b> endpoints'));
  expect(await failure(behave, { clock, timeout: 120_000 })).toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringMatching(
      /^The volume "rootdisk" can't be read: no byte came for 120 s, after 524288 of its \d+ bytes\. The last failure: https:.* answers 503: no endpoints\.$/,
    ),
  });
  // The other ranges may have brought bytes after the first failure.
  expect(Math.round(clock.now() / 10_000)).toBe(12);
  expect(Math.max(...clock.sleeps)).toBeLessThanOrEqual(10_000);
});

test('as long as bytes come, however few, it does not give up', async () => {
  const small = disk.subarray(0, 300);
  const server = await startDiskServer(small, (asked) => {
    return asked.range !== undefined && serve(asked, { bytes: small, cutAfter: { bytes: 10, how: 'end' } });
  });
  const { bytes, clock } = await readAll(server, { timeout: 200, ranges: 1 });
  expect(digest(bytes)).toBe(digest(small));
  expect(clock.now()).toBeGreaterThan(200);
});

test('the time a reader takes does not count', async () => {
  const clock = jumpingClock();
  const server = await startDiskServer(disk, onceAt(1_000_000, cut));
  const { reading } = await open(server, { clock, timeout: 1000, ranges: 1 });
  const pieces: Uint8Array[] = [];
  for await (const piece of reading.pieces) {
    pieces.push(piece);
    await clock.sleep(5000);
  }
  expect(digest(Buffer.concat(pieces))).toBe(digest(disk));
});

test.each([401, 403, 404, 302])('%i does not pass, so it is doubted for 30 s only', async (status) => {
  const clock = jumpingClock();
  const behave: Behave = ({ response }) => Boolean(response.writeHead(status, { location: '/login' }).end());
  expect(await failure(behave, { clock })).toMatchObject({
    code: 'CLUSTER',
    message: expect.stringMatching(/no byte came for 30 s, before its size was known\. .* answers \d+ to \/login\.$/),
  });
  expect(clock.now()).toBeCloseTo(30_000);
});

test('a certificate that stays untrusted is named', async () => {
  const server = await startDiskServer(disk);
  const other = makeCertificate({ commonName: 'other', authority: true });
  const links = async () => server.links({ ca: other.cert });
  await expect(readAll(server, { links, refresh: links })).rejects.toMatchObject({
    code: 'CLUSTER',
    message: expect.stringContaining('no TLS connection that can be trusted'),
    hint: expect.stringContaining('signed by the authority'),
  });
});

test('an export that is gone ends the reading with its own words', async () => {
  const gone = new TransshipError('CLUSTER', 'The export is gone.');
  const refresh = async () => {
    throw gone;
  };
  expect(await failure(onceAt(1_000_000, cut), { refresh })).toBe(gone);
});

test.each([
  [{ volumes: [] }, 'The export has no volume "rootdisk"; it has: none.'],
  [
    { volumes: [{ name: VOLUME, formats: { dir: 'https://x/dir', 'tar.gz': 'https://x/tar' } }] },
    'The volume "rootdisk" can\'t be read as a disk: the export offers dir, tar.gz.',
  ],
])('a volume that is no disk is an error that says what there is', async (changes, message) => {
  const server = await startDiskServer(disk);
  await expect(open(server, { links: async () => server.links(changes) })).rejects.toMatchObject({ message });
});

test('the signal ends everything', async () => {
  const stop = new AbortController();
  const behave = onceAt(1_000_000, () => {
    stop.abort();
    return true;
  });
  const server = await startDiskServer(disk, behave);
  await expect(readAll(server, { signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect.poll(() => server.connections.open).toBeLessThanOrEqual(4);
});

test('a reader that leaves early ends all requests', async () => {
  const server = await startDiskServer(disk, ({ range }) => (range?.start ?? 0) > 0);
  const { reading } = await open(server);
  for await (const _ of reading.pieces) break;
  // What is kept are the connections of the size and of the first range.
  await expect.poll(() => server.connections.open).toBeLessThanOrEqual(2);
});

test('the token is in no message', async () => {
  const lines: string[] = [];
  const reporter = {
    info() {},
    warn() {},
    error() {},
    progress() {},
    mask() {},
    debug: (line: string) => lines.push(line),
  };
  const error = await failure(({ response }) => Boolean(response.writeHead(401).end()), { reporter });
  expect(lines.length).toBeGreaterThan(3);
  expect([...lines, String(error)].join('\n')).not.toContain(TOKEN);
});
