import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type TeardownOptions, teardown } from '../../../src/environment/teardown.ts';
import { makeObject, type RecordSpec } from '../releases/make-record.ts';
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

const LABEL = { 'transship.dev/environment': 'pr-7' };

function marker(namespace: string, environment = 'pr-7', expires?: string): KubeObject {
  return own(`v1 ConfigMap ${namespace}/transship-environment-${environment}`, {
    metadata: {
      labels: { 'transship.dev/environment': environment, 'app.kubernetes.io/managed-by': 'transship' },
    },
    data: { name: environment, imported: '2026-01-31T12:00:00Z', ...(expires === undefined ? {} : { expires }) },
  });
}

function record(spec: RecordSpec = {}): KubeObject {
  return makeObject({ labels: LABEL, ...spec });
}

/** What every namespace has by itself. */
function byItself(namespace: string): KubeObject[] {
  const web = live(`v1 Service ${namespace}/left`, { metadata: { deletionTimestamp: '2026-01-31T12:00:00Z' } });
  return [
    live(`v1 ConfigMap ${namespace}/kube-root-ca.crt`),
    live(`v1 ServiceAccount ${namespace}/default`),
    live(`v1 Event ${namespace}/happened`),
    live(`v1 Endpoints ${namespace}/left`),
    live(`discovery.k8s.io/v1 EndpointSlice ${namespace}/left-abc`, { metadata: { ownerReferences: ownedBy(web) } }),
    web,
  ];
}

async function tearDown(cluster: FakeCluster, options: Partial<TeardownOptions> & { fails?: string[] } = {}) {
  const { fails, ...others } = options;
  const reports = keepReports();
  const runProgram = fakeHelm(cluster, fails);
  const result = await teardown({
    ...{ cluster, discovery: cluster.discovery, runProgram, reporter: reports, clock: createClock(), noHooks: false },
    helm: async () => ({ path: 'helm', version: 'v4.3.1', major: 4 }),
    name: options.expired === true ? undefined : 'pr-7',
    env: {},
    temporaryDirectory: '/tmp/none',
    timeout: 60_000,
    dryRun: false,
    now: new Date('2026-02-01T00:00:00Z'),
    ...others,
  });
  const warnings = reports.lines.filter((line) => line.startsWith('warn: '));
  return { ...result, helm: runProgram.calls, reports: reports.lines, warnings };
}

function left(cluster: FakeCluster): string[] {
  return [...cluster.objects.values()].map(
    ({ kind, metadata: { namespace, name } }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
  );
}

const refuseDelete =
  (end: string): NonNullable<FakeOptions['refuse']> =>
  (method, path) =>
    method === 'DELETE' && path.endsWith(end) ? answer(403, 'Forbidden', path) : undefined;

describe('a teardown', () => {
  const environment = () => [
    own('v1 Namespace shop'),
    ...byItself('shop'),
    marker('shop'),
    own('v1 ConfigMap shop/a'),
    own('v1 PersistentVolumeClaim shop/data'),
    own('apps/v1 Deployment shop/web'),
    record({ revision: 1, status: 'superseded' }),
    record({ revision: 2 }),
    live('apps/v1 Deployment shop/released', { metadata: partOf('web') }),
    own('rbac.authorization.k8s.io/v1 ClusterRole pr-7'),
    own('apiextensions.k8s.io/v1 CustomResourceDefinition orders.shop.example.com'),
    own('shop.example.com/v1 Order shop/a'),
    marker('base'),
    own('v1 Secret base/a'),
  ];
  const strangers = () => [
    live('v1 Namespace base'),
    live('v1 Namespace other'),
    live('v1 ConfigMap base/theirs'),
    live('rbac.authorization.k8s.io/v1 ClusterRole theirs'),
    marker('other', 'pr-8'),
  ];

  test('removes all of an environment, and leaves exactly what is not of it', async () => {
    const cluster = fakeCluster([...environment(), ...strangers()]);
    const result = await tearDown(cluster);
    expect(left(cluster)).toEqual([
      'Namespace base',
      'Namespace other',
      'ConfigMap base/theirs',
      'ClusterRole theirs',
      'ConfigMap other/transship-environment-pr-8',
    ]);
    expect(result.environments).toEqual(['pr-7']);
    expect(result.namespaces).toEqual(['shop']);
    expect(result.releases).toMatchObject([{ name: 'web', revision: 2, revisions: 2, outcome: 'deleted' }]);
    expect(result.resources.map(({ resource, deleted }) => `${resource} ${deleted}`)).toEqual([
      'clusterroles 1',
      'configmaps 1',
      'customresourcedefinitions 1',
      'deployments 1',
      'namespaces 1',
      'orders 1',
      'persistentvolumeclaims 1',
      'secrets 1',
    ]);
    expect([result.failures, result.warnings]).toEqual([[], []]);
    expect(result.helm).toEqual(['uninstall web --namespace shop --timeout 60s --wait --ignore-not-found']);
  });

  test('as a dry run says the same, and changes nothing', async () => {
    const [real, dry] = [environment, environment].map((make) => fakeCluster([...make(), ...strangers()]));
    if (real === undefined || dry === undefined) throw new Error('There are two.');
    const before = left(dry);
    const { reports: _before, helm: none, ...pretended } = await tearDown(dry, { dryRun: true });
    const { reports: _after, helm: _calls, ...done } = await tearDown(real);
    expect(pretended).toEqual(done);
    expect([left(dry), dry.changes, none]).toEqual([before, [], []]);
  });

  test('a second time says that there is nothing of it, and what there is', async () => {
    const cluster = fakeCluster([...environment(), ...strangers()]);
    await tearDown(cluster);
    await expect(tearDown(cluster)).rejects.toMatchObject({
      code: 'INPUT',
      message: 'environment: there is nothing of "pr-7" in fake.',
      hint: 'There are these environments: pr-8.',
    });
  });

  test.each(Array.from({ length: 12 }, (_, index) => index))(
    'that was cut short after %i changes is finished by the next',
    async (after) => {
      let count = 0;
      let isCut = true;
      const cluster = fakeCluster([...environment(), ...strangers()], {
        refuse: (method, path) => {
          if (method === 'LIST' || method === 'GET' || !isCut) return undefined;
          count += 1;
          return count > after ? answer(0, 'Unreachable', path) : undefined;
        },
      });
      await tearDown(cluster).catch(() => undefined);
      isCut = false;
      await tearDown(cluster).catch((error) => expect(error).toMatchObject({ code: 'INPUT' }));
      expect(left(cluster)).toHaveLength(strangers().length);
    },
  );

  test('finds what there is without a marker', async () => {
    const cluster = fakeCluster([own('rbac.authorization.k8s.io/v1 ClusterRole pr-7')]);
    await tearDown(cluster);
    expect(left(cluster)).toEqual([]);
  });
});

describe('a namespace that an import made', () => {
  const made = () => [own('v1 Namespace shop'), ...byItself('shop'), marker('shop')];

  test.each<[string, KubeObject]>([
    ['somebody has put something into', live('v1 ConfigMap shop/theirs')],
    ['a release is in that is not of the environment', makeObject({ release: 'theirs' })],
    [
      'a release of the environment has kept something in',
      live('v1 ConfigMap shop/theirs', {
        metadata: {
          ...partOf('web'),
          annotations: { ...partOf('web').annotations, 'helm.sh/resource-policy': 'keep' },
        },
      }),
    ],
  ])('stays where %s, with its marker for the next teardown, and a warning names it', async (_why, stranger) => {
    const cluster = fakeCluster([...made(), stranger, record()]);
    const { namespaces, warnings, failures } = await tearDown(cluster);
    expect(namespaces).toEqual([]);
    expect(failures).toEqual([]);
    expect(warnings).toEqual([
      `warn: Namespace shop is left, for there is what the import did not bring: ${stranger.kind} shop/${stranger.metadata.name}.`,
    ]);
    expect(left(cluster)).toContain('Namespace shop');
    expect(left(cluster)).toContain('ConfigMap shop/transship-environment-pr-7');
  });

  test('stays where a release elsewhere has taken over something in it', async () => {
    const taken = own('v1 ConfigMap shop/taken', { metadata: partOf('theirs', 'base') });
    const cluster = fakeCluster([...made(), taken, makeObject({ release: 'theirs', namespace: 'base' })]);
    expect((await tearDown(cluster)).namespaces).toEqual([]);
    expect(cluster.has('v1 ConfigMap shop/taken')).toBe(true);
  });

  test('goes by the next teardown when the stranger is gone', async () => {
    const cluster = fakeCluster([...made(), live('v1 ConfigMap shop/theirs')]);
    await tearDown(cluster);
    cluster.objects.delete('/api/v1/namespaces/shop/configmaps/theirs');
    expect((await tearDown(cluster)).namespaces).toEqual(['shop']);
    expect(left(cluster)).toEqual([]);
  });

  test('goes with what Helm hooks, certificates and controllers have left in it', async () => {
    const gone = live('apps/v1 ReplicaSet shop/gone');
    const cluster = fakeCluster([
      ...made(),
      live('v1 ConfigMap shop/hook', { metadata: { annotations: { 'helm.sh/hook': 'pre-install' } } }),
      live('v1 Secret shop/web-tls', { metadata: { annotations: { 'cert-manager.io/certificate-name': 'web' } } }),
      live('v1 Pod shop/ending', { metadata: { ownerReferences: ownedBy(gone) } }),
    ]);
    expect((await tearDown(cluster)).namespaces).toEqual(['shop']);
  });

  test('stays where an owner outside of it keeps something in it', async () => {
    const tenant = live('shop.example.com/v1 Tenant acme');
    const cluster = fakeCluster([
      ...made(),
      tenant,
      live('v1 Secret shop/tenant', { metadata: { ownerReferences: ownedBy(tenant) } }),
    ]);
    expect((await tearDown(cluster)).warnings).toEqual([expect.stringContaining('Secret shop/tenant')]);
  });

  test('goes with the claims that its StatefulSets had made; older ones hold it, with the data in them', async () => {
    const spec = { volumeClaimTemplates: [{ metadata: { name: 'data' } }] };
    const set = (name: string, metadata = {}) => live(`apps/v1 StatefulSet shop/${name}`, { spec, metadata });
    const claim = (name: string, creationTimestamp = '2026-01-31T12:00:01Z') =>
      live(`v1 PersistentVolumeClaim shop/${name}`, { metadata: { creationTimestamp } });
    const cluster = fakeCluster([
      ...made(),
      record(),
      set('db', partOf('web')),
      set('cache', { labels: LABEL }),
      claim('data-db-0'),
      claim('data-cache-12'),
      claim('data-db-1', '2026-01-31T11:59:59Z'),
    ]);
    const { resources, warnings } = await tearDown(cluster);
    expect(resources).toContainEqual(expect.objectContaining({ resource: 'persistentvolumeclaims', deleted: 2 }));
    expect(warnings).toEqual([
      expect.stringMatching(/Namespace shop is left.*: PersistentVolumeClaim shop\/data-db-1\.$/),
    ]);
  });

  test('is known by claims that a run cut short has labelled', async () => {
    const spec = { volumeClaimTemplates: [{ metadata: { name: 'data' } }] };
    const cluster = fakeCluster(
      [
        ...made(),
        record(),
        live('apps/v1 StatefulSet shop/db', { spec, metadata: partOf('web') }),
        live('v1 PersistentVolumeClaim shop/data-db-0'),
      ],
      { refuse: refuseDelete('/data-db-0') },
    );
    expect((await tearDown(cluster)).failures).toMatchObject([{ object: 'PersistentVolumeClaim shop/data-db-0' }]);
    expect(cluster.has('apps/v1 StatefulSet shop/db')).toBe(false);
    expect(cluster.objects.get('/api/v1/namespaces/shop/persistentvolumeclaims/data-db-0')?.metadata.labels).toEqual(
      LABEL,
    );
  });

  test.each<[string, FakeOptions, string]>([
    [
      'what may not be listed',
      forbid('LIST /api/v1/namespaces/shop/pods', 'LIST /api/v1/pods'),
      'pods there, which may not be listed',
    ],
    [
      'an API that does not answer',
      { stale: ['tests.example.com/v1'] },
      'what tests.example.com/v1 has there, for its API does not answer',
    ],
  ])('stays where %s may have something in it', async (_what, options, why) => {
    const { namespaces, warnings } = await tearDown(fakeCluster(made(), options));
    expect(namespaces).toEqual([]);
    expect(warnings).toContainEqual(expect.stringContaining(why));
  });
});

describe('a teardown leaves', () => {
  test('claims of StatefulSets in namespaces that the import did not make, and names them', async () => {
    const spec = { volumeClaimTemplates: [{ metadata: { name: 'data' } }] };
    const cluster = fakeCluster([
      live('v1 Namespace base'),
      marker('base'),
      own('apps/v1 StatefulSet base/db', { spec }),
      live('v1 PersistentVolumeClaim base/data-db-0'),
    ]);
    expect((await tearDown(cluster)).warnings).toEqual([expect.stringContaining('base/data-db-0. They stay')]);
    expect(left(cluster)).toEqual(['Namespace base', 'PersistentVolumeClaim base/data-db-0']);
  });

  test('a CRD that others have objects of, and names these', async () => {
    const cluster = fakeCluster([
      own('apiextensions.k8s.io/v1 CustomResourceDefinition orders.shop.example.com'),
      own('shop.example.com/v1 Order base/a'),
      live('shop.example.com/v1 Order base/theirs'),
    ]);
    expect((await tearDown(cluster)).warnings).toEqual([
      'warn: CustomResourceDefinition orders.shop.example.com is left, for there is what the import did not bring: Order.shop.example.com base/theirs.',
    ]);
    expect(left(cluster)).toEqual(['CustomResourceDefinition orders.shop.example.com', 'Order base/theirs']);
  });

  test('what a release of somebody else has taken over, and a release that somebody has upgraded without the label', async () => {
    const cluster = fakeCluster([
      marker('base'),
      own('v1 ConfigMap base/taken', { metadata: partOf('theirs', 'base') }),
      makeObject({ release: 'theirs', namespace: 'base' }),
      record({ release: 'web', namespace: 'base', revision: 1 }),
      record({ release: 'web', namespace: 'base', revision: 2, labels: {} }),
    ]);
    const { helm, warnings } = await tearDown(cluster);
    expect(helm).toEqual([]);
    expect(warnings).toEqual([
      expect.stringContaining('ConfigMap base/taken. It belongs to a Helm release now.'),
      expect.stringContaining('is an old revision of release base/web'),
    ]);
    expect(left(cluster)).toHaveLength(4);
  });

  test('a volume that a claim of somebody else is bound to', async () => {
    const claim = live('v1 PersistentVolumeClaim base/theirs');
    const claimRef = { namespace: 'base', name: 'theirs', uid: claim.metadata.uid };
    const cluster = fakeCluster([
      claim,
      own('v1 PersistentVolume used', { spec: { claimRef } }),
      own('v1 PersistentVolume free', { spec: {} }),
    ]);
    await tearDown(cluster);
    expect(left(cluster)).toEqual(['PersistentVolumeClaim base/theirs', 'PersistentVolume used']);
  });

  test('CRDs, namespaces and markers where something failed, so that the next one finds them', async () => {
    const cluster = fakeCluster(
      [
        own('v1 Namespace shop'),
        marker('shop'),
        own('v1 ConfigMap shop/a'),
        live('v1 Namespace base'),
        marker('base'),
        own('apiextensions.k8s.io/v1 CustomResourceDefinition orders.shop.example.com'),
      ],
      { refuse: refuseDelete('/configmaps/a') },
    );
    const { failures, namespaces, warnings } = await tearDown(cluster);
    expect(failures).toMatchObject([{ object: 'ConfigMap shop/a', outcome: 'failed' }]);
    expect(namespaces).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('its namespaces and markers stay')]);
    expect(left(cluster)).toHaveLength(6);
  });
});

describe('releases', () => {
  const crd = `---
# Source: op/templates/crd.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec: { group: example.com, names: { kind: Widget } }
`;
  const widget = `---
# Source: web/templates/w.yaml
apiVersion: example.com/v1
kind: Widget
metadata: { name: a }
`;

  test('go before those that bring what they use', async () => {
    const cluster = fakeCluster([
      record({ release: 'op', manifest: crd }),
      record({ release: 'web', manifest: widget }),
      record({ release: 'unreadable', payload: 'AAAA' }),
    ]);
    const { helm, releases } = await tearDown(cluster);
    const order = helm.map((line) => line.split(' ')[1]);
    expect(order.indexOf('web')).toBeLessThan(order.indexOf('op'));
    expect(releases.map(({ name, outcome }) => `${name} ${outcome}`).sort()).toEqual([
      'op deleted',
      'unreadable deleted',
      'web deleted',
    ]);
  });

  test('that fail keep those that they use, and all that they may need', async () => {
    const cluster = fakeCluster([
      marker('shop'),
      record({ release: 'op', manifest: crd }),
      record({ release: 'web', manifest: widget }),
      own('v1 Secret shop/a'),
    ]);
    const { releases, failures } = await tearDown(cluster, { fails: ['web'] });
    expect(releases).toMatchObject([
      {
        name: 'op',
        outcome: 'skipped',
        message: expect.stringMatching(/^shop\/op brings what shop\/web uses \(CRD widgets\.example\.com\)/),
      },
      { name: 'web', outcome: 'failed', message: 'web has a hook that fails' },
    ]);
    expect(failures).toMatchObject([{ object: 'Secret shop/a', outcome: 'skipped' }]);
    expect(left(cluster)).toHaveLength(4);
  });

  test('go as they run, not as revisions say that only came along as their history', async () => {
    const brought = { managedFields: [{ manager: 'transship' }] };
    const failed = record({ revision: 3, status: 'failed' });
    Object.assign(failed.metadata, brought);
    const cluster = fakeCluster([record({ revision: 2 }), failed]);
    const { releases } = await tearDown(cluster);
    expect(releases).toMatchObject([{ revision: 2, revisions: 2, status: 'deployed', outcome: 'deleted' }]);
    expect(cluster.changes).toEqual(['DELETE /api/v1/namespaces/shop/secrets/sh.helm.release.v1.web.v3']);
  });

  test('keep what Helm itself has stored above the revision that runs', async () => {
    const cluster = fakeCluster([record({ revision: 2 }), record({ revision: 3, status: 'failed' })]);
    await tearDown(cluster);
    expect(cluster.changes).toEqual([]);
  });

  test('need no Helm where there are none', async () => {
    const cluster = fakeCluster([marker('shop')]);
    const helm = async () => expect.unreachable('There is nothing to uninstall.');
    await tearDown(cluster, { helm });
    expect(left(cluster)).toEqual([]);
  });
});

describe('teardown of what has expired', () => {
  const cluster = () =>
    fakeCluster([
      marker('a', 'old', '2026-01-31T23:59:59Z'),
      marker('b', 'young', '2026-02-01T00:00:01Z'),
      marker('c', 'endless'),
    ]);

  test('takes only environments whose time is over', async () => {
    const fake = cluster();
    expect((await tearDown(fake, { expired: true })).environments).toEqual(['old']);
    expect(left(fake)).toHaveLength(2);
  });

  test('says that there is nothing to do where there is none', async () => {
    const fake = cluster();
    const { environments, reports } = await tearDown(fake, { expired: true, name: 'young' });
    expect(environments).toEqual([]);
    expect(reports).toEqual(['info: Environment young has not expired: nothing to tear down.']);
    expect(fake.changes).toEqual([]);
  });
});

describe('a teardown in some namespaces', () => {
  test('asks for no more than rights in these', async () => {
    const clusterWide = (method: string, path: string) =>
      (method === 'LIST' && !path.includes('/namespaces/')) || path === '/api/v1/namespaces/shop';
    const fake = fakeCluster([live('v1 Namespace shop'), marker('shop'), own('v1 ConfigMap shop/a')], {
      refuse: (method, path) => (clusterWide(method, path) ? answer(403, 'Forbidden', path) : undefined),
    });
    const { failures, warnings } = await tearDown(fake, { namespaces: ['shop'] });
    expect([failures, warnings]).toEqual([[], []]);
    expect(left(fake)).toEqual(['Namespace shop']);
  });

  test('leaves what the environment has elsewhere, and what is in no namespace', async () => {
    const fake = fakeCluster([
      own('v1 Namespace shop'),
      own('v1 Namespace web'),
      marker('shop'),
      marker('web'),
      own('v1 ConfigMap shop/a'),
      own('v1 ConfigMap web/a'),
      own('rbac.authorization.k8s.io/v1 ClusterRole pr-7'),
    ]);
    const { namespaces, reports } = await tearDown(fake, { namespaces: ['sh*'] });
    expect(namespaces).toEqual(['shop']);
    expect(reports).toContain('info: Environment pr-7 is also in web: what it has outside of namespaces stays.');
    expect(left(fake)).toEqual([
      'Namespace web',
      'ConfigMap web/transship-environment-pr-7',
      'ConfigMap web/a',
      'ClusterRole pr-7',
    ]);
  });

  test('reads its own namespace where all of them may not be listed', async () => {
    const fake = fakeCluster([own('v1 Namespace shop'), marker('shop')], forbid('LIST /api/v1/namespaces'));
    expect((await tearDown(fake, { namespaces: ['shop'] })).namespaces).toEqual(['shop']);
  });
});
