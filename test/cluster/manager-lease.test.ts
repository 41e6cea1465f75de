import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { LeaseStore } from '../../src/backends/backend.ts';
import { openBackend } from '../../src/backends/open.ts';
import { managerOf } from '../../src/manager/identity.ts';
import { acquireLease, type Lease, type LeaseOptions } from '../../src/manager/lease.ts';
import { parseLease } from '../../src/manager/lease-text.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { type Fault, startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';

let s3: TestS3;
let folder: string;
let places = 0;
const held: Lease[] = [];

beforeAll(async () => {
  s3 = await startS3();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  folder = await mkdtemp(join(tmpdir(), 'transship-lease-'));
});

afterAll(async () => {
  await Promise.all(held.map((lease) => lease.release()));
  vi.unstubAllEnvs();
  await s3?.stop();
  await rm(folder, { recursive: true, force: true });
});

type Kind = 's3' | 'local';

function newPlace(kind: Kind): string {
  places += 1;
  return kind === 's3' ? `s3://${s3.bucket}/place-${places}` : join(folder, `place-${places}`);
}

function storeAt(path: string, endpoint?: string): LeaseStore {
  const isS3 = path.startsWith('s3://');
  const more = isS3 ? { endpoint: endpoint ?? s3.endpoint, forcePathStyle: true } : {};
  const { lease } = openBackend({ path, backend: isS3 ? 's3' : 'local', ...more });
  if (lease === undefined) throw new Error(`${path} has no lease.`);
  return lease;
}

let hosts = 0;
/** With a storage of its own, as another process has. */
async function acquire(path: string, cluster: string, changes: Partial<LeaseOptions> & { store?: LeaseStore } = {}) {
  hosts += 1;
  const { store = storeAt(path), ...options } = changes;
  const lease = await acquireLease(store, managerOf({ cluster, name: 'ops/transship', path }), {
    ...{ takeOver: false, holder: { host: `host-${hosts}`, pid: 1 }, reporter: silentReporter },
    // It lasts for longer than this machine may be too busy to renew it.
    ...{ duration: 60_000, renewEvery: 500 },
    ...options,
  });
  held.push(lease);
  return lease;
}

const textAt = async (path: string) => parseLease((await storeAt(path).read())?.text ?? '');

describe.each<Kind>(['s3', 'local'])('a lease in %s', (kind) => {
  it('goes to exactly one of several that start at the same instant', async () => {
    for (let round = 0; round < 5; round++) {
      const path = newPlace(kind);
      const all = await Promise.allSettled(['a', 'b', 'c'].map((cluster) => acquire(path, cluster)));
      const codes = all.map((one) => (one.status === 'fulfilled' ? 'held' : one.reason.code));
      expect(codes.toSorted()).toEqual(['MANAGED', 'MANAGED', 'held']);
    }
  });

  it('is renewed, given back, and taken at once', async () => {
    const path = newPlace(kind);
    const first = await acquire(path, 'a');
    await vi.waitUntil(async () => ((await textAt(path))?.renewals ?? 0) >= 2, { timeout: 30_000, interval: 50 });
    await first.release();
    const second = await acquire(path, 'b');
    await second.check();
    expect((await textAt(path))?.manager.cluster).toBe('b');
  });

  it('is taken over by force, which the first one finds out before it makes a snapshot whole', async () => {
    const path = newPlace(kind);
    const first = await acquire(path, 'a', { renewEvery: 30_000 });
    const second = await acquire(path, 'b', { takeOver: true });
    await expect(first.check()).rejects.toMatchObject({ code: 'MANAGED' });
    await second.check();
    expect(first.lost.aborted).toBe(true);
  });

  it('of a process that was killed is taken over by another manager once it has run out', async () => {
    const path = newPlace(kind);
    await killHolder(path);
    const warnings: string[] = [];
    const reporter = { ...silentReporter, warn: (line: string) => warnings.push(line) };
    const lease = await acquire(path, 'b', { reporter });
    await lease.check();
    expect(warnings).toEqual([
      expect.stringMatching(/is taken over from release transship .*, on child, .*run out\.$/),
    ]);
  });

  it('that was removed by hand is made again', async () => {
    const path = newPlace(kind);
    const lease = await acquire(path, 'a');
    await storeAt(path).remove();
    await lease.check();
    expect((await textAt(path))?.manager.cluster).toBe('a');
  });
});

describe('over a bad connection', () => {
  it.each<[string, Fault]>([
    ['loses its answer', { kind: 'lose-answer' }],
    ['is reset', { kind: 'reset' }],
    ['is answered 503', { kind: 'answer', status: 503 }],
  ])('a write that %s costs nobody the lease', async (_, fault) => {
    let writes = 0;
    const proxy = await startFaultyProxy(s3.endpoint, ({ method }) => {
      if (method !== 'PUT') return undefined;
      writes += 1;
      return writes % 2 === 1 ? fault : undefined;
    });
    try {
      const path = newPlace('s3');
      const lease = await acquire(path, 'a', { store: storeAt(path, proxy.url) });
      for (let times = 0; times < 3; times++) await lease.check();
      expect(lease.lost.aborted).toBe(false);
      expect((await textAt(path))?.renewals).toBeGreaterThanOrEqual(3);
      await lease.release();
    } finally {
      await proxy.stop();
    }
  });
});

/** A process takes the lease and is killed. */
async function killHolder(path: string): Promise<void> {
  const script = resolve(import.meta.dirname, 'children/hold-lease.ts');
  const child = spawn(process.execPath, [script, path, 'ops/transship'], {
    env: { ...process.env, AWS_ENDPOINT_URL_S3: s3.endpoint },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
}
