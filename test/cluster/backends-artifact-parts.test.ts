import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { ArtifactBackend } from '../../src/backends/artifact.ts';
import { diskOf, partOf, readDisk, SCOPE } from '../unit/backends/parts.ts';
import { type ArtifactService, startArtifactService } from './artifact-service/index.ts';

const ID = '26-01-31_12-00-00';
const SMALL = { size: 3_000_000 };
const NAME = `stage-${ID}.shop.db.tar.zst`;

let service: ArtifactService;
let temporary: string;

beforeAll(async () => {
  service = await startArtifactService();
});

afterAll(() => service.stop());

beforeEach(async () => {
  service.clear();
  temporary = await mkdtemp(join(tmpdir(), 'transship-runner-'));
  const env = { ...service.env, RUNNER_TEMP: temporary, GITHUB_ACTIONS: '' };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  expect(await readdir(temporary), 'no temporary files are left').toEqual([]);
  await rm(temporary, { recursive: true });
});

it('a part is an artifact of its own, which no list takes for a snapshot', async () => {
  const backend = new ArtifactBackend('stage');
  const store = await backend.beginParts(ID, SCOPE);
  expect(store).toMatchObject({ id: ID, isBare: false, interrupted: new Map() });
  const written = await store.write(partOf(SMALL));
  const [artifact] = service.artifacts();
  expect(written).toEqual({
    file: NAME,
    location: `${process.env.GITHUB_SERVER_URL}/octo-org/shop/actions/runs/17/artifacts/${artifact?.id}`,
    size: artifact?.size,
    digest: artifact?.digest,
    kept: 0,
  });
  expect(await backend.list()).toEqual([]);
  const snapshot = await backend.write(ID, '.tar.zst', main());
  await store.finish();
  expect((await backend.list()).map(({ artifactId }) => artifactId)).toEqual([snapshot.artifactId]);
  const reader = await backend.openPart(await backend.find('latest'), written.file, temporary);
  expect((await readDisk(reader, written)).equals(diskOf(SMALL.size))).toBe(true);
});

it('a part is read from anywhere, from what was brought here once', async () => {
  const backend = new ArtifactBackend('stage');
  const { file } = await (await backend.beginParts(ID, SCOPE)).write(partOf(SMALL));
  const snapshot = await backend.write(ID, '.tar.zst', main());
  const content = service.artifacts().find(({ name }) => name === NAME)?.content;
  const reader = await backend.openPart(snapshot, file, temporary);
  expect((await reader.read(1_000, 2_000_000)).equals(content?.subarray(1_000, 2_001_000) ?? Buffer.alloc(0))).toBe(
    true,
  );
  expect((await reader.read(0, 4)).equals(content?.subarray(0, 4) ?? Buffer.alloc(0))).toBe(true);
  await reader.close();
});

it('a part of another snapshot, or anything else of the run, is not opened', async () => {
  const backend = new ArtifactBackend('stage');
  const snapshot = await backend.write(ID, '.tar.zst', main());
  const open = (file: string) => backend.openPart(snapshot, file, temporary);
  await expect(open('build-output.zip')).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
  await expect(open(NAME)).rejects.toMatchObject({
    code: 'SNAPSHOT_NOT_FOUND',
    message: `Run 17 has no artifact "${NAME}".`,
  });
});

it('a source that breaks leaves no artifact', async () => {
  const store = await new ArtifactBackend('stage').beginParts(ID, SCOPE);
  await expect(store.write(partOf({ ...SMALL, at: 1, ending: 'breaks' }))).rejects.toThrow('the source broke');
  expect(service.artifacts()).toEqual([]);
});

it('parts of another run are not written', async () => {
  const backend = new ArtifactBackend('stage', { runId: 4, repository: 'octo-org/shop', token: 'x' });
  await expect(backend.beginParts(ID, SCOPE)).rejects.toMatchObject({
    code: 'INPUT',
    message: 'run-id: 4 is for reading; artifacts are written to this run.',
  });
});

async function* main(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('main');
}
