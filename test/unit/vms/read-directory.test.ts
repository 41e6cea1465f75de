import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/cluster/clock.ts';
import { TransshipError } from '../../../src/errors.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import type { DownloadOptions } from '../../../src/vms/download-tar.ts';
import type { VmHttp, VmRequest, VmResponse } from '../../../src/vms/http.ts';
import { VmHttpError } from '../../../src/vms/http-error.ts';
import type { ExportLinks } from '../../../src/vms/links.ts';
import { readDirectory } from '../../../src/vms/read-directory.ts';
import { collectEntries, KIB, MIB, makeVolume, writeSparse } from '../archive/file-trees.ts';
import { errorOf, expectSameBytes, noise, run, silentAfter, temporaryFolder } from '../archive/helpers.ts';

/** What the export server sends for a folder: `tar Scv --exclude=lost+found .` through gzip. */
async function exported(folder: string): Promise<Buffer> {
  return gzipSync(await run('tar', ['-Sc', '--sort=name', '--exclude=lost+found', '-C', folder, '.']));
}

const links = (attempt: number): ExportLinks => ({
  volumes: [{ name: 'data', formats: { dir: 'https://e/dir', 'tar.gz': `https://e/${attempt}/disk.tar.gz` } }],
  ca: `CA ${attempt}`,
  serverName: 'e.shop.svc',
  connect: { host: '127.0.0.1', port: 4443 },
});

type Answer = (() => AsyncIterable<Uint8Array>) | { status: number; text?: string } | Error;

/** Sends a whole body in pieces. */
const whole = (bytes: Uint8Array, size = 50_000) =>
  async function* () {
    for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
  };

const lost = () => new VmHttpError('lost', 'GET: the connection broke: read ECONNRESET.', { cause: undefined });

/** Resets the connection after some bytes. */
const cutAfter = (bytes: Uint8Array, length: number) =>
  async function* () {
    yield* whole(bytes.subarray(0, length))();
    throw lost();
  };

/** An export server that gives its answers one after the other, the last one for ever. */
function serve(...answers: readonly Answer[]) {
  const requests: VmRequest[] = [];
  const told: { debug: string[]; warn: string[] } = { debug: [], warn: [] };
  let time = 0;
  let refreshed = 0;
  const clock: Clock = {
    now: () => time,
    sleep: async (milliseconds) => {
      time += milliseconds;
    },
  };
  const http: VmHttp = {
    async request(options): Promise<VmResponse> {
      const answer = answers[Math.min(requests.length, answers.length - 1)] ?? new Error('no answer');
      requests.push(options);
      if (answer instanceof Error) throw answer;
      const [status, body, text] =
        typeof answer === 'function'
          ? [200, answer(), '']
          : [answer.status, whole(Buffer.from(''))(), answer.text ?? ''];
      return { status, headers: {}, body, text: async () => text };
    },
    receive: async () => {
      throw new Error('not used');
    },
    close: async () => {},
  };
  const options: DownloadOptions = {
    http,
    links: async () => links(0),
    refresh: async () => links(++refreshed),
    token: 'T'.repeat(32),
    timeout: 60_000,
    clock,
    reporter: {
      ...silentReporter,
      debug: (message) => told.debug.push(message),
      warn: (message) => told.warn.push(message),
    },
  };
  return { options, requests, told, time: () => time };
}

const readAll = (options: DownloadOptions) => collectEntries(readDirectory('data', options));

describe('reading a volume that is a folder', () => {
  it('yields its files, folders and links as they are, holes as zeros', async () => {
    const folder = temporaryFolder();
    makeVolume(folder);
    mkdirSync(join(folder, 'lost+found'));
    const { options, requests, told } = serve(whole(await exported(folder)));
    const found = await readAll(options);
    const names = execFileSync('find', ['.', '-printf', '%P\\n'], { cwd: folder, encoding: 'utf8' })
      .trimEnd()
      .split('\n');
    expect([...found.keys()].sort()).toEqual(
      names
        .map((name) => name || '.')
        .filter((name) => name !== 'lost+found')
        .sort(),
    );
    expectSameBytes(found.get('disk.img')?.content ?? Buffer.alloc(0), readFileSync(join(folder, 'disk.img')));
    expect(found.get('disk.img')?.holes).toHaveLength(2);
    expect(found.get('conf/app.ini')?.mode).toBe(0o4751);
    expect(requests).toEqual([
      {
        method: 'GET',
        url: 'https://e/0/disk.tar.gz',
        headers: { 'x-kubevirt-export-token': 'T'.repeat(32), 'accept-encoding': 'identity' },
        ca: 'CA 0',
        serverName: 'e.shop.svc',
        connect: { host: '127.0.0.1', port: 4443 },
      },
    ]);
    expect(told).toEqual({ debug: [], warn: [] });
  });

  it('yields the folder itself for an empty volume', async () => {
    const { options } = serve(whole(await exported(temporaryFolder())));
    expect([...(await readAll(options)).values()]).toMatchObject([{ path: '.', type: 'directory', mode: 0o700 }]);
  });

  it('starts again after every break, with fresh links, and yields nothing twice', async () => {
    const folder = temporaryFolder();
    makeVolume(folder);
    const bytes = await exported(folder);
    const cuts = Array.from({ length: 20 }, (_, i) => Math.floor((bytes.byteLength * (i + 1)) / 21));
    const { options, requests, told } = serve(...cuts.map((cut) => cutAfter(bytes, cut)), whole(bytes, 77_777));
    const found = await readAll(options);
    for (const name of ['disk.img', 'plain.bin', 'tail-hole.img']) {
      expectSameBytes(found.get(name)?.content ?? Buffer.alloc(0), readFileSync(join(folder, name)), name);
    }
    expect(requests.map(({ url, ca }) => [url, ca])).toEqual(
      Array.from({ length: 21 }, (_, i) => [`https://e/${i}/disk.tar.gz`, `CA ${i}`]),
    );
    expect(told.debug[0]).toMatch(/^Volume "data", again in 0\.1 s: GET: the connection broke: read ECONNRESET\.$/);
  });

  it('goes on after refused connections, 401, 503 and a server that ends gzip or tar too early', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(MIB));
    const tar = await run('tar', ['-Sc', '-C', folder, '.']);
    const { options, told } = serve(
      new VmHttpError('unreachable', 'GET: no connection: ECONNREFUSED.', { cause: undefined }),
      { status: 401 },
      { status: 503, text: 'export is not ready\n' },
      // A server that fails to read what it sends answers 200, with whole gzip streams.
      whole(gzipSync(Buffer.alloc(0))),
      whole(gzipSync(tar.subarray(0, 700_000))),
      whole(gzipSync(tar).subarray(0, 900_000)),
      whole(Buffer.concat([gzipSync(tar).subarray(0, -8), Buffer.alloc(8)])),
      whole(Buffer.from('<html>')),
      whole(gzipSync(tar)),
    );
    const found = await readAll(options);
    expectSameBytes(found.get('f')?.content ?? Buffer.alloc(0), noise(MIB));
    expect(told.debug.map((text) => text.replace(/^.* s: /, '').replace(/after \d{6} bytes/, 'after N bytes'))).toEqual(
      [
        'GET: no connection: ECONNREFUSED.',
        'https://e/1/disk.tar.gz answers 401.',
        'https://e/2/disk.tar.gz answers 503: export is not ready.',
        'https://e/3/disk.tar.gz ended after 0 bytes, before the end of the tar.',
        'https://e/4/disk.tar.gz ended after N bytes, before the end of the tar.',
        'https://e/5/disk.tar.gz ended after N bytes, before the end of the tar.',
        'https://e/6/disk.tar.gz sends a damaged gzip stream: incorrect data check.',
        'https://e/7/disk.tar.gz sends a damaged gzip stream: incorrect header check.',
      ],
    );
  });

  it('gives up when there was no progress for the timeout, naming volume, place and cause', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(MIB));
    const bytes = await exported(folder);
    const { options, time } = serve(cutAfter(bytes, 600_000), { status: 500, text: 'no' });
    const { code, message } = await errorOf(readAll(options));
    expect(code).toBe('TIMEOUT');
    expect(message).toMatch(
      /^The volume "data" can't be read: no byte came for 60 s, \d{6} bytes into the tar of its files\. The last failure: https:\/\/e\/\d+\/disk\.tar\.gz answers 500: no\.$/,
    );
    expect(time()).toBeGreaterThanOrEqual(60_000);
    expect(time()).toBeLessThan(61_000);
  });

  it('refuses a volume that was changed between two downloads', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(MIB));
    const before = await exported(folder);
    writeFileSync(join(folder, 'f'), noise(MIB, 2));
    const { options, requests } = serve(cutAfter(before, 600_000), whole(await exported(folder)));
    const { code, message } = await errorOf(readAll(options));
    expect(code).toBe('CLUSTER');
    expect(message).toMatch(
      /^The volume "data" was changed while it was read: the first \d+ bytes of its tar before, others now\.$/,
    );
    expect(requests).toHaveLength(2);
  });

  it('refuses a valid archive of nothing, which a server sends that may not read the volume', async () => {
    const { options } = serve(whole(gzipSync(Buffer.alloc(10_240))));
    expect(await errorOf(readAll(options))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The volume "data" can\'t be read: the export server sent an empty tar.',
    });
  });

  it('names volume and path of what it refuses', async () => {
    const folder = temporaryFolder();
    symlinkSync('/etc/passwd', join(folder, 'passwd'));
    const { options, requests } = serve(whole(await exported(folder)));
    expect(await errorOf(readAll(options))).toMatchObject({
      code: 'ARCHIVE_UNSUPPORTED',
      message: 'The volume "data": The link "passwd" points to "/etc/passwd", which is absolute.',
    });
    expect(requests).toHaveLength(1);
  });

  it('names the volume of a tar that is damaged', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), 'x');
    const tar = await run('tar', ['-Sc', '-C', folder, '.']);
    tar[600] = 1;
    const { options } = serve(whole(gzipSync(tar)));
    expect((await errorOf(readAll(options))).message).toBe(
      'The volume "data": The tar is damaged inside or right after .: a header has another checksum than it says.',
    );
  });

  it('leaves out pipes with one warning', async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 6; i++) execFileSync('mkfifo', [join(folder, `pipe-${i}`)]);
    linkSync(join(folder, 'pipe-0'), join(folder, 'same-pipe'));
    const { options, told } = serve(whole(await exported(folder)));
    expect([...(await readAll(options)).keys()]).toEqual(['.']);
    expect(told.warn).toEqual([
      'The volume "data" has devices or pipes, which hold no data and are left out: pipe-0, pipe-1, pipe-2, pipe-3, pipe-4 and 2 more.',
    ]);
  });

  it('refuses a volume that is a disk, or is not there, naming what there is', async () => {
    const { options, requests } = serve(new Error('unused'));
    const disk: ExportLinks = {
      volumes: [{ name: 'data', formats: { raw: 'https://e/raw', gzip: 'https://e/gz' } }],
      ca: undefined,
    };
    const withLinks = { ...options, links: async () => disk };
    expect((await errorOf(readAll(withLinks))).message).toBe(
      'The volume "data" can\'t be read as a folder: the export offers raw, gzip.',
    );
    expect((await errorOf(collectEntries(readDirectory('other', withLinks)))).message).toBe(
      'The export has no volume "other"; it has: data.',
    );
    expect(requests).toEqual([]);
  });

  it('passes on why there are no fresh links', async () => {
    const bytes = await exported(temporaryFolder());
    const refresh = async () => {
      throw new TransshipError('CLUSTER', 'The export is gone.');
    };
    const { options } = serve(cutAfter(bytes, 10));
    expect((await errorOf(readAll({ ...options, refresh }))).message).toBe('The export is gone.');
  });

  it('ends with the reason when the signal fires while the server is silent, and asks no more', async () => {
    const folder = temporaryFolder();
    writeSparse(join(folder, 'f'), MIB, [[0, noise(64 * KIB)]]);
    const bytes = await exported(folder);
    const controller = new AbortController();
    const { options, requests } = serve(() => silentAfter(bytes.subarray(0, 1000)));
    const reading = errorOf(readAll({ ...options, signal: controller.signal }));
    await new Promise(setImmediate);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await reading).message).toBe('stopped by the user');
    expect(requests).toHaveLength(1);
  });

  it('closes the connection when its reader stops early', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(3 * MIB));
    const bytes = await exported(folder);
    let closed = false;
    const { options } = serve(async function* () {
      try {
        yield* whole(bytes)();
      } finally {
        closed = true;
      }
    });
    for await (const { path } of readDirectory('data', options)) if (path === 'f') break;
    expect(closed).toBe(true);
  });
});
