import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { type AdmissionWebhook, startAdmissionWebhook } from './admission-webhook.ts';
import { type Api, at, openApi } from './api.ts';
import { startApiProxy } from './api-proxy.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { fingerprint, quietFingerprint } from './fingerprint.ts';
import { asList, asMap } from './live-object.ts';
import { makeNamespace, makePlace, type Place } from './place.ts';
import { failuresOf, rowOf } from './resource-rows.ts';
import { applyFixture, isBound } from './zoo.ts';

// One cluster is source and target: what is exported from a namespace is imported into another one.
let bed: Bed;
let cluster: RunningCluster;
let api: Api;
let place: Place;
let count = 0;

beforeAll(async () => {
  bed = await prepareBed();
  cluster = await bed.start('work');
  api = openApi(cluster);
  await applyFixture(cluster, 'crds.yaml');
});

afterAll(async () => {
  api?.close();
  await bed?.close();
});

beforeEach(async () => {
  count += 1;
  place = await makePlace(bed, cluster, api, `case-${count}`);
});

const podTemplate = (app: string, image = 'example.com/web:1') => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'main', image }] },
});
const deployment = (name: string, app = name) => ({
  metadata: { name },
  spec: { replicas: 1, selector: { matchLabels: { app } }, template: podTemplate(app) },
});
const statefulSet = (name: string, serviceName: string) => {
  const { metadata, spec } = deployment(name);
  return { metadata, spec: { ...spec, serviceName } };
};
const configMap = (name: string, data: Record<string, string> = {}, more: object = {}) => ({
  metadata: { name },
  data,
  ...more,
});

/** Runs an import that has to fail with this status, before anything has changed. */
async function refuses(exitCode: number, ...args: string[]): Promise<string> {
  const before = await quietFingerprint(cluster);
  const run = await place.tryImport(args);
  expect(run.exitCode, run.stderr).toBe(exitCode);
  expect(run.stderr.match(/^error/gim), run.stderr).toHaveLength(1);
  expect(run.stderr).not.toMatch(/^\s+at .*:\d+/m);
  expect(await fingerprint(cluster)).toEqual(before);
  return run.stderr;
}

describe('an import that is repeated', () => {
  beforeEach(async () => {
    await Promise.all([
      api.create(place.from('configmaps'), configMap('settings', { a: '1', b: '2' })),
      api.create(place.from('secrets'), { metadata: { name: 'login' }, stringData: { user: 'ann' } }),
      api.create(place.from('apps/deployments'), deployment('web')),
      api.create(place.from('services'), {
        metadata: { name: 'web' },
        spec: { ports: [{ port: 80 }], selector: { app: 'web' } },
      }),
    ]);
    await place.export();
    await place.import();
  });

  it('finds all of it unchanged', async () => {
    // The four, the namespace, and the account that is in each.
    const again = await place.import();
    expect(again.output).toMatchObject({
      changed: false,
      counts: { created: 0, updated: 0, unchanged: 6, deleted: 0, skipped: 0, failed: 0 },
    });
  });

  it('lets be what others at the target have added meanwhile', async () => {
    await cluster.kubectl(['annotate', 'configmap/settings', 'who=somebody', '-n', place.target]);
    await cluster.kubectl(['scale', 'deployment/web', '--replicas=1', '-n', place.target]);
    expect((await place.import()).output).toMatchObject({ changed: false });
    expect((await api.get(place.to('configmaps/settings'))).metadata.annotations).toEqual({ who: 'somebody' });
  });

  it('stops before any change where objects differ, and lists all of them', async () => {
    await api.patch(place.to('configmaps/settings'), { data: { a: 'other' } });
    await api.patch(place.to('apps/deployments/web'), { spec: { replicas: 3 } });
    await api.remove(place.to('secrets/login'));
    const said = await refuses(1);
    expect(said).toContain(`ConfigMap ${place.target}/settings`);
    expect(said).toContain(`Deployment ${place.target}/web`);
    expect(said).not.toContain('Service ');
    expect(said).toContain('replace');
  });

  it('brings them with replace to what the snapshot has, and touches nothing else', async () => {
    await api.patch(place.to('configmaps/settings'), { data: { a: 'other' } });
    const service = await api.get(place.to('services/web'));
    const run = await place.import('--replace');
    expect(run.output).toMatchObject({ changed: true, counts: { created: 0, updated: 1, unchanged: 5, failed: 0 } });
    expect(rowOf(run, 'ConfigMap')).toMatchObject({ updated: 1, unchanged: 0 });
    expect((await api.get(place.to('configmaps/settings'))).data).toEqual({ a: '1', b: '2' });
    expect(await api.get(place.to('services/web'))).toEqual(service);
  });

  it('leaves a Service with replace the addresses and ports that it has', async () => {
    const type = 'NodePort';
    const web = await api.patch(place.to('services/web'), { spec: { type, selector: { app: 'other' } } });
    await api.patch(place.from('services/web'), { spec: { type } });
    await place.export();
    expect(rowOf(await place.import('--replace'), 'Service')).toMatchObject({ updated: 1 });
    const { spec } = await api.get(place.to('services/web'));
    expect(spec).toEqual({ ...asMap(web.spec), selector: { app: 'web' } });
  });

  it('takes away with replace what a later snapshot has no more', async () => {
    await api.patch(place.from('configmaps/settings'), { data: { b: null, c: '3' } });
    await api.patch(place.from('apps/deployments/web'), { spec: { template: { spec: { priorityClassName: null } } } });
    await cluster.kubectl(['annotate', 'configmap/settings', 'who=somebody', '-n', place.target]);
    await place.export();
    expect((await place.import('--replace')).output).toMatchObject({ counts: { updated: 1, failed: 0 } });
    const settings = await api.get(place.to('configmaps/settings'));
    expect(settings.data).toEqual({ a: '1', c: '3' });
    expect(settings.metadata.annotations).toEqual({ who: 'somebody' });
    expect((await place.import()).output).toMatchObject({ changed: false });
  });
});

describe('a change that the cluster refuses as immutable', () => {
  beforeEach(async () => {
    await makeNamespace(api, place.target);
    await Promise.all([
      api.create(place.from('configmaps'), configMap('fixed', { of: 'stage' }, { immutable: true })),
      api.create(place.to('configmaps'), configMap('fixed', { of: 'prod' }, { immutable: true })),
      api.create(place.from('apps/deployments'), deployment('web', 'of-stage')),
      api.create(place.to('apps/deployments'), deployment('web', 'of-prod')),
      api.create(place.from('apps/statefulsets'), statefulSet('db', 'of-stage')),
      api.create(place.to('apps/statefulsets'), statefulSet('db', 'of-prod')),
      api.create(place.from('configmaps'), configMap('open', { of: 'stage' })),
      api.create(place.to('configmaps'), configMap('open', { of: 'prod' })),
    ]);
    await place.export();
  });

  it('stops an import with replace before it changes anything, and says what would allow it', async () => {
    const said = await refuses(1, '--replace');
    expect(said).toContain(`ConfigMap ${place.target}/fixed`);
    expect(said).toContain(`Deployment ${place.target}/web`);
    expect(said).toContain(`StatefulSet ${place.target}/db`);
    expect(said).not.toContain(`${place.target}/open`);
    expect(said).toContain('recreate');
  });

  it('is done with recreate by a new object', async () => {
    const before = await api.get(place.to('configmaps/fixed'));
    const open = await api.get(place.to('configmaps/open'));
    const run = await place.import('--replace', '--recreate');
    expect(failuresOf(run)).toEqual([]);
    const after = await api.get(place.to('configmaps/fixed'));
    expect(after).toMatchObject({ data: { of: 'stage' }, immutable: true });
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    expect((await api.get(place.to('configmaps/open'))).metadata.uid).toBe(open.metadata.uid);
    const web = await api.until(
      place.to('apps/deployments/web'),
      (object) => at(object, 'status', 'readyReplicas') === 1,
    );
    expect(web.spec).toMatchObject({ selector: { matchLabels: { app: 'of-stage' } } });
    expect(at(await api.get(place.to('apps/statefulsets/db')), 'spec', 'serviceName')).toBe('of-stage');
    expect((await place.import()).output).toMatchObject({ changed: false });
  });

  it('is done with recreate to an owner without the loss of what it owns', async () => {
    const owners = await Promise.all([place.from, place.to].map((of) => api.get(of('configmaps/fixed'))));
    const owned = ({ metadata: { name, uid } }: KubeObject) =>
      configMap(
        'owned',
        {},
        { metadata: { name: 'owned', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }] } },
      );
    await Promise.all(
      [place.from, place.to].map((of, index) => api.create(of('configmaps'), owned(owners[index] as KubeObject))),
    );
    await place.export();
    const run = await place.import('--replace', '--recreate');
    expect(failuresOf(run)).toEqual([]);
    const { uid } = (await api.get(place.to('configmaps/fixed'))).metadata;
    // The garbage collector looks at what was owned by the one that was deleted a moment later.
    const witness = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: '00000000-0000-0000-0000-000000000000' };
    await api.create(
      place.to('configmaps'),
      configMap('witness', {}, { metadata: { name: 'witness', ownerReferences: [witness] } }),
    );
    await api.untilGone(place.to('configmaps/witness'));
    expect((await api.get(place.to('configmaps/owned'))).metadata.ownerReferences).toMatchObject([
      { name: 'fixed', uid },
    ]);
  });

  it('is not done to a claim, whatever is allowed: its data would go', async () => {
    const claim = (storage: string, accessModes = ['ReadWriteOnce']) => ({
      metadata: { name: 'data' },
      spec: { accessModes, resources: { requests: { storage } } },
    });
    await api.create(place.from('persistentvolumeclaims'), claim('1Gi', ['ReadWriteMany']));
    const { metadata } = await api.create(place.to('persistentvolumeclaims'), claim('1Gi'));
    await api.until(place.from('persistentvolumeclaims/data'), isBound);
    await api.until(place.to('persistentvolumeclaims/data'), isBound);
    await place.export();
    const said = await refuses(1, '--replace', '--recreate');
    expect(said).toContain(`PersistentVolumeClaim ${place.target}/data`);
    expect((await api.get(place.to('persistentvolumeclaims/data'))).metadata.uid).toBe(metadata.uid);
  });

  it('is an input error with recreate alone', async () => {
    const said = await refuses(2, '--recreate');
    expect(said).toContain('replace');
  });
});

describe('a target that is not ready yet', () => {
  let webhook: AdmissionWebhook | undefined;

  afterEach(async () => {
    await cluster.kubectl(['delete', 'validatingwebhookconfiguration', '--all']);
    await webhook?.close();
    webhook = undefined;
  });

  /** Has the webhook judge the ConfigMaps of the target. */
  async function register({ clientConfig }: AdmissionWebhook): Promise<void> {
    await api.create('/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations', {
      metadata: { name: 'judge' },
      webhooks: [
        {
          name: 'judge.example.com',
          clientConfig,
          admissionReviewVersions: ['v1'],
          sideEffects: 'NoneOnDryRun',
          failurePolicy: 'Fail',
          timeoutSeconds: 5,
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': place.target } },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
        },
      ],
    });
    // The API server hears of it a moment later.
    const probe = () => api.send('POST', `${place.to('configmaps')}?dryRun=All`, configMap('probe'));
    await expect.poll(async () => (await probe()).status).toBeGreaterThanOrEqual(400);
  }

  it('as its webhook is down at first: tried again until it is up', async () => {
    await makeNamespace(api, place.target);
    for (const name of ['one', 'two']) await api.create(place.from('configmaps'), configMap(name));
    await place.export();
    webhook = await startAdmissionWebhook(place.folder, { refusals: 8 });
    await register(webhook);
    const run = await place.import('--timeout', '1m');
    expect(rowOf(run, 'ConfigMap')).toMatchObject({ created: 2, failed: 0 });
    expect(webhook.refused()).toBe(8);
    expect(await api.names(place.to('configmaps'))).toEqual(['one', 'two']);
  });

  it('as its webhook stays down: the objects fail when the time is up, and the others are there', async () => {
    await makeNamespace(api, place.target);
    for (const name of ['one', 'two']) await api.create(place.from('configmaps'), configMap(name));
    await api.create(place.from('secrets'), { metadata: { name: 'fine' } });
    await place.export();
    webhook = await startAdmissionWebhook(place.folder, { refusals: Number.POSITIVE_INFINITY });
    await register(webhook);
    const run = await place.tryImport(['--timeout', '3s']);
    expect(run.exitCode).toBe(1);
    expect(failuresOf(run)).toEqual(
      ['one', 'two'].map((name) => ({
        object: `ConfigMap ${place.target}/${name}`,
        outcome: 'failed',
        message: expect.stringContaining('failed calling webhook "judge.example.com"'),
      })),
    );
    expect(run.output).toMatchObject({ changed: true, counts: { created: 1, failed: 2 } });
    expect(await api.find(place.to('secrets/fine'))).toBeDefined();
  });

  it('as its webhook denies what needs something later: tried once more at the end', async () => {
    await makeNamespace(api, place.target);
    for (const name of ['early', 'wrong']) await api.create(place.from('configmaps'), configMap(name));
    await place.export();
    webhook = await startAdmissionWebhook(place.folder, {
      judge: (name, timesAsked) =>
        name === 'wrong' || (name === 'early' && timesAsked === 1) ? { deny: `${name} is not welcome` } : 'allow',
    });
    await register(webhook);
    const run = await place.tryImport(['--timeout', '10s']);
    expect(failuresOf(run)).toEqual([
      {
        object: `ConfigMap ${place.target}/wrong`,
        outcome: 'failed',
        message: expect.stringContaining('wrong is not welcome'),
      },
    ]);
    expect(run.exitCode).toBe(1);
    expect([...webhook.asked].sort()).toEqual(['early', 'early', 'wrong', 'wrong']);
  });

  it('as its namespace is still being deleted: waited out', async () => {
    await api.create(place.from('configmaps'), configMap('settings', { a: 'new' }));
    await place.export();
    const namespace = `/api/v1/namespaces/${place.target}`;
    const { metadata } = await api.create('/api/v1/namespaces', {
      metadata: { name: place.target },
      spec: { finalizers: ['example.com/slow'] },
    });
    await api.remove(namespace);
    const emptied = await api.until(namespace, (object) => asList(at(object, 'spec', 'finalizers')).length === 1);
    const letGo = () => api.send('PUT', `${namespace}/finalize`, { ...emptied, spec: {} });
    // It has looked at the namespace twice: it waits.
    let looks = 0;
    const proxy = await startApiProxy(cluster, place.folder, ({ method, path }) => {
      if (method === 'GET' && path.split('?')[0] === namespace && ++looks === 3) void letGo();
      return undefined;
    });
    const run = await place.tryImport(['--timeout', '1m', '--kubeconfig', proxy.kubeconfig]);
    await proxy.stop();
    expect(looks).toBeGreaterThanOrEqual(3);
    expect(run.exitCode, run.stderr).toBe(0);
    expect((await api.get(namespace)).metadata.uid).not.toBe(metadata.uid);
    expect((await api.get(place.to('configmaps/settings'))).data).toEqual({ a: 'new' });
  });
});

describe('a user who may write into one namespace only', () => {
  it('brings into it what lies in namespaces', async () => {
    await makeNamespace(api, place.target);
    await api.create(place.from('apps/deployments'), deployment('web'));
    await api.create(place.from('configmaps'), configMap('settings'));
    await place.export('--cluster-resources', 'none', '--exclude', 'serviceaccounts');
    const resources = ['configmaps', 'deployments'];
    const subject = { kind: 'User', name: 'token', apiGroup: 'rbac.authorization.k8s.io' };
    await api.create(place.to('rbac/roles'), {
      metadata: { name: 'importer' },
      rules: [{ apiGroups: ['', 'apps'], resources, verbs: ['get', 'list', 'create', 'patch'] }],
    });
    await api.create(place.to('rbac/rolebindings'), {
      metadata: { name: 'importer' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'importer' },
      subjects: [subject],
    });
    const run = await place.import('--context', cluster.tokenContext);
    expect(run.output).toMatchObject({ counts: { created: 2, failed: 0, skipped: 0 } });
    expect(await api.find(place.to('apps/deployments/web'))).toBeDefined();
  });
});

describe('what one object is refused', () => {
  it('is no hindrance to the others, and is done by the next import', async () => {
    await makeNamespace(api, place.target);
    await api.create(place.to('resourcequotas'), {
      metadata: { name: 'none' },
      spec: { hard: { 'count/services': '0' } },
    });
    await api.until(place.to('resourcequotas/none'), (quota) => at(quota, 'status', 'hard') !== undefined);
    await api.create(place.from('services'), { metadata: { name: 'web' }, spec: { ports: [{ port: 80 }] } });
    for (const name of ['a', 'b']) await api.create(place.from('configmaps'), configMap(name));
    await place.export();
    const run = await place.tryImport(['--timeout', '2s']);
    expect(run.exitCode).toBe(1);
    expect(failuresOf(run)).toEqual([
      {
        object: `Service ${place.target}/web`,
        outcome: 'failed',
        message: expect.stringContaining('exceeded quota: none'),
      },
    ]);
    expect(run.stderr).toContain(`Service ${place.target}/web`);
    expect(rowOf(run, 'ConfigMap')).toMatchObject({ created: 2, failed: 0 });
    await api.remove(place.to('resourcequotas/none'));
    const again = await place.import();
    expect(again.output).toMatchObject({ changed: true, counts: { created: 1, unchanged: 4, failed: 0 } });
  });

  it('takes along what lies in it, where it is a namespace, and no other', async () => {
    const policies = '/apis/admissionregistration.k8s.io/v1';
    await api.create(`${policies}/validatingadmissionpolicies`, {
      metadata: { name: 'closed' },
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['namespaces'] }],
        },
        validations: [{ expression: `object.metadata.name != '${place.target}'`, message: 'closed for good' }],
      },
    });
    await api.create(`${policies}/validatingadmissionpolicybindings`, {
      metadata: { name: 'closed' },
      spec: { policyName: 'closed', validationActions: ['Deny'] },
    });
    const probe = { metadata: { name: place.target } };
    await expect.poll(async () => (await api.send('POST', '/api/v1/namespaces?dryRun=All', probe)).status).toBe(422);
    const open = await makePlace(bed, cluster, api, `open-${count}`);
    await api.create(place.from('configmaps'), configMap('inside'));
    await api.create(open.from('configmaps'), configMap('outside'));
    await place.export('-n', open.source);
    const run = await place.tryImport(['--timeout', '2s', '--namespace-map', `${open.source}:${open.target}`]);
    expect(run.exitCode).toBe(1);
    expect(failuresOf(run)).toMatchObject([
      {
        object: `ConfigMap ${place.target}/inside`,
        outcome: 'skipped',
        message: expect.stringContaining(place.target),
      },
      { object: `Namespace ${place.target}`, outcome: 'failed', message: expect.stringContaining('closed for good') },
      { object: `ServiceAccount ${place.target}/default`, outcome: 'skipped' },
    ]);
    expect(await api.find(open.to('configmaps/outside'))).toBeDefined();
    await cluster.kubectl(['delete', 'validatingadmissionpolicybinding', 'closed']);
  });
});

describe('what the target has its own answer to', () => {
  it('stays as it is, also with replace, and is a warning', async () => {
    const classes = '/apis/scheduling.k8s.io/v1/priorityclasses';
    await api.create(classes, { metadata: { name: 'silver' }, value: 10, description: 'of stage' });
    const web = deployment('web');
    const template = { ...web.spec.template, spec: { ...web.spec.template.spec, priorityClassName: 'silver' } };
    await api.create(place.from('apps/deployments'), { ...web, spec: { ...web.spec, template } });
    await place.export();
    await api.remove(`${classes}/silver`);
    await api.create(classes, { metadata: { name: 'silver' }, value: 77, description: 'of prod' });
    for (const flags of [[], ['--replace']]) {
      const run = await place.import(...flags);
      expect(run.stderr).toMatch(/^warning.*\n- PriorityClass silver$/im);
      expect(rowOf(run, 'PriorityClass')).toMatchObject({ updated: 0, failed: 0 });
    }
    expect(await api.get(`${classes}/silver`)).toMatchObject({ value: 77, description: 'of prod' });
  });
});

describe('status', () => {
  it('comes along for the kinds it is asked for on both ends, and for no other', async () => {
    await api.create(place.from('example/widgets'), {
      ...{ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'engine' }, spec: { size: 1 } },
    });
    await api.patch(place.from('example/widgets/engine/status'), { status: { turns: 42 } });
    await place.export();
    await place.import();
    expect(await api.get(place.to('example/widgets/engine'))).not.toHaveProperty('status');

    await place.export('--restore-status', 'Widget');
    await api.remove(place.to('example/widgets/engine'));
    await place.import();
    expect(await api.get(place.to('example/widgets/engine'))).not.toHaveProperty('status');
    await api.remove(place.to('example/widgets/engine'));
    await place.import('--restore-status', 'widgets');
    expect((await api.get(place.to('example/widgets/engine'))).status).toEqual({ turns: 42 });
  });
});

describe('namespaces that get another name', () => {
  it('have it in all that refers to them: subjects of RBAC, the claim of a volume', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const volumes = '/api/v1/persistentvolumes';
    const [role, disk] = [`reader-${count}`, `disk-${count}`];
    const subjects = [
      { kind: 'ServiceAccount', name: 'web', namespace: place.source },
      { kind: 'ServiceAccount', name: 'other', namespace: 'default' },
    ];
    const apiGroup = 'rbac.authorization.k8s.io';
    await api.create(`${rbac}/clusterroles`, { metadata: { name: role }, rules: [] });
    await api.create(`${rbac}/clusterrolebindings`, {
      ...{ metadata: { name: role }, roleRef: { apiGroup, kind: 'ClusterRole', name: role }, subjects },
    });
    await api.create(place.from('serviceaccounts'), { metadata: { name: 'web' } });
    await api.create(place.from('rbac/rolebindings'), {
      ...{ metadata: { name: 'reader' }, roleRef: { apiGroup, kind: 'ClusterRole', name: role }, subjects },
    });
    const size = { storage: '1Gi' };
    await api.create(volumes, {
      metadata: { name: disk },
      spec: {
        ...{ capacity: size, accessModes: ['ReadWriteOnce'], storageClassName: 'by-hand' },
        hostPath: { path: `/var/lib/transship-test/${disk}` },
        claimRef: { namespace: place.source, name: 'data' },
      },
    });
    await api.create(place.from('persistentvolumeclaims'), {
      metadata: { name: 'data' },
      spec: {
        ...{ accessModes: ['ReadWriteOnce'], resources: { requests: size }, storageClassName: 'by-hand' },
        volumeName: disk,
      },
    });
    await api.until(place.from('persistentvolumeclaims/data'), isBound);
    await place.export();

    // A move within the cluster: what bears no namespace can be there only once.
    await api.remove(place.from('persistentvolumeclaims/data'));
    await api.untilGone(place.from('persistentvolumeclaims/data'));
    await api.remove(`${volumes}/${disk}`);
    await api.untilGone(`${volumes}/${disk}`);
    await api.remove(`${rbac}/clusterrolebindings/${role}`);
    const run = await place.import();
    expect(failuresOf(run)).toEqual([]);

    const mapped = [{ kind: 'ServiceAccount', name: 'web', namespace: place.target }, subjects[1]];
    expect((await api.get(place.to('rbac/rolebindings/reader'))).subjects).toEqual(mapped);
    expect((await api.get(`${rbac}/clusterrolebindings/${role}`)).subjects).toEqual(mapped);
    const claim = await api.until(place.to('persistentvolumeclaims/data'), isBound);
    expect(claim.spec).toMatchObject({ volumeName: disk });
    expect(at(await api.get(`${volumes}/${disk}`), 'spec', 'claimRef')).toMatchObject({
      namespace: place.target,
      name: 'data',
      uid: claim.metadata.uid,
    });
  });
});

describe('a choice of what there is in a snapshot', () => {
  it('leaves out namespaces and objects, and names slips', async () => {
    const other = await makePlace(bed, cluster, api, `other-${count}`);
    for (const name of ['a', 'b']) await api.create(place.from('configmaps'), configMap(name));
    await api.create(other.from('configmaps'), configMap('c'));
    await place.export('-n', other.source);
    expect(await refuses(2, '--exclude', 'configmapps')).toContain('configmaps');
    expect(await refuses(2, '-n', `${place.source}x`)).toContain(place.source);
    const run = await place.import('-n', place.source, '--exclude', 'configmap/b');
    expect(rowOf(run, 'ConfigMap')).toMatchObject({ created: 1 });
    expect(await api.names(place.to('configmaps'))).toEqual(['a']);
    expect(await api.find(`/api/v1/namespaces/${other.target}`)).toBeUndefined();
  });
});
