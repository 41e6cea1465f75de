import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { messageOf, TransshipError } from './errors.ts';

const PLATFORMS: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'darwin', win32: 'windows' };
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' };

/** The file Helm publishes for a version and a machine, as https://get.helm.sh lists it. */
export function helmArchive(version: string, platform: string, arch: string): { file: string; folder: string } {
  const os = PLATFORMS[platform];
  const cpu = ARCHITECTURES[arch];
  if (os === undefined || cpu === undefined) {
    throw new TransshipError('HELM_MISSING', `Helm publishes no build for ${platform}-${arch}.`, {
      hint: 'Put a helm on PATH that runs on this machine.',
    });
  }
  const folder = `${os}-${cpu}`;
  return { folder, file: `helm-${version}-${folder}${os === 'windows' ? '.zip' : '.tar.gz'}` };
}

/**
 * Returns the path of helm at exactly `version`, from the runner's tool cache, else downloaded into it. The download's
 * SHA-256 must be the published one before a byte of it is unpacked.
 *
 * @param baseUrl - where Helm's builds are; replaced in tests
 * @throws TransshipError `HELM_MISSING` when it cannot be fetched or its checksum differs
 */
export async function downloadHelm(version: string, baseUrl = 'https://get.helm.sh'): Promise<string> {
  // The tool cache insists on these; outside a runner they are the user's own cache and temporary folder.
  process.env.RUNNER_TOOL_CACHE ||= join(
    process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
    'transship',
    'tool-cache',
  );
  process.env.RUNNER_TEMP ||= tmpdir();
  await mkdir(process.env.RUNNER_TOOL_CACHE, { recursive: true });

  const { file, folder } = helmArchive(version, process.platform, process.arch);
  const executable = process.platform === 'win32' ? 'helm.exe' : 'helm';
  return quietly(async () => {
    const toolCache = await import('@actions/tool-cache');
    const cached = toolCache.find('helm', version.slice(1));
    if (cached !== '') return join(cached, executable);

    const url = `${baseUrl}/${file}`;
    let archive: string | undefined;
    try {
      const expected = await fetchChecksum(`${url}.sha256sum`);
      archive = await toolCache.downloadTool(url);
      const actual = await sha256(archive);
      if (actual !== expected) {
        throw new Error(`its SHA-256 is ${actual}, and the published one is ${expected}`);
      }
      const unpacked = file.endsWith('.zip')
        ? await toolCache.extractZip(archive)
        : await toolCache.extractTar(archive);
      return join(await toolCache.cacheDir(join(unpacked, folder), 'helm', version.slice(1)), executable);
    } catch (error) {
      throw new TransshipError(
        'HELM_MISSING',
        `Helm ${version} could not be downloaded from ${url}: ${messageOf(error)}.`,
        {
          hint: 'Check helm-version and the network, or put that helm on PATH.',
          cause: error,
        },
      );
    } finally {
      if (archive !== undefined) await rm(archive, { force: true });
    }
  });
}

/** The tool cache prints its own log to stdout, where only `--output json` belongs. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const write = process.stdout.write;
  process.stdout.write = process.stderr.write.bind(process.stderr);
  try {
    return await work();
  } finally {
    process.stdout.write = write;
  }
}

async function fetchChecksum(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const checksum = /^[0-9a-f]{64}/.exec(await response.text())?.[0];
  if (checksum === undefined) throw new Error(`${url} holds no SHA-256`);
  return checksum;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
