import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeTree } from '../../../src/archive/tree.ts';
import type { StoredSnapshot } from '../../../src/backends/backend.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { entriesOf, inPieces } from '../archive/helpers.ts';
import { partOf, SCOPE } from './parts.ts';

const ID = '26-01-31_12-00-00';
const LATER = '26-02-01_00-00-00';
const SMALL = { size: 100_000 };
const PLAN = `${ID}-${'0a'.repeat(16)}`;

let root: string;
let folder: string;
let backend: LocalBackend;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'transship-remove-'));
  folder = join(root, 'place');
  await mkdir(folder);
  backend = new LocalBackend(folder);
});

afterEach(() => rm(root, { recursive: true }));

describe('a survey of a folder', () => {
  it('shows all kinds of things for what they are', async () => {
    await withParts(ID);
    await tree('stage', LATER);
    const interrupted = await backend.beginParts('26-02-02_00-00-00', SCOPE);
    await interrupted.write(partOf(SMALL));
    await interrupted.close();
    const killedTree = `prod/backup/${LATER}.0123abcd.partial/_snapshot.json`;
    const killed = `transship-${LATER}.tar.zst.0123abcd.partial`;
    await put(killedTree, killed, 'notes.txt', 'stage/readme.md', 'photos/1.jpg', '_manager.0123abcd.partial');
    await backend.lease.write('{}', undefined);
    const plan = await backend.writePlan(PLAN, Buffer.from('{}'));
    const before = Date.now();
    const { snapshots, leftovers, foreign, foreignCount, plans, now } = await backend.survey();
    expect(snapshots).toEqual(await backend.list());
    expect(leftovers.map(({ what, location }) => [what, location.slice(folder.length + 1)])).toEqual([
      ['upload', '_manager.0123abcd.partial'],
      ['snapshot', dirname(killedTree)],
      ['snapshot', killed],
      ['parts', 'transship-26-02-02_00-00-00.vms'],
    ]);
    expect({ foreign, foreignCount }).toEqual({
      foreign: ['notes.txt', 'photos/1.jpg', 'stage/readme.md'],
      foreignCount: 3,
    });
    expect(plans).toEqual([plan]);
    expect(Math.abs(now.getTime() - before)).toBeLessThan(60_000);
  });

  it('takes a leftover for as young as what was last written of it', async () => {
    const group = `transship-${ID}.vms`;
    await put(`${group}/_export.json`, `${group}/a.b.tar.zst.partial`);
    await setAge(`${group}/_export.json`, 100);
    await setAge(`${group}/a.b.tar.zst.partial`, 3);
    const { leftovers, now } = await backend.survey();
    expect(Math.round((now.getTime() - (leftovers[0]?.modified.getTime() ?? 0)) / 3_600_000)).toBe(3);
  });

  it('follows no links, and leaves alone what file systems keep at their root', async () => {
    await put(`../elsewhere/backup/${ID}/manifest`, 'lost+found/x');
    await symlink(join(root, 'elsewhere'), join(folder, 'stage'));
    expect(await backend.survey()).toMatchObject({ snapshots: [], leftovers: [], foreign: ['stage'] });
  });

  it('of a path that is one file is about that file', async () => {
    const file = join(folder, 'vm.tar.zst');
    const bare = new LocalBackend(file);
    const store = await bare.beginParts(ID, SCOPE);
    await expect(store.write(partOf({ ...SMALL, at: 1, ending: 'breaks' }))).rejects.toThrow('the source broke');
    await put('notes.txt', 'vm.tar.zst.0123abcd.partial');
    const { snapshots, leftovers, foreignCount } = await bare.survey();
    expect(snapshots).toEqual(await bare.list());
    expect(leftovers.map(({ what, location }) => [what, location])).toEqual([
      ['snapshot', `${file}.partial`],
      ['snapshot', `${file}.0123abcd.partial`],
    ]);
    expect(foreignCount).toBe(0);
    for (const leftover of leftovers) await bare.removeLeftover(leftover);
    expect(await readdir(folder)).toEqual(['notes.txt']);
  });
});

describe('removing a snapshot', () => {
  it('that is an archive takes its parts along, and nothing else', async () => {
    const snapshot = await withParts(ID);
    await withParts(LATER);
    await put('notes.txt');
    await backend.remove(snapshot);
    expect(await readdir(folder)).toEqual(['notes.txt', `transship-${LATER}.tar.zst`, `transship-${LATER}.vms`]);
    await backend.remove(snapshot);
    expect((await backend.list()).map(({ id }) => id)).toEqual([LATER]);
  });

  it('that is a tree takes its parts along, and no other cluster’s', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    const [stage, prod] = [await tree('stage', ID), await tree('prod', ID)];
    await store.finish();
    // Whose the parts are, only the snapshots themselves know.
    await backend.remove(stage);
    expect(await readdir(folder)).toEqual(['prod', 'stage', `transship-${ID}.vms`]);
    expect(await readdir(join(folder, 'stage', 'backup'))).toEqual([]);
    expect((await backend.survey()).leftovers).toEqual([]);
    await backend.remove(prod);
    expect(await readdir(folder)).toEqual(['prod', 'stage']);
  });

  it('leaves the parts that an export is writing', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    await backend.remove(await tree('stage', ID));
    expect(await readdir(join(folder, `transship-${ID}.vms`))).toContain('shop.db.tar.zst');
    const [leftover] = (await backend.survey()).leftovers;
    if (leftover === undefined) throw new Error('there is no leftover');
    await expect(backend.removeLeftover(leftover)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Another export is writing ${join(folder, `transship-${ID}.vms`)}.`,
    });
    await store.close();
    await backend.removeLeftover(leftover);
    expect(await readdir(folder)).toEqual(['stage']);
  });

  it('that is of one file removes that file', async () => {
    await put('notes.txt');
    const bare = new LocalBackend(join(folder, 'backup.tar.zst'));
    const snapshot = await bare.write(ID, '.tar.zst', inPieces(Buffer.from('x'), 1));
    await bare.remove(snapshot);
    expect(await readdir(folder)).toEqual(['notes.txt']);
    await expect(bare.remove({ ...snapshot, location: join(folder, 'notes.txt') })).rejects.toMatchObject({
      code: 'INPUT',
    });
  });

  it('that was deleted half is not listed as complete, and can be removed again', async () => {
    const snapshot = await tree('stage', ID);
    for (const name of ['manifest', '_index.json', 'shop']) {
      await rm(join(snapshot.location, name), { recursive: true });
      expect((await backend.list()).map(({ state }) => state)).toEqual(['unfinished']);
    }
    const [leftover] = (await backend.survey()).leftovers;
    if (leftover === undefined) throw new Error('there is no leftover');
    await backend.removeLeftover(leftover);
    expect(await readdir(join(folder, 'stage', 'backup'))).toEqual([]);
  });

  it('never touches what is called like a tree and is none', async () => {
    const photos = `photos/backup/${ID}/1.jpg`;
    await put(photos);
    expect(await backend.survey()).toMatchObject({ snapshots: [], leftovers: [], foreign: [photos] });
    const [listed] = await backend.list();
    if (listed === undefined) throw new Error('it is not listed');
    await expect(backend.remove(listed)).rejects.toMatchObject({
      code: 'BACKEND',
      message: `${listed.location} has neither manifest nor _snapshot.json: it is not removed.`,
    });
    expect(await readFile(join(folder, photos), 'utf8')).toBe('x');
  });

  it('never leaves the folder, neither by its name nor through a link', async () => {
    const outside = new LocalBackend(join(root, 'elsewhere'));
    const { location } = await outside.writeTree(ID, 'stage', writeTree(entriesOf({ '_snapshot.json': '{}' })).entries);
    await symlink(join(root, 'elsewhere', 'stage'), join(folder, 'stage'));
    await mkdir(join(folder, 'prod', 'backup'), { recursive: true });
    await symlink(location, join(folder, 'prod', 'backup', ID));
    const snapshot = { id: ID, layout: 'tree', size: 0, state: 'complete' } as const;
    const refusals = {
      [location]: 'INPUT',
      [join(folder, '..', 'elsewhere', 'stage', 'backup', ID)]: 'INPUT',
      [folder]: 'INPUT',
      [join(folder, 'notes.txt')]: 'INPUT',
      [join(folder, 'stage', 'backup', ID)]: 'BACKEND',
      [join(folder, 'prod', 'backup', ID)]: 'BACKEND',
    };
    for (const [path, code] of Object.entries(refusals)) {
      await expect(backend.remove({ ...snapshot, location: path }), path).rejects.toMatchObject({ code });
    }
    expect((await outside.list()).map(({ state }) => state)).toEqual(['complete']);
  });

  it('removes of an archive that is a link only the link', async () => {
    await put('../elsewhere.tar.zst');
    await symlink(join(root, 'elsewhere.tar.zst'), join(folder, `transship-${ID}.tar.zst`));
    const [snapshot] = (await backend.survey()).snapshots;
    if (snapshot === undefined) throw new Error('it is not found');
    await backend.remove(snapshot);
    expect(await readdir(folder)).toEqual([]);
    expect(await readFile(join(root, 'elsewhere.tar.zst'), 'utf8')).toBe('x');
  });

  it('by the folder of its cluster is refused while it has parts, which are above that', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    await tree('stage', ID);
    await store.finish();
    const cluster = new LocalBackend(join(folder, 'stage'));
    const own = await cluster.find('latest');
    await expect(cluster.remove(own)).rejects.toMatchObject({ code: 'INPUT', hint: `Give ${folder} as path.` });
    await rm(join(folder, `transship-${ID}.vms`), { recursive: true });
    await cluster.remove(own);
    expect(await backend.list()).toEqual([]);
  });
});

describe('removing what is left', () => {
  it('removes each kind, and saved plans', async () => {
    await put(
      `stage/backup/${ID}.0123abcd.partial/_snapshot.json`,
      `transship-${ID}.tar.zst.0123abcd.partial`,
      `transship-${ID}.tar.zst.lock`,
      `plans/${PLAN}.json.0123abcd.partial`,
      `plans/${PLAN}.json`,
      `transship-${LATER}.vms/_export.json`,
      'notes.txt',
    );
    const { leftovers, plans } = await backend.survey();
    expect(leftovers).toHaveLength(5);
    for (const leftover of leftovers) await backend.removeLeftover(leftover);
    for (const plan of plans) await backend.removePlan(plan);
    for (const leftover of leftovers) await backend.removeLeftover(leftover);
    expect(await backend.survey()).toMatchObject({ snapshots: [], leftovers: [], plans: [], foreign: ['notes.txt'] });
    await expect(backend.removePlan(join(folder, 'notes.txt'))).rejects.toMatchObject({ code: 'INPUT' });
  });

  it('keeps the parts of a snapshot that is complete by now', async () => {
    const store = await backend.beginParts(ID, SCOPE);
    await store.write(partOf(SMALL));
    await store.close();
    const [leftover] = (await backend.survey()).leftovers;
    if (leftover === undefined) throw new Error('there is no leftover');
    await backend.write(ID, '.tar.zst', inPieces(Buffer.from('x'), 1));
    await backend.removeLeftover(leftover);
    expect(await readdir(join(folder, `transship-${ID}.vms`))).toEqual(['shop.db.tar.zst']);
    expect((await backend.survey()).leftovers).toEqual([]);
  });

  it('keeps a tree that is complete by now', async () => {
    const { location } = await tree('stage', ID);
    await backend.removeLeftover({ what: 'snapshot', location, size: 0, modified: new Date() });
    expect((await backend.list()).map(({ state }) => state)).toEqual(['complete']);
  });
});

async function withParts(id: string): Promise<StoredSnapshot> {
  const store = await backend.beginParts(id, SCOPE);
  await store.write(partOf(SMALL));
  const snapshot = await backend.write(id, '.tar.zst', inPieces(Buffer.from('main'), 2));
  await store.finish();
  return snapshot;
}

function tree(cluster: string, id: string): Promise<StoredSnapshot> {
  const files = { '_snapshot.json': '{}', 'shop/pods.json': '[]' };
  return backend.writeTree(id, cluster, writeTree(entriesOf(files)).entries);
}

async function put(...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), 'x');
  }
}

async function setAge(path: string, hours: number): Promise<void> {
  const time = new Date(Date.now() - hours * 3_600_000);
  await utimes(join(folder, path), time, time);
}
