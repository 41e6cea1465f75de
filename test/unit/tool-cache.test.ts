import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { downloadHelm, helmArchive } from '../../src/tool-cache.ts';

describe('helmArchive', () => {
  test.each([
    ['linux', 'x64', 'helm-v4.3.1-linux-amd64.tar.gz'],
    ['linux', 'arm64', 'helm-v4.3.1-linux-arm64.tar.gz'],
    ['darwin', 'arm64', 'helm-v4.3.1-darwin-arm64.tar.gz'],
    ['win32', 'x64', 'helm-v4.3.1-windows-amd64.zip'],
  ])('is the file Helm publishes for %s-%s', (platform, arch, file) => {
    expect(helmArchive('v4.3.1', platform, arch).file).toBe(file);
  });

  test('refuses a machine that Helm publishes nothing for', () => {
    expect(() => helmArchive('v4.3.1', 'sunos', 'x64')).toThrow('Helm publishes no build for sunos-x64.');
  });
});

describe('downloadHelm', () => {
  const { file, folder } = helmArchive('v4.3.1', process.platform, process.arch);
  let directory: string;
  let server: Server;
  let baseUrl: string;
  let files: Map<string, Buffer>;
  let requests: string[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'transship-test-'));
    vi.stubEnv('RUNNER_TOOL_CACHE', join(directory, 'cache'));
    vi.stubEnv('RUNNER_TEMP', join(directory, 'temp'));
    const executable = join(directory, folder, 'helm');
    mkdirSync(join(directory, folder));
    writeFileSync(executable, '#!/bin/sh\necho v4.3.1\n');
    chmodSync(executable, 0o755);
    const archive = execFileSync('tar', ['-czf', '-', '-C', directory, folder]);
    const checksum = createHash('sha256').update(archive).digest('hex');
    files = new Map([
      [`/${file}`, archive],
      [`/${file}.sha256sum`, Buffer.from(`${checksum}  ${file}\n`)],
    ]);
    requests = [];
    server = createServer((request, response) => {
      requests.push(request.url ?? '');
      const content = files.get(request.url ?? '');
      response.writeHead(content === undefined ? 404 : 200).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    server.close();
    server.closeAllConnections();
    rmSync(directory, { recursive: true, force: true });
  });

  test('puts a runnable helm into the tool cache, and the next time downloads nothing', async () => {
    const path = await downloadHelm('v4.3.1', baseUrl);
    expect(execFileSync(path, { encoding: 'utf8' })).toBe('v4.3.1\n');
    expect(requests).toHaveLength(2);
    expect(await downloadHelm('v4.3.1', baseUrl)).toBe(path);
    expect(requests).toHaveLength(2);
  });

  test('prints nothing to stdout, which belongs to --output json', async () => {
    const write = vi.spyOn(process.stdout, 'write');
    await downloadHelm('v4.3.1', baseUrl);
    expect(write).not.toHaveBeenCalled();
    write.mockRestore();
  });

  test('refuses an archive whose checksum is not the published one, and caches nothing', async () => {
    files.set(`/${file}`, Buffer.concat([files.get(`/${file}`) ?? Buffer.alloc(0), Buffer.from('x')]));
    await expect(downloadHelm('v4.3.1', baseUrl)).rejects.toMatchObject({
      code: 'HELM_MISSING',
      message: expect.stringMatching(/its SHA-256 is [0-9a-f]{64}, and the published one is [0-9a-f]{64}\.$/),
    });
    expect(() => readFileSync(join(directory, 'cache', 'helm'))).toThrow('ENOENT');
  });

  test('names the URL and the version of a helm that does not exist', async () => {
    files.clear();
    await expect(downloadHelm('v4.3.1', baseUrl)).rejects.toMatchObject({
      message: `Helm v4.3.1 could not be downloaded from ${baseUrl}/${file}: ${baseUrl}/${file}.sha256sum answered 404.`,
      hint: 'Check helm-version and the network, or put that helm on PATH.',
    });
  });
});
