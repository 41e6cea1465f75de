import { describe, expect, it } from 'vitest';
import { type FoundFile, type OpenUpload, surveyPlace } from '../../../src/backends/survey.ts';

const ID = '26-01-31_12-00-00';
const OLDER = '26-01-30_12-00-00';

interface Given {
  readonly files: readonly (string | (Partial<FoundFile> & { readonly path: string }))[];
  readonly uploads?: readonly OpenUpload[];
  readonly storage?: 'bucket' | 'folder';
  /** Counts the files that were handed out. */
  readonly seen?: { count: number };
}

function survey({ files, uploads = [], storage = 'bucket', seen }: Given) {
  const found = files.map((file) => ({ size: 1, changed: 0, ...(typeof file === 'string' ? { path: file } : file) }));
  const under = (folder: string) => found.filter(({ path }) => folder === '' || path.startsWith(`${folder}/`));
  return surveyPlace({
    storage,
    name: 'prod',
    uploads,
    locate: (path) => `at:${path}`,
    async *look(folder) {
      const start = folder === '' ? 0 : folder.length + 1;
      const folders = new Set<string>();
      for (const file of under(folder)) {
        const slash = file.path.indexOf('/', start);
        if (slash === -1) yield file;
        else folders.add(file.path.slice(0, slash));
      }
      yield* folders;
    },
    async *walk(folder) {
      for (const file of under(folder)) {
        if (seen !== undefined) seen.count += 1;
        yield file;
      }
    },
  });
}

/** A tree’s files. */
function treeAt(folder: string, ...more: string[]): string[] {
  return ['_snapshot.json', 'shop/pods.json', ...more].map((name) => `${folder}/${name}`);
}

const WHOLE = ['_index.json', 'manifest'];

describe('snapshots', () => {
  it('are archives, trees of clusters and of the place itself, newest first', async () => {
    const { snapshots, leftovers, foreignCount } = await survey({
      files: [
        { path: `transship-${ID}.tar.zst.age`, size: 7 },
        ...treeAt(`stage/backup/${ID}`, ...WHOLE),
        ...treeAt(`backup/backup/${OLDER}`, ...WHOLE),
        ...treeAt(`backup/${OLDER}`, ...WHOLE),
      ],
    });
    expect(snapshots).toEqual([
      {
        id: ID,
        layout: 'tree',
        cluster: 'stage',
        location: `at:stage/backup/${ID}`,
        size: 4,
        state: 'complete',
        encrypted: undefined,
      },
      {
        id: ID,
        layout: 'archive',
        location: `at:transship-${ID}.tar.zst.age`,
        size: 7,
        state: 'complete',
        encrypted: true,
      },
      expect.objectContaining({ id: OLDER, cluster: 'prod', location: `at:backup/${OLDER}` }),
      expect.objectContaining({ id: OLDER, cluster: 'backup', location: `at:backup/backup/${OLDER}` }),
    ]);
    expect({ leftovers, foreignCount }).toEqual({ leftovers: [], foreignCount: 0 });
  });

  it('that are trees without a manifest are leftovers, as old as their newest file', async () => {
    const files = treeAt(`stage/backup/${ID}`, '_index.json').map((path, index) => ({ path, changed: 1000 * index }));
    const { snapshots, leftovers } = await survey({ files });
    expect(snapshots).toMatchObject([{ id: ID, layout: 'tree', state: 'unfinished' }]);
    expect(leftovers).toEqual([
      { what: 'snapshot', location: `at:stage/backup/${ID}`, size: 3, modified: new Date(2000) },
    ]);
  });

  it('are younger for what is being uploaded into them', async () => {
    const upload = { path: `stage/backup/${ID}/_vms/disk.img`, size: 10, changed: 9000, uploadId: 'u' };
    const { leftovers } = await survey({ files: treeAt(`stage/backup/${ID}`), uploads: [upload] });
    expect(leftovers).toEqual([
      { what: 'snapshot', location: `at:stage/backup/${ID}`, size: 12, modified: new Date(9000) },
    ]);
  });

  it('in a folder are unfinished by their names', async () => {
    const partial = `transship-${ID}.tar.zst.age.0123abcd.partial`;
    const tree = `stage/backup/${ID}.0123abcd.partial`;
    const { snapshots, leftovers } = await survey({
      storage: 'folder',
      // All of a tree may be there before it gets its name.
      files: [partial, ...treeAt(tree, ...WHOLE)],
    });
    expect(snapshots).toMatchObject([
      { id: ID, layout: 'tree', location: `at:${tree}`, state: 'unfinished' },
      { id: ID, layout: 'archive', location: `at:${partial}`, state: 'unfinished', encrypted: true },
    ]);
    expect(leftovers.map(({ what }) => what)).toEqual(['snapshot', 'snapshot']);
  });
});

describe('parts', () => {
  const group = `transship-${ID}.vms`;
  const begun = [`${group}/_export.json`, `${group}/_lock-1`, `${group}/shop.db.tar.zst.parts/00001-0123456789ab`];

  it('of a snapshot that is complete are neither leftovers nor foreign', async () => {
    const { snapshots, leftovers, foreignCount } = await survey({
      files: [...treeAt(`stage/backup/${ID}`, ...WHOLE), `${group}/shop.db.tar.zst`],
    });
    expect(snapshots).toHaveLength(1);
    expect({ leftovers, foreignCount }).toEqual({ leftovers: [], foreignCount: 0 });
  });

  it('that no complete snapshot names are one leftover', async () => {
    const { snapshots, leftovers } = await survey({
      files: [...begun.map((path, index) => ({ path, changed: index })), { path: `${group}/a.b.tar.zst`, size: 5 }],
    });
    expect(snapshots).toEqual([{ id: ID, layout: 'archive', location: `at:${group}`, size: 8, state: 'unfinished' }]);
    expect(leftovers).toEqual([{ what: 'parts', location: `at:${group}`, size: 8, modified: new Date(2) }]);
  });

  it('of an export that was killed at its very end leave what was there to go on with', async () => {
    const { snapshots, leftovers } = await survey({
      files: [`transship-${ID}.tar.zst`, `${group}/shop.db.tar.zst`, ...begun],
    });
    expect(snapshots.map(({ state }) => state)).toEqual(['complete']);
    expect(leftovers).toEqual([{ what: 'parts', location: `at:${group}`, size: 3, modified: new Date(0) }]);
  });
});

describe('uploads', () => {
  const rest = { size: 10, changed: 5000 };

  it('of archives are unfinished snapshots, each for itself', async () => {
    const path = `transship-${ID}.tar.zst`;
    const { snapshots, leftovers } = await survey({
      files: [],
      uploads: ['a', 'b'].map((uploadId) => ({ path, uploadId, ...rest })),
    });
    const location = `at:${path}`;
    expect(snapshots.map((one) => [one.location, one.size, one.state])).toEqual([
      [location, 0, 'unfinished'],
      [location, 0, 'unfinished'],
    ]);
    expect(leftovers).toEqual(
      ['a', 'b'].map((uploadId) => ({ what: 'snapshot', location, size: 10, modified: new Date(5000), uploadId })),
    );
  });

  it('into what is complete are leftovers of their own, into somebody else’s are none', async () => {
    const upload = (path: string) => ({ path, uploadId: path, ...rest });
    const { leftovers, foreign } = await survey({
      files: [...treeAt(`stage/backup/${ID}`, ...WHOLE), `photos/backup/${ID}/1.jpg`],
      uploads: [
        upload(`stage/backup/${ID}/big`),
        upload(`photos/backup/${ID}/2.jpg`),
        upload(`transship-${OLDER}.vms/shop.db.tar`),
        upload('movie.mp4'),
      ],
    });
    expect(leftovers.map(({ what, uploadId }) => [what, uploadId])).toEqual([
      ['upload', `stage/backup/${ID}/big`],
      ['upload', `transship-${OLDER}.vms/shop.db.tar`],
    ]);
    expect(foreign).toEqual([`photos/backup/${ID}/1.jpg`]);
  });
});

describe('what Transship did not write', () => {
  it('is told by name wherever it is', async () => {
    const { foreign, foreignCount, plans, snapshots } = await survey({
      files: [
        'notes.txt',
        'photos/1.jpg',
        'with space/a/b.txt',
        'stage/readme.md',
        'stage/other/x',
        'stage/backup/notes.txt',
        'stage/backup/old/x',
        // It is called like a tree, and no tree begins like it.
        `stage/backup/${ID}/db.dump`,
        'backup/loose',
        'plans/todo.txt',
        `plans/${ID}-${'0a'.repeat(16)}.json`,
        '_manager.json',
        `transship-${ID}.vms`,
        { path: `transship-${OLDER}.tar.zst`, isOdd: true },
      ],
    });
    expect(foreign).toEqual([
      'backup/loose',
      'notes.txt',
      'photos/1.jpg',
      'plans/todo.txt',
      `stage/backup/${ID}/db.dump`,
      'stage/backup/notes.txt',
      'stage/backup/old/x',
      'stage/other/x',
      'stage/readme.md',
      `transship-${OLDER}.tar.zst`,
      `transship-${ID}.vms`,
      'with space/a/b.txt',
    ]);
    expect(foreignCount).toBe(12);
    expect(plans).toEqual([`at:plans/${ID}-${'0a'.repeat(16)}.json`]);
    expect(snapshots).toEqual([]);
  });

  it('is named up to 20 and counted up to 1000, and then not read on', async () => {
    const seen = { count: 0 };
    const files = Array.from({ length: 5000 }, (_, index) => `x y/${String(index).padStart(4, '0')}`);
    const { foreign, foreignCount } = await survey({ files, seen });
    expect(foreign).toEqual(files.slice(0, 20));
    expect(foreignCount).toBe(1000);
    expect(seen.count).toBe(1000);
  });
});
