import { describe, expect, test } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { findObject } from '../../../src/cluster/find.ts';
import { chooseExisting, findTargetReleases } from '../../../src/releases/target-releases.ts';
import { makeObject, type RecordSpec } from './make-record.ts';
import { type MemoryCluster, memoryCluster } from './memory-cluster.ts';

const web = { namespace: 'shop', name: 'web' };

function clusterOf(specs: readonly RecordSpec[]): MemoryCluster {
  const cluster = memoryCluster();
  for (const spec of specs) {
    const object = makeObject(spec);
    const plural = object.kind === 'Secret' ? 'secrets' : 'configmaps';
    cluster.objects.set(`/api/v1/namespaces/${object.metadata.namespace}/${plural}/${object.metadata.name}`, object);
  }
  return cluster;
}

describe('findTargetReleases', () => {
  test('finds releases of any status in both drivers, apart, and nobody else', async () => {
    const cluster = clusterOf([
      { revision: 1, status: 'superseded' },
      { revision: 2, status: 'pending-upgrade' },
      { revision: 1, status: 'uninstalled', driver: 'configmap' },
      { release: 'other' },
      { namespace: 'elsewhere' },
    ]);
    const found = await findTargetReleases(cluster, [web, { namespace: 'empty', name: 'web' }]);
    const rest = { frozen: undefined, isOurs: false, environment: undefined, digest: expect.any(String) };
    expect(found).toEqual([
      { ...web, driver: 'configmap', revisions: [{ revision: 1, status: 'uninstalled', ...rest }] },
      {
        ...web,
        driver: 'secret',
        revisions: [
          { revision: 1, status: 'superseded', ...rest },
          { revision: 2, status: 'pending-upgrade', ...rest },
        ],
      },
    ]);
  });

  test('asks only for the releases it looks for, but not in an endless URL', async () => {
    const cluster = clusterOf([]);
    const names = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ namespace: 'shop', name: `r${index}` }));
    await findTargetReleases(cluster, names(2));
    await findTargetReleases(cluster, names(200));
    expect(cluster.requests).toEqual([
      'GET /api/v1/namespaces/shop/secrets?labelSelector=owner=helm,name in (r0,r1)',
      'GET /api/v1/namespaces/shop/configmaps?labelSelector=owner=helm,name in (r0,r1)',
      'GET /api/v1/namespaces/shop/secrets?labelSelector=owner=helm',
      'GET /api/v1/namespaces/shop/configmaps?labelSelector=owner=helm',
    ]);
  });

  test('tells what an import has left behind: by the chart, by the object, or by who wrote it', async () => {
    const annotations = { 'transship.dev/frozen': 'install:abc' };
    const cluster = clusterOf([
      { revision: 1, chart: { metadata: { name: 'app', annotations } } },
      { revision: 2 },
      { revision: 3 },
    ]);
    const [first, second, third] = [...cluster.objects.values()];
    if (first === undefined || second === undefined || third === undefined) throw new Error('There are three.');
    second.metadata.annotations = annotations;
    third.metadata.managedFields = [{ manager: 'transship' }, { manager: 'helm' }];
    const [release] = await findTargetReleases(cluster, [web]);
    expect(release?.revisions).toMatchObject([
      { revision: 1, status: 'deployed', frozen: 'install:abc', isOurs: false },
      { revision: 2, status: 'deployed', frozen: 'install:abc', isOurs: false },
      { revision: 3, status: 'deployed', frozen: undefined, isOurs: true },
    ]);
  });

  test('tells what is in a record, even in one that cannot be read, and for which environment it was brought', async () => {
    const labels = { 'transship.dev/environment': 'pr-1' };
    const digests = async (specs: RecordSpec[]) => {
      const [release] = await findTargetReleases(clusterOf(specs), [web]);
      expect(release?.revisions.map(({ environment }) => environment)).toContain('pr-1');
      return release?.revisions.map(({ digest }) => digest);
    };
    const before = await digests([{ labels }, { revision: 2, json: 'broken' }]);
    expect(
      await digests([
        { labels, plain: true },
        { revision: 2, json: 'broken' },
      ]),
    ).toEqual(before);
    expect(
      await digests([
        { labels, manifest: 'x' },
        { revision: 2, json: 'other' },
      ]),
    ).not.toEqual(expect.arrayContaining([before?.[0]]));
    expect(await digests([{ labels }, { revision: 2, json: 'other' }])).not.toEqual(before);
  });

  test('a record that cannot be read is a release that exists', async () => {
    const found = await findTargetReleases(clusterOf([{ json: 'broken', status: 'deployed' }]), [web]);
    expect(found).toMatchObject([{ ...web, revisions: [{ status: 'deployed', frozen: undefined }] }]);
  });
});

describe('chooseExisting', () => {
  const revision = { revision: 1, status: 'deployed', frozen: undefined, isOurs: false, digest: 'x' };
  const inSecrets = { ...web, driver: 'secret', revisions: [revision] } as const;
  const inConfigMaps = { ...web, driver: 'configmap', revisions: [revision] } as const;
  const leftBehind = { ...inConfigMaps, revisions: [{ ...revision, frozen: 'install:abc' }] };

  test('prefers the release of the same driver', () => {
    expect(chooseExisting([inConfigMaps, inSecrets], { ...web, driver: 'secret' })).toBe(inSecrets);
  });

  test('takes the one of the other driver, for there is no other release of that name', () => {
    expect(chooseExisting([inConfigMaps], { ...web, driver: 'secret' })).toBe(inConfigMaps);
  });

  test('goes on with what an import has left only in the same driver', () => {
    expect(chooseExisting([leftBehind], { ...web, driver: 'configmap' })).toBe(leftBehind);
    expect(chooseExisting([leftBehind], { ...web, driver: 'secret' })).toBeUndefined();
  });

  test('finds nothing for another name or namespace', () => {
    expect(chooseExisting([inSecrets], { ...web, name: 'db', driver: 'secret' })).toBeUndefined();
    expect(chooseExisting([inSecrets], { ...web, namespace: 'prod', driver: 'secret' })).toBeUndefined();
  });
});

describe('findObject', () => {
  test('is undefined only for what does not exist', async () => {
    expect(await findObject(memoryCluster(), '/api/v1/namespaces/none')).toBeUndefined();
    const denied = new ClusterError(403, 'Forbidden', 'no');
    await expect(
      findObject(
        memoryCluster(() => denied),
        '/api/v1/namespaces/none',
      ),
    ).rejects.toBe(denied);
  });
});
