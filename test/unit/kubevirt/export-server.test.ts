import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ask } from '../../kubevirt/ask.ts';
import { bytesOf, KIB, MIB, mixedDisk, textDisk } from '../../kubevirt/disks.ts';
import { type ExportBackend, exportProxyHandler, proxyPrefix } from '../../kubevirt/export-proxy.ts';
import { exportHandler } from '../../kubevirt/export-server.ts';
import { cutAt } from '../../kubevirt/faults.ts';
import { writeFolder } from '../../kubevirt/volumes.ts';
import { serveForTest, useStandIns } from './stand-in-bed.ts';

useStandIns();

const TOKEN = 'abcdefghijklmnopqrstuvwxyz012345';
const AUTH = { 'x-kubevirt-export-token': TOKEN };
const DISK = mixedDisk(9 * MIB + 13);
const RAW = '/volumes/root/disk.img';
const GZIP = `${RAW}.gz`;

function exporter(token = TOKEN) {
  return exportHandler({ token: () => token, volumes: () => [{ claim: 'root', as: 'disk', volume: { disk: DISK } }] });
}

describe('raw', () => {
  test('is served whole and by ranges', async () => {
    const server = await serveForTest(exporter());
    const head = await server.ask(RAW, { method: 'HEAD', headers: AUTH });
    expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(head.headers).toMatchObject({ 'content-length': String(DISK.size), 'accept-ranges': 'bytes' });
    expect(head.headers).not.toHaveProperty('etag');
    expect(head.headers).not.toHaveProperty('last-modified');

    const whole = await server.ask(RAW, { headers: AUTH });
    expect(Buffer.compare(whole.body, bytesOf(DISK))).toBe(0);
    const part = await server.ask(RAW, { headers: { ...AUTH, range: `bytes=${5 * MIB}-${5 * MIB + 9}` } });
    expect(part).toMatchObject({ status: 206, body: Buffer.from(DISK.read(5 * MIB, 5 * MIB + 10)) });
    expect(part.headers['content-range']).toBe(`bytes ${5 * MIB}-${5 * MIB + 9}/${DISK.size}`);
    const tail = await server.ask(RAW, { headers: { ...AUTH, range: 'bytes=-3' } });
    expect(tail.headers['content-range']).toBe(`bytes ${DISK.size - 3}-${DISK.size - 1}/${DISK.size}`);
    expect(server.sent()).toBe(DISK.size + 10 + 3);
  });

  test('answers 200 with the whole to If-Range, and 416 to a range beyond its end', async () => {
    const server = await serveForTest(exporter());
    const headers = { ...AUTH, range: 'bytes=0-9', 'if-range': '"tag"' };
    expect(await server.ask(RAW, { method: 'HEAD', headers })).toMatchObject({ status: 200 });
    const beyond = await server.ask(RAW, { headers: { ...AUTH, range: `bytes=${DISK.size}-` } });
    expect(beyond).toMatchObject({ status: 416, headers: { 'content-range': `bytes */${DISK.size}` } });
    expect(await server.ask(RAW, { headers: { ...AUTH, range: 'bytes=9-3' } })).toMatchObject({ status: 416 });
  });

  test('ends the connection early when the volume cannot be read', async () => {
    const server = await serveForTest(exporter());
    server.faults.add({ fault: { kind: 'read-error', after: MIB } });
    const broken = await server.ask(RAW, { headers: AUTH });
    expect(broken).toMatchObject({ status: 200, error: 'ECONNRESET' });
    expect(broken.body.byteLength).toBe(MIB);
  });
});

describe('gzip', () => {
  test('knows neither HEAD nor ranges nor a length', async () => {
    const server = await serveForTest(exporter());
    expect(await server.ask(GZIP, { method: 'HEAD', headers: AUTH })).toMatchObject({ status: 400 });
    const whole = await server.ask(GZIP, { headers: { ...AUTH, range: 'bytes=5-6' } });
    expect(whole).toMatchObject({ status: 200, headers: { 'transfer-encoding': 'chunked' } });
    expect(whole.headers).not.toHaveProperty('content-length');
    expect(Buffer.compare(gunzipSync(whole.body), bytesOf(DISK))).toBe(0);
  });

  test('ends well, with less, when the volume cannot be read', async () => {
    const server = await serveForTest(exporter());
    server.faults.add({ fault: { kind: 'read-error', after: 0 } });
    const empty = await server.ask(GZIP, { headers: AUTH });
    expect(empty).toMatchObject({ status: 200, error: undefined });
    expect(gunzipSync(empty.body).byteLength).toBe(0);
  });
});

describe('the token', () => {
  test.each([
    ['no token', {}, '', 401],
    ['another token', { 'x-kubevirt-export-token': 'x' }, '', 401],
    ['the header', AUTH, '', 200],
    ['the query', {}, `?x-kubevirt-export-token=${TOKEN}`, 200],
  ])('%s', async (_, headers, query, status) => {
    const server = await serveForTest(exporter());
    expect(await server.ask(RAW + query, { method: 'HEAD', headers })).toMatchObject({ status });
  });

  test('is compared with all that is in the Secret', async () => {
    const server = await serveForTest(exporter(`${TOKEN}\n`));
    expect(await server.ask(RAW, { method: 'HEAD', headers: AUTH })).toMatchObject({ status: 401 });
    const query = `?x-kubevirt-export-token=${TOKEN}%0A`;
    expect(await server.ask(RAW + query, { method: 'HEAD' })).toMatchObject({ status: 200 });
  });

  test('lets everybody in when it is empty', async () => {
    const server = await serveForTest(exporter(''));
    expect(await server.ask(RAW, { method: 'HEAD' })).toMatchObject({ status: 200 });
  });

  test('is not asked for where nothing is', async () => {
    const server = await serveForTest(exporter());
    expect(await server.ask('/volumes/other/disk.img')).toMatchObject({ status: 404 });
    expect(await server.ask('/exportready')).toMatchObject({ status: 200, body: Buffer.from('OK') });
  });
});

test('a folder is served file by file and as an archive with its holes', async () => {
  const files = [
    { path: 'etc/motd', text: 'hello\n', mode: 0o640 },
    { path: 'lost+found/x', text: 'never' },
    { path: 'big', sparse: { size: 32 * MIB, data: [{ at: 16 * MIB, bytes: Buffer.from('in the middle') }] } },
    { path: 'link', symlink: 'etc/motd' },
    { path: 'etc/away', symlink: '/etc/passwd' },
  ];
  let folder = '';
  const server = await serveForTest((request) =>
    exportHandler({
      token: () => TOKEN,
      volumes: () => [{ claim: 'files', as: 'archive', volume: { folder } }],
    })(request),
  );
  folder = join(server.folder, 'volume');
  await writeFolder(folder, files);
  const at = (path: string, headers = {}) => server.ask(`/volumes/files/${path}`, { headers: { ...AUTH, ...headers } });

  expect(await at('dir')).toMatchObject({ status: 301, headers: { location: '/volumes/files/dir/' } });
  expect((await at('dir/')).body.toString()).toContain('<a href="etc/">etc/</a>');
  expect(await at('dir/etc')).toMatchObject({ status: 301, headers: { location: 'etc/' } });
  expect(await at('dir/link', { range: 'bytes=1-2' })).toMatchObject({ status: 206, body: Buffer.from('el') });
  expect(await at('dir/etc/away')).toMatchObject({ status: 404 });
  expect(await at('disk.img')).toMatchObject({ status: 404 });

  const archive = await at('disk.tar.gz');
  expect(archive.body.byteLength).toBeLessThan(64 * KIB);
  const tar = gunzipSync(archive.body);
  const types = execFileSync('tar', ['-tvf', '-'], { input: tar, encoding: 'utf8' });
  expect(types).toMatch(/33554432 .* \.\/big$/m);
  expect(types).not.toContain('lost+found');
  // The type of a sparse file in GNU's format, which is at byte 156 of its header.
  const header = tar.indexOf('./big\0');
  expect(tar.subarray(header + 156, header + 157).toString()).toBe('S');
  expect(await server.ask('/volumes/files/disk.tar.gz', { method: 'HEAD', headers: AUTH })).toMatchObject({
    status: 400,
  });

  await writeFolder(folder, [{ path: 'dangling', symlink: 'nowhere' }]);
  expect(await at('disk.tar.gz')).toMatchObject({ status: 500 });
});

test('manifests come as a list in JSON or as documents in YAML', async () => {
  const server = await serveForTest(
    exportHandler({
      token: () => TOKEN,
      volumes: () => [],
      manifests: { '/internal/manifests/all': () => [{ a: 1 }] },
    }),
  );
  const json = await server.ask('/internal/manifests/all', { headers: AUTH });
  expect(JSON.parse(json.body.toString())).toEqual({ kind: 'List', apiVersion: 'v1', metadata: {}, items: [{ a: 1 }] });
  const yaml = await server.ask('/internal/manifests/all', { headers: { ...AUTH, accept: 'application/yaml' } });
  expect(yaml.body.toString()).toBe('{"a":1}\n---\n');
});

describe('the proxy', () => {
  const prefix = proxyPrefix('v1', 'shop', 'vm');

  test('takes its prefix off the path, for exports that are ready', async () => {
    const states: Record<string, ExportBackend> = {
      vm: { handle: exporter() },
      starting: 'not-ready',
      late: 'unreachable',
    };
    const server = await serveForTest(exportProxyHandler((_, name) => states[name] ?? 'unknown'));
    const head = (path: string) => server.ask(path, { method: 'HEAD', headers: AUTH });
    expect(await head(prefix + RAW)).toMatchObject({ status: 200 });
    expect(await head(proxyPrefix('v1', 'shop', 'other') + RAW)).toMatchObject({ status: 404 });
    expect(await head(proxyPrefix('v1', 'shop', 'starting') + RAW)).toMatchObject({ status: 503 });
    expect(await head(proxyPrefix('v1', 'shop', 'late') + RAW)).toMatchObject({ status: 502 });
    expect(await head(proxyPrefix('v1alpha1', 'shop', 'vm') + RAW)).toMatchObject({ status: 400 });
    expect(await head(RAW)).toMatchObject({ status: 400 });
  });
});

describe('faults', () => {
  const get = { headers: AUTH };

  test('reset and close break the body where they are told to', async () => {
    const server = await serveForTest(exporter());
    server.faults.add({ fault: { kind: 'reset' } });
    expect(await server.ask(RAW, get)).toMatchObject({ status: 0, error: 'ECONNRESET' });
    server.faults.add({ fault: { kind: 'reset', after: 3 * MIB } });
    const reset = await server.ask(RAW, get);
    expect(reset).toMatchObject({ status: 200, error: 'ECONNRESET' });
    expect(reset.body.byteLength).toBeLessThanOrEqual(3 * MIB);
    expect(server.requests.at(-1)).toMatchObject({ sent: 3 * MIB, ended: 'broken' });
    server.faults.add({ fault: { kind: 'close', after: 3 * MIB + 5 } });
    expect((await server.ask(RAW, get)).body.byteLength).toBe(3 * MIB + 5);
    expect(await server.ask(RAW, get)).toMatchObject({ status: 200, error: undefined });
  });

  test('a short body says that it is whole', async () => {
    const server = await serveForTest(exporter());
    server.faults.add({ fault: { kind: 'short', length: MIB } });
    const short = await server.ask(RAW, get);
    expect(short).toMatchObject({ status: 200, error: undefined, headers: { 'content-length': String(MIB) } });
    expect(short.body.byteLength).toBe(MIB);
  });

  test('a stalled body never ends', async () => {
    const server = await serveForTest(exporter());
    const giveUp = new AbortController();
    server.faults.add({ fault: { kind: 'stall', after: MIB }, onHit: () => giveUp.abort() });
    expect(await server.ask(RAW, { ...get, signal: giveUp.signal })).toMatchObject({ error: 'ABORT_ERR' });
    expect(server.requests).toMatchObject([{ sent: MIB }]);
  });

  test('a byte can be another one, a range ignored, the total wrong, the answer another', async () => {
    const server = await serveForTest(exporter());
    const range = { headers: { ...AUTH, range: 'bytes=100-199' } };
    server.faults.add({ fault: { kind: 'corrupt', at: 7 } });
    const corrupt = await server.ask(RAW, range);
    expect([...corrupt.body].filter((byte, at) => byte !== DISK.read(100, 200)[at])).toHaveLength(1);
    server.faults.add({ fault: { kind: 'ignore-range' } });
    expect(await server.ask(RAW, range)).toMatchObject({ status: 200 });
    server.faults.add({ fault: { kind: 'wrong-total', total: 5 } });
    expect((await server.ask(RAW, range)).headers['content-range']).toBe('bytes 100-199/5');
    server.faults.add({ fault: { kind: 'answer', status: 503, body: 'busy' } });
    expect(await server.ask(RAW, range)).toMatchObject({ status: 503, body: Buffer.from('busy') });
  });

  test('cuts come at bytes of the volume, whichever range they are read with', async () => {
    const server = await serveForTest(exporter());
    const cuts = server.faults.add(cutAt(RAW, [MIB + 5, 4 * MIB, 4 * MIB + 100]));
    const read = async (first: number, last: number) =>
      (await server.ask(RAW, { headers: { ...AUTH, range: `bytes=${first}-${last}` } })).error;
    expect(await read(0, MIB)).toBeUndefined();
    expect(await read(MIB, 2 * MIB)).toBe('ECONNRESET');
    expect(await read(MIB, 2 * MIB)).toBeUndefined();
    expect(await read(4 * MIB, 5 * MIB)).toBe('ECONNRESET');
    expect(await read(4 * MIB, 5 * MIB)).toBe('ECONNRESET');
    expect(await read(4 * MIB, 5 * MIB)).toBeUndefined();
    expect(cuts.hits()).toBe(3);
  });

  test('a rotated certificate is known only to who reads it again', async () => {
    const server = await serveForTest(exporter());
    const next = await server.newAuthority();
    server.faults.add({ fault: { kind: 'none', after: 2 * MIB }, onHit: () => server.rotate(next) });
    expect(await server.ask(RAW, get)).toMatchObject({ error: 'ECONNRESET' });
    expect(await server.ask(RAW, get)).toMatchObject({ status: 0, error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    expect(await ask(`${server.url}${RAW}`, { ...get, ca: next.cert })).toMatchObject({
      status: 200,
      error: undefined,
    });
  });

  test('past its deadline a server ends what is under way and takes nothing new', async () => {
    const server = await serveForTest(exporter());
    server.faults.add({ fault: { kind: 'none', after: MIB }, onHit: () => server.refuse() });
    expect((await server.ask(RAW, get)).body.byteLength).toBe(DISK.size);
    expect(await server.ask(RAW, get)).toMatchObject({ status: 0, error: 'ECONNREFUSED' });
    await server.listen();
    expect(await server.ask(RAW, { ...get, method: 'HEAD' })).toMatchObject({ status: 200 });
  });

  test('a name of its own is in the certificate', async () => {
    const server = await serveForTest(exporter());
    const named = await server.ask(RAW, { ...get, method: 'HEAD', serverName: 'export.shop.svc' });
    expect(named).toMatchObject({ status: 200 });
    const other = await server.ask(RAW, { ...get, method: 'HEAD', serverName: 'other.shop.svc' });
    expect(other).toMatchObject({ error: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });
});

test('a slow body takes its time', async () => {
  const disk = textDisk(64 * KIB);
  const server = await serveForTest(
    exportHandler({ token: () => '', volumes: () => [{ claim: 'root', as: 'disk', volume: { disk } }] }),
  );
  server.faults.add({ fault: { kind: 'slow', bytesPerSecond: 640 * KIB } });
  const start = performance.now();
  expect((await server.ask(RAW)).body.byteLength).toBe(disk.size);
  expect(performance.now() - start).toBeGreaterThan(90);
});
