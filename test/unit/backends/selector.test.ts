import { describe, expect, it, vi } from 'vitest';
import type { StoredSnapshot } from '../../../src/backends/backend.ts';
import {
  archiveSuffixOf,
  checkSuffix,
  findSnapshot,
  parseSnapshotFileName,
  selectSnapshot,
  snapshotFileName,
  sortSnapshots,
} from '../../../src/backends/selector.ts';

describe('a file name', () => {
  it.each([
    ['transship', '.tar'],
    ['transship', '.tar.zst'],
    ['my-stage', '.tar.xz'],
    ['ends-', '.tar.gz'],
    ['26-01-31_12-00-00', '.tar.zst.age'],
    ['transship', '.gz'],
    ['transship', '.gz.age'],
    ['my-stage', '.gz'],
  ])('of %s and %s is read back as it was made', (base, suffix) => {
    const name = snapshotFileName(base, '26-02-01_00-00-00', suffix);
    expect(parseSnapshotFileName(name)).toEqual({ base, id: '26-02-01_00-00-00', suffix });
  });

  it('of a file of Helm releases is helm-releases-<id>.gz, where nothing else is asked for', () => {
    const name = snapshotFileName('transship', '26-02-01_00-00-00', '.gz');
    expect(name).toBe('helm-releases-26-02-01_00-00-00.gz');
    expect(parseSnapshotFileName('helm-releases-26-02-01_00-00-00.tar.gz')?.base).toBe('helm-releases');
  });

  it.each([
    ['helm-releases.gz', '.gz', true],
    ['helm-releases.gz.age', '.gz.age', true],
    ['archive.tar.gz', '.gz', false],
    ['archive.tar.gz', '.tar.gz', true],
    ['helm-releases.gz', '.tar.zst', false],
    ['helm-releases.gz', '.gz.age', false],
  ])('%s for what is %s: %s', (file, suffix, isRight) => {
    const check = () => checkSuffix(file, suffix);
    if (isRight) expect(check).not.toThrow();
    else expect(check).toThrow(`path: "${file}" must end in ${suffix}, as the archive to write is one.`);
  });

  it.each([
    'transship-26-01-31_12-00-00',
    'transship-26-01-31_12-00-00.zip',
    'transship-26-01-31_12-00-00.tar.zst.partial~',
    'transship26-01-31_12-00-00.tar',
    'transship-26-01-31.tar',
  ])('is not %s', (name) => {
    expect(parseSnapshotFileName(name)).toBeUndefined();
  });

  it.each([
    ['./backup.tar.zst', '.tar.zst'],
    ['backup.tgz', '.tgz'],
    ['a/b.tar.xz.age', '.tar.xz.age'],
    ['a/b.tar', '.tar'],
    ['backup', undefined],
    ['tar', undefined],
    ['backup.tar.zst/', undefined],
    ['helm-releases.gz', '.gz'],
    ['helm-releases.gz.age', '.gz.age'],
    ['backup.bz2', undefined],
  ])('%s ends as an archive in %s', (path, suffix) => {
    expect(archiveSuffixOf(path)).toBe(suffix);
  });
});

describe('sorting', () => {
  it('puts the newest first, and of one id the complete one', () => {
    const sorted = sortSnapshots([
      stored('26-01-01_00-00-00'),
      stored('26-01-02_00-00-00', 'unfinished'),
      stored('26-01-02_00-00-00'),
    ]);
    expect(sorted.map(({ id, state }) => [id, state])).toEqual([
      ['26-01-02_00-00-00', 'complete'],
      ['26-01-02_00-00-00', 'unfinished'],
      ['26-01-01_00-00-00', 'complete'],
    ]);
  });
});

describe('selecting', () => {
  const older = stored('26-01-01_00-00-00');
  const newer = stored('26-01-02_00-00-00');
  const broken = stored('26-01-03_00-00-00', 'unfinished');

  it('takes the newest complete one for latest', () => {
    expect(selectSnapshot([older, broken, newer], 'latest', './s')).toBe(newer);
  });

  it('takes the one with the id', () => {
    expect(selectSnapshot([older, broken, newer], older.id, './s')).toBe(older);
  });

  it.each([
    [[], 'latest', 'There is no snapshot in ./s.'],
    [[], '25-01-01_00-00-00', 'Snapshot 25-01-01_00-00-00 is not in ./s.'],
    [
      [older, newer, broken],
      '25-01-01_00-00-00',
      'Snapshot 25-01-01_00-00-00 is not in ./s. There is 26-01-02_00-00-00, 26-01-01_00-00-00.',
    ],
    [
      [broken],
      'latest',
      'There is no snapshot in ./s. There is only what interrupted exports left: 26-01-03_00-00-00.',
    ],
    [
      [broken, older],
      broken.id,
      'Snapshot 26-01-03_00-00-00 in ./s is unfinished: its export still runs or was interrupted. There is 26-01-01_00-00-00.',
    ],
  ])('of %j says what there is when there is no %s', (snapshots, selector, message) => {
    expect(() => selectSnapshot(snapshots, selector, './s')).toThrow(
      expect.objectContaining({ code: 'SNAPSHOT_NOT_FOUND', message }),
    );
  });

  it('names the five newest and counts the others', () => {
    const many = Array.from({ length: 8 }, (_, day) => stored(`26-01-0${day + 1}_00-00-00`));
    expect(() => selectSnapshot(many, '25-01-01_00-00-00', './s')).toThrow(
      /There is 26-01-08_00-00-00, .*26-01-04_00-00-00 and 3 older\.$/,
    );
  });

  it('does not guess between two archives of one id', () => {
    const twice = [
      { ...older, location: 'a.tar.gz' },
      { ...older, location: 'a.tar.zst' },
    ];
    expect(() => selectSnapshot(twice, 'latest', './s')).toThrow(
      expect.objectContaining({
        code: 'BACKEND',
        message: 'Two snapshots have the id 26-01-01_00-00-00: a.tar.gz and a.tar.zst.',
      }),
    );
  });

  it('takes the newest of archives and the trees of one cluster together', () => {
    expect(selectSnapshot([older, tree(newer.id, 'stage')], 'latest', './s').layout).toBe('tree');
    expect(selectSnapshot([newer, tree(older.id, 'stage')], 'latest', './s')).toBe(newer);
  });

  it('does not guess between clusters, and says how to choose', () => {
    const trees = [tree(older.id, 'stage'), tree(newer.id, 'prod'), tree(newer.id, 'dev')];
    expect(() => selectSnapshot(trees, 'latest', './s/')).toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message: './s/ has snapshots of 3 clusters: dev, prod, stage.',
        hint: 'Choose one by its folder: give ./s/dev as path, for example.',
      }),
    );
    expect(() => selectSnapshot(trees, newer.id, './s')).toThrow(
      expect.objectContaining({ message: `./s has a snapshot ${newer.id} each of 2 clusters: dev, prod.` }),
    );
    expect(selectSnapshot(trees, older.id, './s').cluster).toBe('stage');
  });

  it('is not confused by what an interrupted export of another cluster left', () => {
    const snapshots = [tree(older.id, 'stage'), { ...tree(newer.id, 'prod'), state: 'unfinished' as const }];
    expect(selectSnapshot(snapshots, 'latest', './s').cluster).toBe('stage');
  });

  it('does not guess between an archive and a tree of one id', () => {
    expect(() => selectSnapshot([older, { ...tree(older.id, 'stage'), location: 'z' }], older.id, './s')).toThrow(
      `Two snapshots have the id ${older.id}: ${older.location} and z.`,
    );
  });

  it('refuses what is neither latest nor an id', () => {
    expect(() => selectSnapshot([older], 'newest', './s')).toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message: 'snapshot: "newest" is neither latest nor an id such as 26-01-31_12-00-00.',
      }),
    );
  });
});

describe('finding', () => {
  it('lists only what the selector needs', async () => {
    const list = vi.fn(async () => [stored('26-01-01_00-00-00')]);
    expect((await findSnapshot(list, '26-01-01_00-00-00', './s')).id).toBe('26-01-01_00-00-00');
    expect(list.mock.calls).toEqual([['26-01-01_00-00-00']]);
  });

  it('lists all to say what there is instead', async () => {
    const list = async (selector?: string) => (selector === undefined ? [stored('26-01-01_00-00-00')] : []);
    await expect(findSnapshot(list, '25-01-01_00-00-00', './s')).rejects.toThrow('There is 26-01-01_00-00-00.');
  });
});

function tree(id: string, cluster: string): StoredSnapshot {
  return { ...stored(id), layout: 'tree', cluster };
}

function stored(id: string, state: StoredSnapshot['state'] = 'complete'): StoredSnapshot {
  return { id, layout: 'archive', state, location: id, size: 1 };
}
