import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Backend, Bytes, StoredSnapshot } from '../../src/backends/backend.ts';
import { type OpenBackendOptions, openBackend } from '../../src/backends/open.ts';
import { type ArtifactService, startArtifactService } from './artifact-service/index.ts';
import type { WriteOrder } from './children/write-snapshot.ts';
import { startS3, type TestS3 } from './s3.ts';

const MIB = 1024 * 1024;
const WHOLE = randomBytes(40 * MIB);

let s3: TestS3;
let artifacts: ArtifactService;
let folder: string;
let temporary: string;
let places = 0;

beforeAll(async () => {
  [s3, artifacts, folder, temporary] = await Promise.all([
    startS3(),
    startArtifactService(),
    mkdtemp(join(tmpdir(), 'transship-backends-')),
    mkdtemp(join(tmpdir(), 'transship-runner-')),
  ]);
  // Not as in a workflow: the toolkit's commands would fill the output.
  const env = { ...s3.env, ...artifacts.env, RUNNER_TEMP: temporary, GITHUB_ACTIONS: '' };
  for (const [name, value] of Object.entries(env)) {
    vi.stubEnv(name, value);
  }
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([s3.stop(), artifacts.stop(), rm(folder, { recursive: true }), rm(temporary, { recursive: true })]);
});

afterEach(async () => {
  expect(await readdir(temporary), 'no temporary files are left').toEqual([]);
});

/** A place of each kind that nothing was written to yet. */
const newPlaces = {
  local: (): OpenBackendOptions => ({ path: join(folder, `place-${++places}`) }),
  s3: (): OpenBackendOptions => ({ path: `s3://${s3.bucket}/place/${++places}` }),
  artifact: (): OpenBackendOptions => ({ path: `place-${++places}` }),
};

describe.each(Object.entries(newPlaces))('the %s backend', (name, newPlace) => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from([42])],
    ['40 MiB of noise', WHOLE],
  ])('gives back %s byte for byte', async (_what, content) => {
    const backend = openBackend(newPlace());
    const written = await backend.write('26-01-31_12-00-00', '.tar.zst', inPieces(content));
    expect(written).toMatchObject({ id: '26-01-31_12-00-00', size: content.byteLength, state: 'complete' });
    const found = await backend.find('26-01-31_12-00-00');
    expect(found).toMatchObject({ location: written.location, size: content.byteLength, state: 'complete' });
    expect(digestOf(await readAll(backend.read(found)))).toBe(digestOf(content));
  });

  it('lets exactly one of two writers of an id win and leaves the winner untouched', async () => {
    const backend = openBackend(newPlace());
    const contents = [randomBytes(20 * MIB), randomBytes(20 * MIB)];
    const results = await Promise.allSettled(
      contents.map((content) => backend.write('26-01-31_12-00-00', '.tar.zst', inPieces(content))),
    );
    const winners = contents.filter((_, index) => results[index]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'SNAPSHOT_EXISTS' } });
    const content = await readAll(backend.read(await backend.find('latest')));
    expect(digestOf(content)).toBe(digestOf(winners[0] ?? Buffer.alloc(0)));
    expect((await backend.list()).map(({ state }) => state)).toEqual(['complete']);
  });

  it('refuses a second archive of an id before it reads it, whatever its compression', async () => {
    const backend = openBackend(newPlace());
    const first = await backend.write('26-01-31_12-00-00', '.tar.zst', inPieces(Buffer.from('first')));
    const source = vi.fn(() => inPieces(Buffer.from('second')));
    const bytes = { [Symbol.asyncIterator]: () => source()[Symbol.asyncIterator]() };
    const second = backend.write('26-01-31_12-00-00', '.tar.gz', bytes);
    await expect(second).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      message: `${first.location} already exists, and a snapshot is never overwritten.`,
    });
    expect(source).not.toHaveBeenCalled();
  });

  it('leaves nothing when the source breaks in the middle, and rethrows its error', async () => {
    const backend = openBackend(await withOneSnapshot(newPlace()));
    const broken = new Error('the cluster is gone');
    const bytes = (async function* () {
      yield* inPieces(WHOLE);
      throw broken;
    })();
    await expect(backend.write('26-01-31_12-00-00', '.tar.zst', bytes)).rejects.toBe(broken);
    expect((await backend.list()).map(({ id }) => id)).toEqual(['25-01-01_00-00-00']);
  });

  it('leaves nothing when it is cancelled while the source is stuck', async () => {
    const backend = openBackend(await withOneSnapshot(newPlace()));
    const controller = new AbortController();
    const bytes = (async function* () {
      yield* inPieces(WHOLE);
      controller.abort();
      await new Promise(() => {});
    })();
    const write = backend.write('26-01-31_12-00-00', '.tar.zst', bytes, controller.signal);
    await expect(write).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await backend.list()).map(({ id }) => id)).toEqual(['25-01-01_00-00-00']);
  });

  it('stops reading when it is cancelled', async () => {
    const backend = openBackend(newPlace());
    await backend.write('26-01-31_12-00-00', '.tar.zst', inPieces(WHOLE));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _chunk of backend.read(await backend.find('latest'), controller.signal)) controller.abort();
    })();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('finds the newest by id, in whatever order they were written', async () => {
    const backend = openBackend(newPlace());
    for (const id of ['26-01-31_12-00-00', '26-02-01_00-00-00', '25-12-31_23-59-59']) {
      await backend.write(id, '.tar.zst', inPieces(Buffer.from(id)));
    }
    expect((await backend.find('latest')).id).toBe('26-02-01_00-00-00');
    expect((await backend.list()).map(({ id }) => id)).toEqual([
      '26-02-01_00-00-00',
      '26-01-31_12-00-00',
      '25-12-31_23-59-59',
    ]);
  });

  it('names what there is when it has no such snapshot', async () => {
    const backend = openBackend(newPlace());
    for (const id of ['26-01-31_12-00-00', '26-02-01_00-00-00']) {
      await backend.write(id, '.tar.zst', inPieces(Buffer.from(id)));
    }
    await expect(backend.find('24-01-01_00-00-00')).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: expect.stringMatching(
        /^Snapshot 24-01-01_00-00-00 is not in .+\. There is 26-02-01_00-00-00, 26-01-31_12-00-00\.$/,
      ),
    });
  });

  it('lists an encrypted archive as one', async () => {
    const backend = openBackend(newPlace());
    const written = await backend.write('26-01-31_12-00-00', '.tar.zst.age', inPieces(Buffer.from('secret')));
    expect(written).toMatchObject({ encrypted: true });
    const [listed] = await backend.list();
    expect(listed).toMatchObject({ id: '26-01-31_12-00-00', location: written.location, encrypted: true });
    expect((await readAll(backend.read(await backend.find('latest')))).toString()).toBe('secret');
  });

  it('keeps a saved plan, which is no snapshot', async () => {
    const options = newPlace();
    const backend = openBackend(await withOneSnapshot(options));
    const id = `26-01-31_12-00-00-${'0a'.repeat(16)}`;
    expect(await backend.readPlan(id)).toBeUndefined();
    const location = await backend.writePlan(id, Buffer.from('the plan'));
    // Of one id there is one content.
    expect(await backend.writePlan(id, Buffer.from('the plan'))).toBe(location);
    expect((await openBackend(options).readPlan(id))?.toString()).toBe('the plan');
    expect((await backend.list()).map((snapshot) => snapshot.id)).toEqual(['25-01-01_00-00-00']);
  });

  it('offers nothing of a writer that was killed in the middle', async () => {
    const options = await withOneSnapshot(newPlace());
    await killInTheMiddle({ options, id: '26-01-31_12-00-00', mebibytes: 40 });
    const backend = openBackend(options);
    const left = (await backend.list()).filter(({ id }) => id === '26-01-31_12-00-00');
    // GitHub is told of an artifact only once the whole archive is there.
    expect(left.map(({ state }) => state)).toEqual(name === 'artifact' ? [] : ['unfinished']);
    expect((await backend.find('latest')).id).toBe('25-01-01_00-00-00');
    await expect(backend.find('26-01-31_12-00-00')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });

    await backend.write('26-01-31_12-00-00', '.tar.zst', inPieces(Buffer.from('again')));
    expect((await readAll(backend.read(await backend.find('latest')))).toString()).toBe('again');
    // What the killed writer left in the runner's folder is the runner's to remove.
    for (const left of await readdir(temporary)) await rm(join(temporary, left), { recursive: true });
  });
});

it('a snapshot copied from S3 into a folder by other means is found there', async () => {
  const stored = openBackend(newPlaces.s3());
  const { location } = await stored.write('26-01-31_12-00-00', '.tar.zst', inPieces(Buffer.from('moved')));
  const key = location.slice(`s3://${s3.bucket}/`.length);
  const directory = join(s3.folder, 'buckets', s3.bucket, key, '..');
  const found: StoredSnapshot = await openBackend({ path: directory }).find('latest');
  expect(found.id).toBe('26-01-31_12-00-00');
});

async function withOneSnapshot(options: OpenBackendOptions): Promise<OpenBackendOptions> {
  const backend: Backend = openBackend(options);
  await backend.write('25-01-01_00-00-00', '.tar.zst', inPieces(Buffer.from('older')));
  return options;
}

async function killInTheMiddle(order: WriteOrder): Promise<void> {
  const program = fileURLToPath(new URL('children/write-snapshot.ts', import.meta.url));
  const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  child.send(order);
  expect(await Promise.race([once(child, 'message'), exited])).toEqual(['middle', undefined]);
  child.kill('SIGKILL');
  await exited;
}

async function* inPieces(content: Buffer): Bytes {
  for (let start = 0; start < content.byteLength; start += 300_000) yield content.subarray(start, start + 300_000);
}

async function readAll(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function digestOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
