import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bytesOf, gptDisk, MIB, mixedDisk, piecesOf } from '../../kubevirt/disks.ts';
import type { ReceivedDisk } from '../../kubevirt/received-disk.ts';
import { type UploadClaim, uploadProxyHandler } from '../../kubevirt/upload-proxy.ts';
import { createUploadServer, type UploadServerOptions } from '../../kubevirt/upload-server.ts';
import { createClock, createUploadTokens, newSigningKeys } from '../../kubevirt/upload-token.ts';
import { serveForTest, useStandIns } from './stand-in-bed.ts';

useStandIns();

const DISK = mixedDisk(5 * MIB + 3);
const PATH = '/v1beta1/upload';
const KEYS = newSigningKeys();

async function startUpload(options: Partial<UploadServerOptions> = {}) {
  const clock = createClock();
  const tokens = createUploadTokens(clock, KEYS);
  const stored: ReceivedDisk[] = [];
  const server = createUploadServer({ capacity: 6 * MIB, onStored: (disk) => stored.push(disk), ...options });
  const claims: Record<string, UploadClaim | undefined> = { root: { isTarget: true, isReady: true, server } };
  const proxy = await serveForTest(
    uploadProxyHandler({ tokens, readyWait: 100, find: async (_, name) => claims[name] }),
  );
  const authorization = `Bearer ${tokens.issue({ namespace: 'shop', name: 'root' })}`;
  const post = (body: Uint8Array | AsyncIterable<Uint8Array>, path = PATH, headers: Record<string, string> = {}) =>
    proxy.ask(path, { method: 'POST', headers: { authorization, ...headers }, body });
  return { proxy, post, claims, clock, stored, server, authorization };
}

describe('an upload', () => {
  test.each([
    ['raw', bytesOf(DISK)],
    ['gzip', gzipSync(bytesOf(DISK))],
  ])('of %s is stored, once', async (_, body) => {
    const { post, stored, claims, server } = await startUpload();
    expect(await post(body)).toMatchObject({ status: 200 });
    expect(stored.map((disk) => [disk.size, disk.sha256()])).toEqual([[DISK.size, DISK.sha256()]]);
    expect(await post(body)).toMatchObject({ status: 409 });
    claims.root = { isTarget: true, isReady: true, podPhase: 'Succeeded', server };
    const again = await post(body);
    expect(again).toMatchObject({ status: 503 });
    expect(again.body.toString()).toBe('rejecting Upload Request for PVC root that already finished uploading');
  });

  test('may come in chunks', async () => {
    const { post, stored } = await startUpload();
    expect(await post(Readable.from(piecesOf(DISK)))).toMatchObject({ status: 200 });
    expect(stored[0]?.sha256()).toBe(DISK.sha256());
  });

  test('that is asynchronous is answered before it is processed, and knows HEAD', async () => {
    let finish = () => {};
    const process = () => new Promise<void>((resolve) => (finish = resolve));
    const { proxy, post, server, stored, authorization } = await startUpload({ process });
    const head = (path: string) => proxy.ask(path, { method: 'HEAD', headers: { authorization } });
    expect(await head('/v1beta1/upload-async')).toMatchObject({ status: 200 });
    expect(await head(PATH)).toMatchObject({ status: 404 });
    expect(await post(bytesOf(DISK), '/v1beta1/upload-async')).toMatchObject({ status: 200 });
    expect([server.state, stored.length]).toEqual(['processing', 0]);
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 503 });
    finish();
    await expect.poll(() => server.state).toBe('done');
    expect(stored[0]?.sha256()).toBe(DISK.sha256());
  });

  test('that is cut in the middle of gzip leaves nothing, and the next may begin', async () => {
    const { post, stored, server } = await startUpload();
    const body = gzipSync(bytesOf(DISK));
    const cut = await post(body.subarray(0, body.byteLength / 2));
    expect(cut).toMatchObject({ status: 500 });
    expect(cut.body.toString()).toBe('Saving stream failed: unexpected end of file');
    expect([server.state, stored.length]).toEqual(['waiting', 0]);
    expect(await post(body)).toMatchObject({ status: 200 });
    expect(server.attempts()).toBe(2);
  });

  test('that breaks leaves nothing, and the next may begin', async () => {
    const { post, proxy, stored, server } = await startUpload();
    proxy.faults.add({ fault: { kind: 'reset', after: 2 * MIB } });
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 0 });
    expect(proxy.requests[0]).toMatchObject({ ended: 'broken' });
    expect([server.state, stored.length]).toEqual(['waiting', 0]);
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 200 });
  });

  test('is stored even when the answer is lost', async () => {
    const { post, proxy, stored } = await startUpload();
    proxy.faults.add({ fault: { kind: 'lose-answer' } });
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 0, error: 'ECONNRESET' });
    expect(stored[0]?.sha256()).toBe(DISK.sha256());
  });

  test('that is short and ends in order is taken as it is', async () => {
    const { post, stored } = await startUpload();
    expect(await post(bytesOf(DISK).subarray(0, 1000))).toMatchObject({ status: 200 });
    expect(stored[0]?.size).toBe(1000);
  });

  test.each([
    ['too much for the volume', new Uint8Array(7 * MIB), 400, 'larger than the reported available storage'],
    ['too much once unpacked', gzipSync(new Uint8Array(7 * MIB)), 400, 'larger than the reported available storage'],
    ['less than 512 bytes', new Uint8Array(511), 500, 'unexpected EOF'],
    ['zstd', zstdCompressSync(bytesOf(gptDisk(5 * MIB))), 500, 'window size exceeded'],
    ['xz', Buffer.concat([Buffer.from('fd377a585a0000', 'hex'), Buffer.alloc(600)]), 500, 'xz: checksum error'],
  ])('of %s fails', async (_, body, status, message) => {
    const { post, stored, server } = await startUpload();
    const failed = await post(body);
    expect(failed).toMatchObject({ status });
    expect(failed.body.toString()).toContain(message);
    expect([server.state, stored.length]).toEqual(['waiting', 0]);
  });
});

describe('the token', () => {
  test('is needed, is ours, and ends after 5 minutes', async () => {
    const { proxy, clock, authorization } = await startUpload();
    const head = (headers: Record<string, string>) => proxy.ask(`${PATH}-async`, { method: 'HEAD', headers });
    expect(await head({})).toMatchObject({ status: 400 });
    expect(await head({ authorization: 'Basic abc' })).toMatchObject({ status: 400 });
    expect(await head({ authorization: 'Bearer a.b.c' })).toMatchObject({ status: 401 });
    const foreign = createUploadTokens(clock).issue({ namespace: 'shop', name: 'root' });
    expect(await head({ authorization: `Bearer ${foreign}` })).toMatchObject({ status: 401 });
    clock.advance(5 * 60_000);
    expect(await head({ authorization })).toMatchObject({ status: 200 });
    clock.advance(11_000);
    expect(await head({ authorization })).toMatchObject({ status: 401 });
  });

  test('is looked at once: an upload may go on after it ended', async () => {
    const { post, proxy, clock } = await startUpload();
    proxy.faults.add({ fault: { kind: 'none', after: MIB }, onHit: () => clock.advance(3_600_000) });
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 200 });
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 401 });
  });
});

describe('a claim', () => {
  test.each([
    ['that is not there', undefined, 503, "rejecting Upload Request for PVC root that doesn't exist"],
    [
      'that is no target',
      { isTarget: false, isReady: true, server: undefined },
      503,
      'PVC root is not an upload target',
    ],
    ['that is not ready', { isTarget: true, isReady: false, server: undefined }, 503, 'context deadline exceeded'],
    ['whose pod is gone', { isTarget: true, isReady: true, server: undefined }, 502, 'error in upload-proxy'],
  ])('%s takes nothing', async (_, claim, status, message) => {
    const { post, claims } = await startUpload();
    claims.root = claim;
    const refused = await post(bytesOf(DISK));
    expect(refused).toMatchObject({ status });
    expect(refused.body.toString()).toContain(message);
  });

  test('whose pod dies in the middle answers 502', async () => {
    const { post, proxy, server, stored } = await startUpload();
    proxy.faults.add({ fault: { kind: 'none', after: MIB }, onHit: () => server.die() });
    expect(await post(bytesOf(DISK))).toMatchObject({ status: 502 });
    expect(stored).toEqual([]);
  });

  test('is waited for until it is ready', async () => {
    const { post, claims, server } = await startUpload();
    claims.root = { isTarget: true, isReady: false, server };
    const posted = post(bytesOf(DISK));
    claims.root = { isTarget: true, isReady: true, server };
    expect(await posted).toMatchObject({ status: 200 });
  });
});
