import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type FindPrunableOptions, findPrunable, prune } from '../../../src/environment/prune.ts';
import type { RunProgram } from '../../../src/releases/helm.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { nameObject } from '../../../src/resources/resource.ts';
import type { UndoLog } from '../../../src/undo.ts';
import { makeObject } from '../releases/make-record.ts';
import { createClock } from '../resources/memory-api.ts';
import { keepReports } from '../resources/target-bed.ts';
import {
  answer,
  type FakeCluster,
  type FakeOptions,
  fakeCluster,
  fakeHelm,
  forbid,
  live,
  own,
  ownedBy,
  partOf,
} from './fake-cluster.ts';

const environment = { name: 'pr-7' };
const LABEL = { 'transship.dev/environment': 'pr-7' };

async function find(cluster: FakeCluster, options: Partial<FindPrunableOptions> = {}) {
  const reports = keepReports();
  const prunable = await findPrunable(cluster, cluster.discovery, {
    environment,
    namespaces: ['shop'],
    keeps: () => false,
    keepsRelease: () => false,
    reporter: reports,
    ...options,
  });
  return { prunable, names: prunable.objects.map(({ id }) => nameObject(id)), reports: reports.lines };
}

async function findAmong(
  objects: readonly KubeObject[],
  options: Partial<FindPrunableOptions> = {},
  fake?: FakeOptions,
) {
  return find(fakeCluster(objects, fake), options);
}

function pruneOptions(cluster: FakeCluster, fails: readonly string[] = []) {
  const runProgram = fakeHelm(cluster, fails);
  return {
    calls: runProgram.calls,
    options: {
      ...{ cluster, environment, runProgram, reporter: silentReporter, clock: createClock(), noHooks: false },
      helm: { path: 'helm', version: 'v4.3.1', major: 4 } as const,
      env: {},
      temporaryDirectory: '/tmp/none',
      timeout: 60_000,
    },
  };
}

describe('what is pruned', () => {
  test('bears the label of the environment, and the snapshot no longer has it', async () => {
    const { names } = await findAmong(
      [
        own('v1 ConfigMap shop/old'),
        own('v1 ConfigMap shop/kept'),
        live('v1 ConfigMap shop/theirs'),
        live('v1 ConfigMap shop/of-another', { metadata: { labels: { 'transship.dev/environment': 'pr-8' } } }),
        own('rbac.authorization.k8s.io/v1 ClusterRole old'),
        own('shop.example.com/v1 Order shop/old'),
      ],
      { keeps: (key) => key === '/ConfigMap/shop/kept' },
    );
    expect(names).toEqual(['ConfigMap shop/old', 'ClusterRole old', 'Order.shop.example.com shop/old']);
  });

  test.each([[['shop']], [['shop', 'b', 'c', 'd', 'e']]])('is in no namespace but %s', async (namespaces) => {
    const objects = [own('v1 ConfigMap shop/old'), own('v1 ConfigMap elsewhere/old')];
    expect((await findAmong(objects, { namespaces })).names).toEqual(['ConfigMap shop/old']);
  });

  test('is found in each namespace where all of them may not be listed', async () => {
    const namespaces = ['shop', 'b', 'c', 'd', 'e'];
    const { names, reports } = await findAmong(
      [own('v1 ConfigMap shop/old')],
      { namespaces },
      forbid('LIST /api/v1/configmaps'),
    );
    expect(names).toEqual(['ConfigMap shop/old']);
    expect(reports).toEqual([]);
  });

  test('is never a namespace, a CRD, a volume or a claim: a warning names them', async () => {
    const { names, reports } = await findAmong([
      own('v1 Namespace gone'),
      own('v1 Namespace shop'),
      own('v1 PersistentVolume old'),
      own('v1 PersistentVolumeClaim shop/old'),
      own('apiextensions.k8s.io/v1 CustomResourceDefinition orders.shop.example.com'),
    ]);
    expect(names).toEqual([]);
    expect(reports).toEqual([
      expect.stringMatching(
        /^warn: .*Namespace gone, PersistentVolume old, PersistentVolumeClaim shop\/old, CustomResourceDefinition orders\.shop\.example\.com\. .*never pruned/,
      ),
    ]);
  });

  test('is neither the marker nor what says that it is not to be pruned', async () => {
    const annotations = { 'transship.dev/prune': 'false' };
    const { names } = await findAmong([
      own('v1 ConfigMap shop/transship-environment-pr-7'),
      own('v1 ConfigMap shop/stays', { metadata: { annotations } }),
    ]);
    expect(names).toEqual([]);
  });

  test('is nothing that is on its way out already', async () => {
    const metadata = { deletionTimestamp: '2026-01-31T12:00:00Z' };
    expect((await findAmong([own('v1 ConfigMap shop/old', { metadata })])).names).toEqual([]);
  });

  test('is counted once where two groups serve it, and kept where the snapshot has it in one', async () => {
    const ingress = own('networking.k8s.io/v1 Ingress shop/web');
    expect((await findAmong([ingress])).prunable.objects).toHaveLength(1);
    const kept = await findAmong([ingress], { keeps: (key) => key === 'networking.k8s.io/Ingress/shop/web' });
    expect(kept.names).toEqual([]);
  });

  test('is not what an owner takes along or looks after', async () => {
    const gone = own('shop.example.com/v1 Order shop/gone');
    const stays = own('shop.example.com/v1 Order shop/stays');
    const { names } = await findAmong(
      [
        gone,
        stays,
        own('v1 Secret shop/collected', { metadata: { ownerReferences: ownedBy(gone, false) } }),
        own('v1 Secret shop/looked-after', { metadata: { ownerReferences: ownedBy(stays) } }),
        own('v1 Secret shop/merely-owned', { metadata: { ownerReferences: ownedBy(stays, false) } }),
      ],
      { keeps: (key) => key.endsWith('/stays') },
    );
    expect(names).toEqual(['Secret shop/merely-owned', 'Order.shop.example.com shop/gone']);
  });

  test('is not what controllers copy the label to', async () => {
    const service = own('v1 Service shop/web');
    const { names } = await findAmong(
      [
        service,
        own('v1 Endpoints shop/web'),
        own('v1 Endpoints shop/by-hand'),
        own('discovery.k8s.io/v1 EndpointSlice shop/web-abc', {
          metadata: { labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' } },
        }),
      ],
      { keeps: (key) => key === '/Service/shop/web' },
    );
    expect(names).toEqual(['Endpoints shop/by-hand']);
  });

  test('is not what a release has taken over; the marks of a release that is not there mean nothing', async () => {
    const { names } = await findAmong([
      own('v1 ConfigMap shop/taken', { metadata: partOf('web') }),
      own('v1 ConfigMap shop/marked', { metadata: partOf('gone') }),
      makeObject({ release: 'web' }),
    ]);
    expect(names).toEqual(['ConfigMap shop/marked']);
  });

  test('is told to be unknown where a kind may not be listed', async () => {
    const { names, reports } = await findAmong(
      [own('v1 Secret shop/old'), own('v1 ConfigMap shop/old')],
      {},
      forbid('LIST /api/v1/namespaces/shop/secrets', 'LIST /apis/rbac.authorization.k8s.io/v1/clusterroles'),
    );
    expect(names).toEqual(['ConfigMap shop/old']);
    expect(reports).toEqual([
      'warn: The user of the context "fake" may not list secrets in shop. What environment pr-7 has of them is not pruned. Grant the verb list on them.',
      'info: Not looked through, for lack of the verb list: clusterroles.rbac.authorization.k8s.io. What environment pr-7 has of them is not pruned.',
    ]);
  });
});

describe('a release is pruned', () => {
  const record = (revision: number, labels: Record<string, string> = LABEL) =>
    makeObject({ release: 'web', revision, labels });

  test('when its newest record bears the label and the snapshot has no such release', async () => {
    const objects = [record(1), record(2)];
    expect((await findAmong(objects)).prunable.releases).toEqual([{ namespace: 'shop', name: 'web' }]);
    const kept = await findAmong(objects, { keepsRelease: (namespace, name) => `${namespace}/${name}` === 'shop/web' });
    expect(kept.prunable.releases).toEqual([]);
  });

  test('not when somebody has taken it over since, and then none of its records is an object to delete', async () => {
    const { prunable } = await findAmong([record(1), record(2, {})]);
    expect(prunable).toEqual({ objects: [], releases: [] });
  });

  test('not when its records travel as plain Secrets', async () => {
    const keeps = (key: string) => key === '/Secret/shop/sh.helm.release.v1.web.v2';
    expect((await findAmong([record(1), record(2)], { keeps })).prunable).toEqual({ objects: [], releases: [] });
  });
});

describe('pruning', () => {
  test('deletes in the reverse order of an import, releases between workloads and what these stand on', async () => {
    const cluster = fakeCluster([
      own('v1 Secret shop/a'),
      own('v1 ServiceAccount shop/a'),
      own('rbac.authorization.k8s.io/v1 ClusterRole a'),
      own('apps/v1 Deployment shop/a'),
      own('shop.example.com/v1 Order shop/a'),
      own('admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration a'),
      makeObject({ release: 'web', labels: LABEL }),
    ]);
    const { prunable } = await find(cluster);
    const { options } = pruneOptions(cluster);
    const runProgram: RunProgram = (command, args, how) => {
      cluster.changes.push(`helm ${args[0]}`);
      return options.runProgram(command, args, how);
    };
    const { resources, releases, failures } = await prune(prunable, { ...options, runProgram });
    expect(cluster.changes).toEqual([
      'DELETE /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/a',
      'DELETE /apis/shop.example.com/v1/namespaces/shop/orders/a',
      'DELETE /apis/apps/v1/namespaces/shop/deployments/a',
      'helm uninstall',
      'DELETE /api/v1/namespaces/shop/secrets/a',
      'DELETE /api/v1/namespaces/shop/serviceaccounts/a',
      'DELETE /apis/rbac.authorization.k8s.io/v1/clusterroles/a',
    ]);
    expect(cluster.objects.size).toBe(0);
    expect(resources.map(({ resource, deleted }) => `${resource} ${deleted}`)).toEqual([
      'clusterroles 1',
      'deployments 1',
      'orders 1',
      'secrets 1',
      'serviceaccounts 1',
      'validatingwebhookconfigurations 1',
    ]);
    expect(releases).toMatchObject([{ name: 'web', namespace: 'shop', chart: 'app', revision: 1, outcome: 'deleted' }]);
    expect(failures).toEqual([]);
  });

  test('deletes no object that was made under the same name since', async () => {
    const cluster = fakeCluster([own('v1 ConfigMap shop/a')]);
    const { prunable } = await find(cluster);
    cluster.objects.set('/api/v1/namespaces/shop/configmaps/a', live('v1 ConfigMap shop/a'));
    const { resources } = await prune(prunable, pruneOptions(cluster).options);
    expect(cluster.has('v1 ConfigMap shop/a')).toBe(true);
    expect(resources).toMatchObject([{ resource: 'configmaps', deleted: 1, failed: 0 }]);
  });

  test('waits for what finalizers hold, and names what is not gone in time and what holds it', async () => {
    const cluster = fakeCluster([
      own('shop.example.com/v1 Order shop/slow', { metadata: { finalizers: ['shop.example.com/a'] } }),
      own('shop.example.com/v1 Order shop/stuck', { metadata: { finalizers: ['shop.example.com/b'] } }),
    ]);
    const { prunable } = await find(cluster);
    const { options } = pruneOptions(cluster);
    options.clock.at(1000, () => cluster.objects.delete('/apis/shop.example.com/v1/namespaces/shop/orders/slow'));
    const { resources, failures } = await prune(prunable, options);
    expect(resources).toMatchObject([{ resource: 'orders', deleted: 1, failed: 1 }]);
    expect(failures).toEqual([
      {
        object: 'Order.shop.example.com shop/stuck',
        outcome: 'failed',
        message: 'It is being deleted, and was still there after 60 s: held by shop.example.com/b.',
      },
    ]);
  });

  test('goes on when an object may not be deleted, and names it', async () => {
    const refuse: NonNullable<FakeOptions['refuse']> = (method, path) =>
      method === 'DELETE' && path.endsWith('/a') ? answer(403, 'Forbidden', path) : undefined;
    const cluster = fakeCluster([own('v1 ConfigMap shop/a'), own('v1 ConfigMap shop/b')], { refuse });
    const { failures } = await prune((await find(cluster)).prunable, pruneOptions(cluster).options);
    expect(failures).toMatchObject([{ object: 'ConfigMap shop/a', outcome: 'failed' }]);
    expect(cluster.has('v1 ConfigMap shop/b')).toBe(false);
  });

  test('stops when the server does not answer any more', async () => {
    const refuse: NonNullable<FakeOptions['refuse']> = (method, path) =>
      method === 'DELETE' ? answer(0, 'Unreachable', path) : undefined;
    const cluster = fakeCluster([own('v1 ConfigMap shop/a')], { refuse });
    const { prunable } = await find(cluster);
    await expect(prune(prunable, pruneOptions(cluster).options)).rejects.toMatchObject({ reason: 'Unreachable' });
  });

  test('tells the log of what is undone each object, whole, before it goes', async () => {
    const cluster = fakeCluster([own('v1 ConfigMap shop/a', { data: { a: '1' } })]);
    const told: unknown[] = [];
    const undo: UndoLog = {
      changing: async (path, before) => void told.push([path, before.data, cluster.has('v1 ConfigMap shop/a')]),
      created: async () => {},
      installing: async () => {},
      upgrading: async () => {},
    };
    await prune((await find(cluster)).prunable, { ...pruneOptions(cluster).options, undo });
    expect(told).toEqual([['/api/v1/namespaces/shop/configmaps/a', { a: '1' }, true]]);
  });

  test('tells it each release, with its records, before Helm uninstalls it', async () => {
    const cluster = fakeCluster([makeObject({ release: 'web', revision: 3, labels: LABEL })]);
    const told: unknown[] = [];
    const undo: UndoLog = {
      changing: async () => {},
      created: async () => {},
      installing: async () => {},
      upgrading: async (...args) => void told.push([args[0], args[1], args[2], args[3].length, cluster.objects.size]),
    };
    await prune((await find(cluster)).prunable, { ...pruneOptions(cluster).options, undo });
    expect(told).toEqual([['shop', 'web', 3, 1, 1]]);
  });

  test('leaves what a release may need that could not be uninstalled', async () => {
    const cluster = fakeCluster([
      own('v1 Secret shop/a'),
      own('apps/v1 Deployment shop/a'),
      makeObject({ release: 'web', labels: LABEL }),
    ]);
    const { prunable } = await find(cluster);
    const { releases, failures } = await prune(prunable, pruneOptions(cluster, ['web']).options);
    expect(releases).toMatchObject([{ outcome: 'failed', message: 'web has a hook that fails' }]);
    expect(failures).toEqual([
      {
        object: 'Secret shop/a',
        outcome: 'skipped',
        message: 'Left, for release shop/web could not be uninstalled and may need it.',
      },
    ]);
    expect(cluster.has('apps/v1 Deployment shop/a')).toBe(false);
  });
});
