import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ArtifactBackend } from '../../src/backends/artifact.ts';
import type { StoredSnapshot, WrittenSnapshot } from '../../src/backends/backend.ts';
import { partOf, SCOPE } from '../unit/backends/parts.ts';
import { type ArtifactService, startArtifactService } from './artifact-service/index.ts';

const ID = '26-01-31_12-00-00';
const LATER = '26-02-01_00-00-00';
const PLAN = `${ID}-${'0a'.repeat(16)}`;
const OTHER_RUN = 4;

let service: ArtifactService;

// One for all tests: the toolkit reads the address of the REST API only once, when it is loaded.
beforeAll(async () => {
  service = await startArtifactService();
});

afterAll(() => service.stop());

beforeEach(() => {
  service.clear();
  become(service.env);
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a survey of a run', () => {
  it('shows snapshots, parts of none, and saved plans; others’ artifacts are elsewhere', async () => {
    const backend = new ArtifactBackend('stage');
    await withParts(backend, ID);
    const store = await backend.beginParts(LATER, SCOPE);
    const part = await store.write(partOf({ size: 1000 }));
    const plan = await backend.writePlan(PLAN, Buffer.from('{}'));
    service.add(17, 'build.zip', Buffer.from('x'));
    service.add(17, `stage-2-${ID}.tar.zst`, Buffer.from('x'));
    const { snapshots, leftovers, plans, foreignCount, now } = await backend.survey();
    expect(snapshots).toEqual(await backend.list());
    expect(snapshots.map(({ id }) => id)).toEqual([ID]);
    expect(leftovers).toEqual([
      { what: 'parts', location: part.location, size: part.size, modified: expect.any(Date) },
    ]);
    expect(now.getTime() - (leftovers[0]?.modified.getTime() ?? 0)).toBeLessThan(120_000);
    expect({ plans, foreignCount }).toEqual({ plans: [plan], foreignCount: 0 });
    expect(backend.lease).toBeUndefined();
  });
});

describe('removing', () => {
  it('a snapshot deletes its artifact, then those of its parts, and no others', async () => {
    const backend = new ArtifactBackend('stage');
    const snapshot = await withParts(backend, ID);
    await withParts(backend, LATER);
    service.add(17, 'build.zip', Buffer.from('x'));
    await backend.remove(snapshot);
    expect(names()).toEqual(['build.zip', `stage-${LATER}.shop.db.tar.zst`, `stage-${LATER}.tar.zst`]);
    await backend.remove(snapshot);
  });

  it('that breaks off after the first leaves no snapshot, and can be gone on with', async () => {
    const backend = new ArtifactBackend('stage');
    const snapshot = await withParts(backend, ID);
    const signal = new AbortController();
    const listed = service.nextRequest('DeleteArtifact').then(() => signal.abort());
    await expect(backend.remove(snapshot, signal.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    await listed;
    expect(await backend.list()).toEqual([]);
    expect(names()).toEqual([`stage-${ID}.shop.db.tar.zst`]);
    await backend.remove(snapshot);
    expect(names()).toEqual([]);
  });

  it('parts of none and saved plans deletes these, and keeps parts of a snapshot that is there by now', async () => {
    const backend = new ArtifactBackend('stage');
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf({ size: 1000 }));
    const plan = await backend.writePlan(PLAN, Buffer.from('{}'));
    const { leftovers } = await backend.survey();
    const snapshot = await backend.write(ID, '.tar.zst', main());
    for (const leftover of leftovers) await backend.removeLeftover(leftover);
    expect(names()).toContain(`stage-${ID}.shop.db.tar.zst`);
    await backend.remove({ ...snapshot, artifactId: snapshot.artifactId });
    await backend.removePlan(plan);
    await backend.removePlan(plan);
    for (const leftover of leftovers) await backend.removeLeftover(leftover);
    expect(names()).toEqual([]);
  });

  it('what is none of ours is refused', async () => {
    const backend = new ArtifactBackend('stage');
    const snapshot = await backend.write(ID, '.tar.zst', main());
    service.add(17, 'build.zip', Buffer.from('x'));
    const other = service.artifacts().find(({ name }) => name === 'build.zip')?.id ?? 0;
    const location = snapshot.location.replace(/\d+$/, String(other));
    const refusal = { code: 'INPUT' };
    await expect(backend.remove({ ...snapshot, location, artifactId: other })).rejects.toMatchObject(refusal);
    await expect(backend.remove({ ...snapshot, artifactId: other })).rejects.toMatchObject(refusal);
    await expect(backend.removePlan(location)).rejects.toMatchObject(refusal);
    const leftover = { what: 'parts', location, size: 0, modified: new Date() } as const;
    await expect(backend.removeLeftover(leftover)).rejects.toMatchObject(refusal);
    expect(names()).toEqual(['build.zip', `stage-${ID}.tar.zst`]);
  });

  it.each(['drop-after', 503] as const)('gets over a service that fails (%s)', async (kind) => {
    const backend = new ArtifactBackend('stage');
    const snapshot = await withParts(backend, ID);
    service.fail({ operation: 'DeleteArtifact', kind });
    await backend.remove(snapshot);
    expect(names()).toEqual([]);
  });

  it('says so when the connection is reset, and can be done again', async () => {
    const backend = new ArtifactBackend('stage');
    const snapshot = await withParts(backend, ID);
    service.fail({ operation: 'DeleteArtifact', kind: 'drop' });
    await expect(backend.remove(snapshot)).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining(`Cannot delete the artifact stage-${ID}.tar.zst: `),
    });
    expect(await backend.list()).toEqual([snapshotAsListed(snapshot)]);
    await backend.remove(snapshot);
    expect(names()).toEqual([]);
  });

  it('of another run takes a token that may write there, and says so', async () => {
    become(service.envOf(OTHER_RUN));
    await withParts(new ArtifactBackend('stage'), ID);
    become(service.env);
    service.add(17, `stage-${ID}.tar.zst`, Buffer.from('mine'));
    const there = new ArtifactBackend('stage', {
      runId: OTHER_RUN,
      repository: 'octo-org/shop',
      token: service.token,
    });
    const snapshot = await there.find(ID);
    service.fail({ operation: 'rest-delete', kind: 403, times: 100 });
    await expect(there.remove(snapshot)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot delete the artifact stage-${ID}.tar.zst: the token may not delete artifacts of run 4 of octo-org/shop.`,
      hint: expect.stringContaining('actions: write'),
    });
    expect(names()).toHaveLength(3);
    service.clear();
    become(service.envOf(OTHER_RUN));
    const again = await withParts(new ArtifactBackend('stage'), ID);
    become(service.env);
    service.add(17, `stage-${ID}.tar.zst`, Buffer.from('mine'));
    await there.remove(again);
    expect(service.artifacts().map(({ runId }) => runId)).toEqual([17]);
  });
});

async function withParts(backend: ArtifactBackend, id: string) {
  const store = await backend.beginParts(id, SCOPE);
  await store.write(partOf({ size: 1000 }));
  return backend.write(id, '.tar.zst', main());
}

function snapshotAsListed({ artifactUrl: _url, ...listed }: WrittenSnapshot): StoredSnapshot {
  return listed;
}

function names(): string[] {
  return service
    .artifacts()
    .map(({ name }) => name)
    .sort();
}

function become(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries({ ...env, GITHUB_ACTIONS: '' })) vi.stubEnv(name, value);
}

async function* main(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('main');
}
