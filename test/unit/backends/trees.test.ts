import { describe, expect, it, vi } from 'vitest';
import { ArtifactBackend } from '../../../src/backends/artifact.ts';
import type { StoredSnapshot } from '../../../src/backends/backend.ts';
import {
  closesTree,
  describeFiles,
  folderName,
  lookIntoTrees,
  mayBeCluster,
  sortFiles,
  type TreeFolder,
} from '../../../src/backends/trees.ts';

describe('the folder of a cluster', () => {
  it.each([
    ['stage', 'stage'],
    ['kind-stage_1.eu', 'kind-stage_1.eu'],
    ['arn:aws:eks:eu-central-1:1234:cluster/stage', 'arn-aws-eks-eu-central-1-1234-cluster-stage'],
    ['default/api.example.com:6443/kube:admin', 'default-api.example.com-6443-kube-admin'],
    ['..', 'cluster'],
    ['', 'cluster'],
    ['.hidden', 'hidden'],
    ['../../etc', '-..-etc'],
    ['ends.', 'ends'],
    ['x'.repeat(300), 'x'.repeat(128)],
  ])('of %j is %j', (context, name) => {
    expect(folderName(context)).toBe(name);
    expect(mayBeCluster(name)).toBe(true);
  });

  it.each(['', '.git', 'lost+found', 'a b', '..'])('is not %j', (name) => {
    expect(mayBeCluster(name)).toBe(false);
  });
});

describe('looking into trees', () => {
  const folder = (cluster: string, id: string, state: StoredSnapshot['state'] = 'complete') => ({
    ...{ cluster, id, location: `${cluster}/${id}`, size: 1, layout: 'tree' as const },
    state,
  });
  const folders = [
    folder('stage', '26-01-01_00-00-00'),
    folder('stage', '26-01-03_00-00-00'),
    folder('stage', '26-01-04_00-00-00', 'unfinished'),
    folder('prod', '26-01-02_00-00-00'),
    folder('prod', '26-01-01_00-00-00'),
  ];
  const look = async (selector?: string) => {
    const describe = vi.fn(async (one: TreeFolder & StoredSnapshot) => one);
    await lookIntoTrees(folders, selector, describe);
    return describe.mock.calls.map(([{ location }]) => location).sort();
  };

  it('takes no more than the newest of each cluster, and what was not finished since, for latest', async () => {
    expect(await look('latest')).toEqual([
      'prod/26-01-02_00-00-00',
      'stage/26-01-03_00-00-00',
      'stage/26-01-04_00-00-00',
    ]);
  });

  it('takes only those of an id', async () => {
    expect(await look('26-01-01_00-00-00')).toEqual(['prod/26-01-01_00-00-00', 'stage/26-01-01_00-00-00']);
  });

  it('takes all when all are asked for', async () => {
    expect(await look()).toHaveLength(folders.length);
  });

  it('leaves out those that have gone meanwhile', async () => {
    expect(await lookIntoTrees(folders, undefined, async () => undefined)).toEqual([]);
    expect(await lookIntoTrees(folders, 'latest', async () => undefined)).toEqual([]);
  });
});

it('the files of a tree are read as an archive has them: what it is first, what it is checked by last', () => {
  const paths = ['_releases/a/b/1.json', 'manifest', 'a.json', '_index.json', '_snapshot.json', 'Z.json'];
  expect(sortFiles(paths.map((path) => ({ path }))).map(({ path }) => path)).toEqual([
    '_snapshot.json',
    'Z.json',
    '_releases/a/b/1.json',
    'a.json',
    '_index.json',
    'manifest',
  ]);
});

it('artifacts are archives only, and say where trees can be kept', async () => {
  const refused = {
    code: 'INPUT',
    message: 'layout: "tree" needs backend s3 or local, and here it is artifact.',
  };
  const backend = new ArtifactBackend('transship');
  await expect(backend.writeTree()).rejects.toMatchObject(refused);
  expect(() => backend.readTree()).toThrow(expect.objectContaining(refused));
});

describe('the files of a tree', () => {
  const of = (...paths: string[]) => paths.map((path) => ({ path }));

  it('that is encrypted are read in the same order', () => {
    const files = of(
      'manifest',
      '_index.json.age',
      '_releases/a/b/1.json.age',
      '_snapshot.json.age',
      'a/pods.json.age',
    );
    expect(sortFiles(files).map(({ path }) => path)).toEqual([
      '_snapshot.json.age',
      '_releases/a/b/1.json.age',
      'a/pods.json.age',
      '_index.json.age',
      'manifest',
    ]);
    expect(files.filter(({ path }) => closesTree(path)).map(({ path }) => path)).toEqual([
      'manifest',
      '_index.json.age',
    ]);
  });

  it('say whether it is complete, and encrypted', () => {
    expect(describeFiles(of('_snapshot.json', 'manifest'))).toEqual({ state: 'complete', encrypted: undefined });
    expect(describeFiles(of('_snapshot.json.age', 'manifest'))).toEqual({ state: 'complete', encrypted: true });
    expect(describeFiles(of('_snapshot.json.age', 'a.age'))).toEqual({ state: 'unfinished', encrypted: true });
  });
});
