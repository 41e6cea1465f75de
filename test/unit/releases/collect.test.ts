import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../src/archive/entry.ts';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type CollectOptions, collectReleases } from '../../../src/releases/collect.ts';
import { entryToRecord } from '../../../src/releases/record-entry.ts';
import { type FakeCluster, fakeCluster, keepWarnings, makeJson, makeObject, readAll } from './make-record.ts';

type Wanted = Partial<Omit<CollectOptions, 'reporter'>>;

async function collect(cluster: FakeCluster, wanted: Wanted = {}) {
  const reporter = keepWarnings();
  const collection = collectReleases(cluster, { namespaces: ['*'], history: 'all', reporter, ...wanted });
  const entries = await readAll(collection.entries);
  return {
    entries,
    paths: entries.map(({ path }: Entry) => path),
    ...collection.result(),
    warnings: reporter.warnings,
  };
}

const history = (namespace: string, release: string, ...statuses: string[]): KubeObject[] =>
  statuses.map((status, index) => makeObject({ namespace, release, revision: index + 1, status }));

describe('what is listed', () => {
  const objects = [
    ...history('a', 'x', 'deployed'),
    ...history('a-b', 'y', 'deployed'),
    ...history('c', 'z', 'deployed'),
  ];

  test('a glob costs one LIST a driver over all namespaces, and yields those it matches', async () => {
    const cluster = fakeCluster(objects);
    const { paths } = await collect(cluster, { namespaces: ['a*', 'nothing'] });
    expect(cluster.lists).toEqual([
      '/api/v1/secrets?labelSelector=owner=helm',
      '/api/v1/configmaps?labelSelector=owner=helm',
    ]);
    expect(paths).toEqual(['_releases/a-b/y/1.json', '_releases/a/x/1.json']);
  });

  test('names cost one LIST a driver and namespace, each once', async () => {
    const cluster = fakeCluster(objects);
    const { paths } = await collect(cluster, { namespaces: ['c', 'a', 'c'] });
    expect(cluster.lists.toSorted()).toEqual(
      ['a', 'c'].flatMap((name) =>
        ['configmaps', 'secrets'].map((plural) => `/api/v1/namespaces/${name}/${plural}?labelSelector=owner=helm`),
      ),
    );
    expect(paths).toEqual(['_releases/a/x/1.json', '_releases/c/z/1.json']);
    expect(cluster.gets).toEqual([]);
  });

  test('only the drivers asked for are read', async () => {
    const cluster = fakeCluster(objects);
    await collect(cluster, { drivers: ['configmap'] });
    expect(cluster.lists).toEqual(['/api/v1/configmaps?labelSelector=owner=helm']);
  });

  test('objects that only carry the label are left alone', async () => {
    const stranger = makeObject({ release: 'x' });
    stranger.metadata.name = 'helm-operator-cache';
    expect((await collect(fakeCluster([stranger, ...objects]))).paths).toHaveLength(3);
  });
});

describe('an entry', () => {
  test('holds the record exactly', async () => {
    const json = makeJson({ manifest: '\u2028<&>' }).replace('"config":{}', '"config":{"n":12345678901234567890}');
    const { entries } = await collect(fakeCluster([makeObject({ driver: 'configmap', json, labels: { team: 'a' } })]));
    const records = await Promise.all(entries.map(entryToRecord));
    expect(records).toMatchObject([{ driver: 'configmap', json, labels: { team: 'a' } }]);
  });

  test('of each revision comes in the order of the list, however long one takes to unpack', async () => {
    const noise = Array.from({ length: 40_000 }, (_, index) => (index * 7919).toString(36)).join(' ');
    const objects = [1, 2, 3, 10].map((revision) =>
      makeObject({
        revision,
        manifest: revision === 1 ? noise : 'x',
        status: revision === 10 ? 'deployed' : 'superseded',
      }),
    );
    const { paths } = await collect(fakeCluster(objects));
    expect(paths).toEqual([1, 10, 2, 3].map((revision) => `_releases/shop/web/${revision}.json`));
  });

  test('of a revision that both drivers hold has a name of its own, and the two are two releases', async () => {
    const both = (['secret', 'configmap'] as const).flatMap((driver) =>
      [1, 2].map((revision) => makeObject({ driver, revision, status: revision === 1 ? 'superseded' : 'deployed' })),
    );
    const { paths, releases, warnings } = await collect(fakeCluster(both));
    expect(paths).toEqual(
      ['1.json', '1.configmap.json', '2.json', '2.configmap.json'].map((name) => `_releases/shop/web/${name}`),
    );
    expect(releases.map(({ revision, revisions }) => [revision, revisions])).toEqual([
      [2, 2],
      [2, 2],
    ]);
    expect(warnings).toEqual([
      'Release shop/web is stored in Secrets and in ConfigMaps. To Helm these are two releases; both travel.',
    ]);
  });
});

describe('the result', () => {
  test('has a row a release with what runs', async () => {
    const objects = [
      ...history('shop', 'web', 'superseded', 'deployed', 'failed'),
      makeObject({
        release: 'web',
        revision: 10,
        status: 'pending-upgrade',
        chart: { metadata: { name: 'app', version: '2' } },
      }),
      ...history('data', 'db', 'deployed'),
    ];
    const app = { chart: 'app', chartVersion: '1.2.3', appVersion: '9.9', outcome: 'exported', status: 'deployed' };
    expect((await collect(fakeCluster(objects))).releases).toEqual([
      { ...app, name: 'db', namespace: 'data', revision: 1, revisions: 1 },
      { ...app, name: 'web', namespace: 'shop', revision: 2, revisions: 4 },
    ]);
  });

  test('has the newest revision of a release of which nothing runs', async () => {
    const { releases } = await collect(fakeCluster(history('shop', 'web', 'superseded', 'uninstalled')));
    expect(releases).toMatchObject([{ revision: 2, status: 'uninstalled' }]);
  });

  test('takes a record without chart metadata', async () => {
    const json = '{"name":"web","version":1,"info":{"status":"deployed"}}';
    const { releases } = await collect(fakeCluster([makeObject({ json })]));
    expect(releases).toMatchObject([{ chart: '', chartVersion: '', appVersion: '' }]);
  });
});

describe('history, selector and exclude', () => {
  test('history keeps the newest revisions and the one that runs, of each release by itself', async () => {
    const objects = [
      ...history('shop', 'web', 'superseded', 'deployed', ...Array.from({ length: 9 }, () => 'failed')),
      ...history('shop', 'web.v1', 'superseded', 'superseded', 'deployed'),
    ];
    const { paths } = await collect(fakeCluster(objects), { history: 2 });
    expect(paths.toSorted()).toEqual(
      ['web.v1/2', 'web.v1/3', 'web/10', 'web/11', 'web/2'].map((name) => `_releases/shop/${name}.json`),
    );
  });

  test('a selector looks at the newest record and takes the whole history, as helm list does', async () => {
    const labelled = (release: string, ...teams: string[]) =>
      teams.map((team, index) => makeObject({ release, revision: index + 1, labels: team === '' ? {} : { team } }));
    const objects = [...labelled('gained', '', 'a'), ...labelled('lost', 'a', ''), ...labelled('other', 'b')];
    const { paths } = await collect(fakeCluster(objects), { selector: 'team=a' });
    expect(paths).toEqual(['_releases/shop/gained/1.json', '_releases/shop/gained/2.json']);
  });

  test("a selector that can't be read fails before anything is listed", async () => {
    const cluster = fakeCluster([]);
    await expect(collect(cluster, { selector: 'team in' })).rejects.toMatchObject({ code: 'INPUT' });
    expect(cluster.lists).toEqual([]);
  });

  test('exclude leaves out releases by name or by namespace and name', async () => {
    const objects = ['a/web', 'a/tmp-1', 'b/web', 'b/tmp-2'].map((id) => {
      const [namespace = '', release = ''] = id.split('/');
      return makeObject({ namespace, release });
    });
    const { paths, warnings } = await collect(fakeCluster(objects), { exclude: ['tmp-*', 'b/web', 'typo'] });
    expect(paths).toEqual(['_releases/a/web/1.json']);
    expect(warnings).toEqual(['exclude has "typo", which matches no release.']);
  });
});

describe("a record that can't be decoded", () => {
  const broken = makeObject({ release: 'broken', payload: Buffer.from('bm90IGpzb24=').toString('base64') });

  test('stops the export, named', async () => {
    await expect(collect(fakeCluster([broken, makeObject()]))).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      message: expect.stringContaining('Secret shop/sh.helm.release.v1.broken.v1'),
      hint: expect.stringContaining('exclude'),
    });
  });

  test('can be left out by exclude', async () => {
    const mislabelled = makeObject({ release: 'mislabelled', labels: { name: 'x' } });
    const { paths } = await collect(fakeCluster([broken, mislabelled, makeObject()]), { exclude: ['broken', 'mis*'] });
    expect(paths).toEqual(['_releases/shop/web/1.json']);
  });
});

describe('finding nothing', () => {
  test('a namespace that is named but does not exist is wrong input, with those that were perhaps meant', async () => {
    const cluster = fakeCluster([makeObject({ namespace: 'prod' })], { namespaces: ['prod', 'kube-system'] });
    await expect(collect(cluster, { namespaces: ['prod', 'prodd'] })).rejects.toMatchObject({
      code: 'INPUT',
      message: 'namespace names "prodd", which does not exist in fake.',
      hint: 'Did you mean prod?',
    });
  });

  test('the same is said to one who may not list namespaces', async () => {
    const cluster = fakeCluster([], { forbidden: ['/api/v1/namespaces'] });
    await expect(collect(cluster, { namespaces: ['prodd'] })).rejects.toMatchObject({ code: 'INPUT' });
  });

  test.each([
    ['a namespace without releases', ['empty'], [], 'Namespace empty has no Helm release.'],
    [
      'a namespace that may not be read itself',
      ['locked'],
      ['/api/v1/namespaces/locked'],
      'Namespace locked has no Helm release.',
    ],
    ['globs that match none', ['x-*', '*-y'], [], 'No Helm release was found in x-*, *-y.'],
  ])('%s is no error, but is said', async (_, namespaces, forbidden, warning) => {
    const cluster = fakeCluster([], { namespaces: ['empty', 'locked'], forbidden });
    const { entries, releases, warnings } = await collect(cluster, { namespaces });
    expect([entries, releases, warnings]).toEqual([[], [], [warning]]);
  });
});

describe('a list that is forbidden', () => {
  test('over all namespaces names the ways out', async () => {
    const cluster = fakeCluster([], { forbidden: ['/api/v1/secrets'] });
    await expect(collect(cluster)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('Secrets may not be listed in the whole cluster, which a glob or * needs'),
      hint: 'Grant the verb list on secrets, or name the namespaces one by one.',
    });
  });

  test('of ConfigMaps is not passed over in silence', async () => {
    const cluster = fakeCluster([makeObject()], { forbidden: ['/api/v1/namespaces/shop/configmaps'] });
    await expect(collect(cluster, { namespaces: ['shop'] })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      hint: expect.stringContaining('set HELM_DRIVER=secret'),
    });
    const secretsOnly = await collect(cluster, { namespaces: ['shop'], drivers: ['secret'] });
    expect(secretsOnly.paths).toEqual(['_releases/shop/web/1.json']);
  });
});

test('a cancelled export stops with the reason it was given', async () => {
  const signal = AbortSignal.abort(new Error('cancelled by the user'));
  await expect(collect(fakeCluster([makeObject()]), { signal })).rejects.toThrow('cancelled by the user');
});
