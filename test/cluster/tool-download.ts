import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import pRetry from 'p-retry';
import type { Release } from './tool-list.ts';

const REACHABLE_WITHIN_MS = 3000;
const ANSWER_WITHIN_MS = 30_000;

/** A download that is not what its release page says it is. Nothing may make up for that. */
export class ChecksumError extends Error {
  override name = 'ChecksumError';
}

/** The release page has no such file. */
export class NotPublishedError extends Error {
  override name = 'NotPublishedError';
}

const reachable = new Map<string, Promise<boolean>>();

/** Whether anything answers at the URL's origin; asked once a process, and for three seconds at most. */
export function isReachable(url: string): Promise<boolean> {
  const { origin } = new URL(url);
  const known = reachable.get(origin);
  if (known !== undefined) return known;
  const signal = AbortSignal.timeout(REACHABLE_WITHIN_MS);
  const answer = fetch(origin, { method: 'HEAD', redirect: 'manual', signal }).then(
    () => true,
    () => false,
  );
  reachable.set(origin, answer);
  return answer;
}

/**
 * Downloads a published program into `folder`, checks it against its published SHA-256 and returns its path.
 *
 * @throws ChecksumError, NotPublishedError, or whatever broke the transfer after three tries
 */
export async function downloadRelease(release: Release, folder: string): Promise<string> {
  const file = join(folder, basename(new URL(release.url).pathname));
  await pRetry(() => downloadVerified(release, file), {
    retries: 2,
    shouldRetry: ({ error }) => !(error instanceof ChecksumError || error instanceof NotPublishedError),
  });
  if (release.member !== undefined) {
    await promisify(execFile)('tar', ['-xf', file, '-C', folder]);
  }
  const program = release.member === undefined ? file : join(folder, release.member);
  await chmod(program, 0o755);
  return program;
}

async function downloadVerified(release: Release, file: string): Promise<void> {
  const expected = publishedChecksum(await (await get(release.checksums)).text(), basename(file));
  if (expected === undefined) throw new NotPublishedError(`${release.checksums} has no SHA-256 of ${basename(file)}`);

  const { body } = await get(release.url);
  if (body === null) throw new Error(`${release.url} answered without a body`);
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(body), hashing, createWriteStream(file));
  const actual = hash.digest('hex');
  if (actual !== expected) {
    throw new ChecksumError(`${release.url} has the SHA-256 ${actual}, and ${release.checksums} says ${expected}`);
  }
}

async function get(url: string): Promise<Response> {
  const answered = new AbortController();
  const timer = setTimeout(() => answered.abort(new Error(`${url} did not answer`)), ANSWER_WITHIN_MS);
  try {
    const response = await fetch(url, { signal: answered.signal });
    if (response.status === 404) throw new NotPublishedError(`${url} does not exist`);
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
    return response;
  } finally {
    clearTimeout(timer);
  }
}

/** The SHA-256 of `name` in a `.sha256` file, a `SHA256SUMS` file, or an answer of GitHub's release API. */
export function publishedChecksum(text: string, name: string): string | undefined {
  if (text.startsWith('{')) return githubDigest(JSON.parse(text), name);
  const lines = text.trim().split('\n');
  for (const line of lines) {
    const [, digest, of] = /^([0-9a-f]{64})(?:\s+\*?(\S+))?\s*$/.exec(line) ?? [];
    if (digest !== undefined && (of === undefined ? lines.length === 1 : basename(of) === name)) return digest;
  }
  return undefined;
}

// https://docs.github.com/en/rest/releases/releases#get-a-release-by-tag-name
function githubDigest(release: unknown, name: string): string | undefined {
  if (typeof release !== 'object' || release === null || !('assets' in release)) return undefined;
  if (!Array.isArray(release.assets)) return undefined;
  const asset: unknown = release.assets.find((candidate) => candidate?.name === name);
  if (typeof asset !== 'object' || asset === null || !('digest' in asset)) return undefined;
  return /^sha256:([0-9a-f]{64})$/.exec(String(asset.digest))?.[1];
}
