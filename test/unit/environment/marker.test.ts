import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { findEnvironments, isExpired } from '../../../src/environment/find.ts';
import { markerName, writeMarkers } from '../../../src/environment/marker.ts';
import type { UndoLog } from '../../../src/undo.ts';
import { fakeCluster, forbid, live, own } from './fake-cluster.ts';

const CONTENT = {
  snapshot: '26-01-31_12-00-00',
  origin: 'snapshot 26-01-31_12-00-00 of stage',
  now: new Date('2026-02-01T00:00:00Z'),
};
const HOUR = 3_600_000;
const path = '/api/v1/namespaces/shop/configmaps/transship-environment-pr-7';
const environment = { name: 'pr-7' };

describe('the name of a marker', () => {
  test.each(['pr-7', 'a', 'v1.2', 'a--b'])('of %s is as it is', (name) => {
    expect(markerName({ name })).toBe(`transship-environment-${name}`);
  });

  test.each(['PR_7', 'pr_7', 'Pr-7', 'a..b', 'a-.b', `${'x'.repeat(62)}Y`, `${'A_'.repeat(31)}A`])(
    'of %s is one that a ConfigMap can have',
    (name) => {
      const encoded = markerName({ name });
      expect(encoded).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
      expect(encoded.length).toBeLessThan(254);
    },
  );

  test('differs for all environments', () => {
    const names = ['pr-7', 'PR-7', 'pr_7', 'Pr_7', 'pr.7', 'a..b', 'a-b', markerName({ name: 'PR-7' }).slice(23)];
    expect(new Set(names.map((name) => markerName({ name }))).size).toBe(names.length);
  });
});

describe('an import', () => {
  test('marks each of its namespaces that exists', async () => {
    const cluster = fakeCluster([live('v1 Namespace shop')]);
    await writeMarkers(cluster, environment, ['shop', 'missing'], { ...CONTENT, ttl: 72 * HOUR });
    expect(cluster.objects.get(path)).toMatchObject({
      metadata: { labels: { 'transship.dev/environment': 'pr-7', 'app.kubernetes.io/managed-by': 'transship' } },
      data: {
        name: 'pr-7',
        snapshot: '26-01-31_12-00-00',
        origin: 'snapshot 26-01-31_12-00-00 of stage',
        imported: '2026-02-01T00:00:00.000Z',
        expires: '2026-02-04T00:00:00.000Z',
      },
    });
    expect([...cluster.objects.keys()]).toEqual(['/api/v1/namespaces/shop', path]);
  });

  test('without ttl lifts that of the one before', async () => {
    const cluster = fakeCluster([live('v1 Namespace shop')]);
    await writeMarkers(cluster, environment, ['shop'], { ...CONTENT, ttl: HOUR });
    await writeMarkers(cluster, environment, ['shop'], CONTENT);
    expect(cluster.objects.get(path)?.data).not.toHaveProperty('expires');
  });

  test('can take its markers back', async () => {
    const told: string[] = [];
    const undo: UndoLog = {
      created: async (at) => void told.push(`created ${at}`),
      changing: async (at, before) => void told.push(`changing ${at} of ${dataOf(before).snapshot}`),
      installing: async () => {},
      upgrading: async () => {},
    };
    const cluster = fakeCluster([live('v1 Namespace shop')]);
    await writeMarkers(cluster, environment, ['shop'], { ...CONTENT, snapshot: 'first' }, undo);
    await writeMarkers(cluster, environment, ['shop'], CONTENT, undo);
    expect(told).toEqual([`created ${path}`, `changing ${path} of first`]);
  });
});

describe('environments', () => {
  async function imported(name: string, namespaces: string[], now: string, ttl?: number) {
    return { name, namespaces, content: { ...CONTENT, now: new Date(now), ttl } };
  }

  async function clusterWith(...imports: Awaited<ReturnType<typeof imported>>[]) {
    const namespaces = [...new Set(imports.flatMap((one) => one.namespaces))];
    const cluster = fakeCluster([
      ...namespaces.map((name) => live(`v1 Namespace ${name}`)),
      own('v1 ConfigMap shop/brought', { metadata: { labels: { 'app.kubernetes.io/managed-by': 'transship' } } }),
    ]);
    for (const one of imports) await writeMarkers(cluster, { name: one.name }, one.namespaces, one.content);
    return cluster;
  }

  test('are found by their markers, with all their namespaces', async () => {
    const cluster = await clusterWith(
      await imported('pr-7', ['web', 'shop'], '2026-02-01T00:00:00Z', HOUR),
      await imported('PR_8', ['shop'], '2026-02-01T00:00:00Z'),
    );
    expect(await findEnvironments(cluster)).toMatchObject([
      { name: 'PR_8', namespaces: ['shop'], expires: undefined },
      { name: 'pr-7', namespaces: ['shop', 'web'], expires: new Date('2026-02-01T01:00:00Z') },
    ]);
    expect((await findEnvironments(cluster, { name: 'pr-7' })).map(({ name }) => name)).toEqual(['pr-7']);
    expect(await findEnvironments(cluster, { namespaces: ['we*'] })).toMatchObject([{ namespaces: ['web'] }]);
  });

  test('expire as the last import says, whatever older markers elsewhere say', async () => {
    const cluster = await clusterWith(
      await imported('pr-7', ['web', 'shop'], '2026-02-01T00:00:00Z', HOUR),
      await imported('pr-7', ['shop'], '2026-02-01T00:30:00Z', 2 * HOUR),
    );
    const [found] = await findEnvironments(cluster);
    expect(found?.expires).toEqual(new Date('2026-02-01T02:30:00Z'));
    const at = (time: string) => found !== undefined && isExpired(found, new Date(time));
    expect([at('2026-02-01T02:29:59Z'), at('2026-02-01T02:30:00Z')]).toEqual([false, true]);
  });

  test('that may not be looked for everywhere are asked for by namespace', async () => {
    const cluster = fakeCluster([], forbid('LIST /api/v1/configmaps'));
    await expect(findEnvironments(cluster)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining("Environments can't be looked for in all namespaces"),
      hint: 'Grant the verb list on configmaps, or set namespace to those of the environment.',
    });
    expect(await findEnvironments(cluster, { namespaces: ['shop', 'web'] })).toEqual([]);
  });
});

function dataOf(object: KubeObject): Record<string, unknown> {
  return object.data as Record<string, unknown>;
}
