import { execFile, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ArtifactBackend } from '../../src/backends/artifact.ts';
import type { Bytes } from '../../src/backends/backend.ts';
import { type ArtifactService, startArtifactService } from './artifact-service/index.ts';

const MIB = 1024 * 1024;
const ID = '26-01-31_12-00-00';
const NAME = `transship-${ID}.tar.zst`;
const CONTENT = randomBytes(20 * MIB);
const OTHER_RUN = 4;

let service: ArtifactService;
let temporary: string;

// One for all tests: the toolkit reads the address of the REST API only once, when it is loaded.
beforeAll(async () => {
  service = await startArtifactService();
});

afterAll(() => service.stop());

beforeEach(async () => {
  service.clear();
  temporary = await mkdtemp(join(tmpdir(), 'transship-runner-'));
  become(service.env);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(temporary, { recursive: true });
});

describe('writing', () => {
  it('uploads one raw file that carries name and id, and returns id, page and digest', async () => {
    const written = await new ArtifactBackend('stage').write(ID, '.tar.zst', inPieces(CONTENT));
    const [artifact] = service.artifacts();
    expect(artifact).toMatchObject({ name: `stage-${ID}.tar.zst`, finalized: true, size: CONTENT.byteLength });
    expect(artifact?.content.equals(CONTENT)).toBe(true);
    const page = `${process.env.GITHUB_SERVER_URL}/octo-org/shop/actions/runs/17/artifacts/${artifact?.id}`;
    expect(written).toEqual({
      id: ID,
      layout: 'archive',
      location: page,
      artifactUrl: page,
      artifactId: artifact?.id,
      digest: artifact?.digest,
      size: CONTENT.byteLength,
      state: 'complete',
    });
  });

  it('asks GitHub to keep it for the days given', async () => {
    await new ArtifactBackend('transship', { retentionDays: 3 }).write(ID, '.tar.zst', inPieces(CONTENT));
    const days = (Date.parse(service.artifacts()[0]?.expiresAt ?? '') - Date.now()) / 86_400_000;
    expect(days).toBeCloseTo(3, 1);
  });

  it.each([
    ['a block is lost', { operation: 'put-block', kind: 'drop' }],
    ['the blob storage is busy', { operation: 'put-block', kind: 503 }],
    ['the service is overloaded', { operation: 'FinalizeArtifact', kind: 503 }],
  ] as const)('tries again when %s', async (_what, failure) => {
    service.fail(failure);
    await new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT));
    expect(service.count(failure.operation)).toBeGreaterThan(failure.operation === 'put-block' ? 3 : 1);
    expect(service.artifacts()[0]?.content.equals(CONTENT)).toBe(true);
  });

  it('leaves nothing that lists when the upload address has expired, and no file', async () => {
    service.fail({ operation: 'put-block', kind: 'expired', times: 100 });
    const backend = new ArtifactBackend('transship');
    await expect(backend.write(ID, '.tar.zst', inPieces(CONTENT))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining(`Cannot upload the artifact ${NAME}: `),
    });
    expect(await backend.list()).toEqual([]);
    expect(await readdir(temporary)).toEqual([]);
  });

  it('says that the name is taken when an upload of it never finished', async () => {
    service.fail({ operation: 'FinalizeArtifact', kind: 400 });
    const backend = new ArtifactBackend('transship');
    await expect(backend.write(ID, '.tar.zst', inPieces(CONTENT))).rejects.toMatchObject({ code: 'BACKEND' });
    expect(await backend.list()).toEqual([]);
    await expect(backend.write(ID, '.tar.zst', inPieces(CONTENT))).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      message: `Cannot upload the artifact ${NAME}: the run already has an artifact of that name, or one whose upload never finished.`,
    });
  });

  it('returns at once when it is cancelled during the upload, and deletes what the upload then makes', async () => {
    const controller = new AbortController();
    const deleted = service.nextRequest('DeleteArtifact');
    const write = new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT), controller.signal);
    service.nextRequest('put-block').then(() => controller.abort());
    await expect(write).rejects.toMatchObject({ code: 'CANCELLED' });
    await deleted;
    expect(await new ArtifactBackend('transship').list()).toEqual([]);
    await vi.waitFor(async () => expect(await readdir(temporary)).toEqual([]));
  });

  it('keeps what was written when a signal fires afterwards', async () => {
    const controller = new AbortController();
    const backend = new ArtifactBackend('transship');
    await backend.write(ID, '.tar.zst', inPieces(CONTENT), controller.signal);
    controller.abort();
    expect((await backend.find('latest')).id).toBe(ID);
    expect(service.count('DeleteArtifact')).toBe(0);
  });

  it('shows nothing of a process that was killed during the upload', async () => {
    service.fail({ operation: 'put-block', kind: 'stall', times: 100 });
    const program = fileURLToPath(new URL('children/write-snapshot.ts', import.meta.url));
    const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const uploading = service.nextRequest('put-block');
    child.send({ options: { path: 'transship' }, id: ID, mebibytes: 20, finish: true });
    await uploading;
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(service.artifacts().map(({ finalized }) => finalized)).toEqual([false]);
    expect(await new ArtifactBackend('transship').list()).toEqual([]);
  });

  it('is refused on the command line, with the ways out', async () => {
    vi.stubEnv('ACTIONS_RUNTIME_TOKEN', '');
    await expect(new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT))).rejects.toMatchObject({
      code: 'BACKEND',
      message:
        'Artifacts of this run can be reached only by an action in a workflow run: ACTIONS_RUNTIME_TOKEN is not set.',
      hint: "Set backend to local or s3; or read another run's artifacts with run-id, repository and GITHUB_TOKEN.",
    });
  });

  it('is refused when the token of the run is not accepted', async () => {
    vi.stubEnv('ACTIONS_RUNTIME_TOKEN', `${process.env.ACTIONS_RUNTIME_TOKEN}x`);
    await expect(new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT))).rejects.toMatchObject({
      code: 'BACKEND',
      message: "Cannot list the artifacts of run 17: the run's own token is not accepted (401).",
    });
  });
});

describe('reading', () => {
  it('sees only artifacts that are called name, id and ending', async () => {
    for (const name of ['transship', 'transship-stage']) {
      await new ArtifactBackend(name).write(ID, '.tar.zst', inPieces(Buffer.from(name)));
    }
    const backend = new ArtifactBackend('transship');
    expect(await backend.list()).toHaveLength(1);
    expect((await readAll(backend.read(await backend.find('latest')))).toString()).toBe('transship');
  });

  it('refuses an artifact that did not arrive as it was uploaded', async () => {
    const backend = new ArtifactBackend('transship');
    const written = await backend.write(ID, '.tar.zst', inPieces(CONTENT));
    service.fail({ operation: 'get-blob', kind: 'corrupt' });
    await expect(readAll(backend.read(await backend.find(ID)))).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: `The artifact ${written.location} did not arrive as it was uploaded: its SHA-256 is not ${written.digest}.`,
    });
    expect(await readdir(temporary)).toEqual([]);
  });

  it('refuses an artifact that was changed on its way to GitHub', async () => {
    service.fail({ operation: 'put-block', kind: 'corrupt' });
    const backend = new ArtifactBackend('transship');
    await backend.write(ID, '.tar.zst', inPieces(CONTENT));
    await expect(readAll(backend.read(await backend.find(ID)))).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
  });

  it('reads another run of the repository with a token, and stays in this run without its id', async () => {
    become(service.envOf(OTHER_RUN));
    await new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT));
    become(service.env);
    await expect(new ArtifactBackend('transship', { token: service.token }).find('latest')).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: 'There is no snapshot in the artifacts "transship" of run 17.',
    });
    const backend = new ArtifactBackend('transship', { runId: OTHER_RUN, token: service.token });
    const found = await backend.find('latest');
    expect(found).toMatchObject({ id: ID, size: CONTENT.byteLength, digest: service.artifacts()[0]?.digest });
    expect(found.location).toContain(`/octo-org/shop/actions/runs/${OTHER_RUN}/artifacts/`);
    expect(CONTENT.equals(await readAll(backend.read(found)))).toBe(true);
  });

  it('reads more artifacts of another run than one page holds', async () => {
    const ids = Array.from({ length: 101 }, (_, index) => `26-01-31_12-${index < 60 ? '00' : '01'}-${two(index % 60)}`);
    for (const id of ids) service.add(OTHER_RUN, `transship-${id}.tar`, Buffer.from(id));
    const backend = new ArtifactBackend('transship', { runId: OTHER_RUN, token: service.token });
    expect((await backend.list()).map(({ id }) => id)).toEqual(ids.toReversed());
  });

  it('finds a saved plan in this run, and if not here in the run that it reads from', async () => {
    const [here, there] = ['0a', '0b'].map((digits) => `26-01-31_12-00-00-${digits.repeat(16)}`) as [string, string];
    service.add(OTHER_RUN, `transship-plan-${there}.json`, Buffer.from('there'));
    const backend = new ArtifactBackend('transship', { runId: OTHER_RUN, token: service.token });
    expect(await backend.writePlan(here, Buffer.from('here'))).toContain('/octo-org/shop/actions/runs/17/artifacts/');
    expect((await backend.readPlan(here))?.toString()).toBe('here');
    expect((await backend.readPlan(there))?.toString()).toBe('there');
    expect(await new ArtifactBackend('transship').readPlan(there)).toBeUndefined();
  });

  it('needs no token for this run, also when its id is given', async () => {
    const backend = new ArtifactBackend('transship', { runId: 17, repository: 'octo-org/shop' });
    await new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT));
    expect((await backend.find('latest')).id).toBe(ID);
  });

  it('says which permission is missing when the token may not read the run', async () => {
    // More than once: the toolkit sends even a refused request some times.
    service.fail({ operation: 'rest-list', kind: 403, times: 100 });
    const backend = new ArtifactBackend('transship', { runId: OTHER_RUN, token: service.token });
    await expect(backend.list()).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot list the artifacts of run ${OTHER_RUN}: the token may not read run ${OTHER_RUN} of octo-org/shop.`,
      hint: expect.stringContaining('`permissions: { actions: read, contents: read }`'),
    });
  });

  it('says that the repository may not be seen when there is none', async () => {
    const backend = new ArtifactBackend('transship', { runId: 5, repository: 'octo-org/other', token: service.token });
    await expect(backend.list()).rejects.toMatchObject({
      message: 'Cannot list the artifacts of run 5: run 5 of octo-org/other is not there, or the token may not see it.',
    });
  });

  it('says that an artifact has expired', async () => {
    become(service.envOf(OTHER_RUN));
    const { artifactId = 0 } = await new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT));
    become(service.env);
    service.expire(artifactId);
    const backend = new ArtifactBackend('transship', { runId: OTHER_RUN, token: service.token });
    await expect(readAll(backend.read(await backend.find(ID)))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/^Cannot download the artifact .+: it has expired, and GitHub has deleted it\.$/),
    });
  });

  it('works on the command line with a token and prints nothing to stdout', async () => {
    await new ArtifactBackend('transship').write(ID, '.tar.zst', inPieces(CONTENT));
    const script = `
      const { ArtifactBackend } = await import(${JSON.stringify(new URL('../../src/backends/artifact.ts', import.meta.url).href)});
      const backend = new ArtifactBackend('transship', { runId: 17, repository: 'octo-org/shop', token: ${JSON.stringify(service.token)} });
      let size = 0;
      for await (const chunk of backend.read(await backend.find('latest'))) size += chunk.byteLength;
      console.log(size);`;
    const { GITHUB_API_URL = '' } = service.env;
    const env = { PATH: process.env.PATH, GITHUB_API_URL, RUNNER_TEMP: temporary };
    const args = ['--input-type=module', '--eval', script];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
    expect({ stdout, stderr }).toEqual({ stdout: `${CONTENT.byteLength}\n`, stderr: '' });
  });
});

/** Takes on the environment of a step, but stays silent: `::debug::` lines would fill the output. */
function become(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries({ ...env, GITHUB_ACTIONS: '', RUNNER_TEMP: temporary })) {
    vi.stubEnv(name, value);
  }
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}

async function* inPieces(content: Buffer): Bytes {
  for (let start = 0; start < content.byteLength; start += 300_000) yield content.subarray(start, start + 300_000);
}

async function readAll(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
