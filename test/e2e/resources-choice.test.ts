import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Api, openApi } from './api.ts';
import { namesIn, objectFiles, readArchiveFiles, type SnapshotFiles } from './archive-files.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { chart } from './fixtures.ts';
import { makeHelm } from './helm.ts';
import { parseRecord, readRecords, recordsOf } from './helm-state.ts';
import { asList } from './live-object.ts';
import { failuresOf, rowOf } from './resource-rows.ts';
import { namespaceMapFlags, runTransship, type TransshipRun, transship } from './run-transship.ts';
import { fillZoo } from './zoo.ts';

let bed: Bed;
let stage: RunningCluster;
let api: Api;
let scratch: string;
let count = 0;

beforeAll(async () => {
  bed = await prepareBed();
  stage = await bed.start('stage');
  api = openApi(stage);
  await fillZoo(stage, api);
});

afterAll(async () => {
  api?.close();
  await bed?.close();
});

beforeEach(async () => {
  count += 1;
  scratch = join(bed.scratch, `case-${count}`);
  await mkdir(scratch);
});

const exportOf = (...args: string[]): Promise<TransshipRun> =>
  runTransship(['export', '--include', 'resources', '--path', scratch, ...args], {
    env: bed.environment(stage, 'none'),
  });

/** The files of an export that has to succeed. */
async function filesOf(...args: string[]): Promise<SnapshotFiles> {
  const run = await exportOf(...args);
  expect(run.exitCode, run.stderr).toBe(0);
  return readArchiveFiles(String(run.output.location));
}

async function snapshots(): Promise<unknown[]> {
  const listed = await runTransship(['list', '--path', scratch], { env: bed.environment(stage, 'none') });
  return asList(listed.output.snapshots);
}

describe('what does not travel', () => {
  it('is what has the label for that, or lies in a namespace with it', async () => {
    const labels = { 'transship.dev/exclude': 'true' };
    await api.create('/api/v1/namespaces', { metadata: { name: 'private', labels } });
    await api.create('/api/v1/namespaces/private/configmaps', { metadata: { name: 'diary' } });
    const files = await filesOf('-n', 'shop', '-n', 'private');
    expect(namesIn(files, 'namespaces.json')).toEqual(['shop']);
    expect(namesIn(files, 'shop/configmaps.json')).not.toContain('private');
    expect([...files.keys()].filter((path) => path.startsWith('private/'))).toEqual([]);
  });

  it('is what nodes, servers and controllers write themselves', async () => {
    const files = await filesOf('-n', '*', '--cluster-resources', 'all');
    const kinds = [...files.keys()].map((path) => path.slice(path.indexOf('/') + 1));
    for (const kind of ['leases', 'events', 'events.events.k8s.io', 'nodes', 'ipaddresses', 'apiservices']) {
      expect(kinds).not.toContain(`${kind}.json`);
    }
    expect(namesIn(files, 'shop/configmaps.json')).not.toContain('kube-root-ca.crt');
  });

  it('is, without a namespace, what nothing in the namespaces needs', async () => {
    const files = await filesOf('-n', 'shop,bank');
    const clusterScoped = [...files.keys()].filter((path) => /^[^_/]+$/.test(path));
    expect(Object.fromEntries(clusterScoped.map((path) => [path, namesIn(files, path).length]))).toEqual({
      'clusterrolebindings.json': 1,
      'clusterroles.json': 2,
      'customresourcedefinitions.json': 2,
      'deviceclasses.json': 1,
      'ingressclasses.json': 1,
      'mutatingwebhookconfigurations.json': 1,
      'namespaces.json': 2,
      'persistentvolumes.json': 2,
      'priorityclasses.json': 1,
      'runtimeclasses.json': 1,
      'storageclasses.json': 2,
      'validatingwebhookconfigurations.json': 1,
    });
  });

  it('is, where none of those is wanted, all of them', async () => {
    const files = await filesOf('-n', 'shop,bank', '--cluster-resources', 'none');
    expect([...files.keys()].filter((path) => /^[^_/]+$/.test(path))).toEqual([]);
  });

  it('is what excludes leave out: kinds by any of their names, objects, objects of a namespace', async () => {
    const excludes = ['secrets', 'deploy', 'ConfigMap/const*', 'bank/service/*'].flatMap((one) => ['--exclude', one]);
    const files = await filesOf('-n', 'shop,bank', '--cluster-resources', 'none', ...excludes);
    expect(files.has('shop/secrets.json')).toBe(false);
    expect(files.has('shop/deployments.json')).toBe(false);
    expect(namesIn(files, 'shop/configmaps.json')).not.toContain('constants');
    expect(namesIn(files, 'shop/configmaps.json')).toContain('settings');
    expect(files.has('bank/services.json')).toBe(false);
    expect(files.has('shop/services.json')).toBe(true);
  });

  it('is what a selector does not match', async () => {
    const files = await filesOf('-n', 'shop', '--cluster-resources', 'none', '--selector', 'app=web');
    expect(namesIn(files, 'shop/configmaps.json')).toEqual(['settings']);
    expect(namesIn(files, 'shop/services.json')).toEqual(['web']);
    expect(files.has('shop/secrets.json')).toBe(false);
  });
});

describe('a namespace whose name is that of a file in every archive', () => {
  it('travels like others', async () => {
    await api.create('/api/v1/namespaces', { metadata: { name: 'manifest' } });
    await api.create('/api/v1/namespaces/manifest/configmaps', { metadata: { name: 'inside' } });
    const files = await filesOf('-n', 'manifest', '--cluster-resources', 'none');
    expect(namesIn(files, 'manifest_/configmaps.json')).toEqual(['inside']);
    const map = namespaceMapFlags({ manifest: 'manifold' });
    await transship(['import', '--path', scratch, ...map], { env: bed.environment(stage, 'none') });
    expect(await api.find('/api/v1/namespaces/manifold/configmaps/inside')).toBeDefined();
  });
});

describe('a user who may read one namespace only', () => {
  const asUser = ['-n', 'shop', '--context', 'stage-token'];

  beforeAll(async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/shop';
    const resources = ['configmaps', 'services', 'deployments'];
    await api.create(`${rbac}/roles`, {
      metadata: { name: 'exporter' },
      rules: [{ apiGroups: ['', 'apps'], resources, verbs: ['get', 'list'] }],
    });
    await api.create(`${rbac}/rolebindings`, {
      metadata: { name: 'exporter' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'exporter' },
      subjects: [{ kind: 'User', name: 'token', apiGroup: 'rbac.authorization.k8s.io' }],
    });
  });

  it('exports what he may, with one warning that names what he may not', async () => {
    const run = await exportOf(...asUser);
    expect(run.stderr).not.toMatch(/^error/im);
    expect(run.exitCode).toBe(0);
    const files = await readArchiveFiles(String(run.output.location));
    expect(Object.keys(objectFiles(files)).filter((path) => path.startsWith('shop/'))).toEqual([
      'shop/configmaps.json',
      'shop/deployments.json',
      'shop/services.json',
    ]);
    expect(rowOf(run, 'ConfigMap').exported).toBe(5);
    const warnings = run.stderr.match(/^warning.*$/gim) ?? [];
    expect(warnings, run.stderr).toHaveLength(1);
    for (const kind of ['secrets', 'statefulsets', 'widgets']) expect(warnings[0]).toContain(kind);
    expect(warnings[0]).not.toContain('configmaps');
  });

  it('gets an error instead with strict, and no snapshot', async () => {
    const run = await exportOf(...asUser, '--strict');
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toMatch(/^error.*secrets/im);
    expect(await snapshots()).toEqual([]);
  });
});

describe('a filter with a slip', () => {
  it.each([
    { args: ['-n', 'shop', '--exclude', 'deploymnts'], slip: 'deploymnts', nearest: 'deployments' },
    { args: ['-n', 'shop', '--exclude', 'widgts/engine'], slip: 'widgts', nearest: 'widgets' },
    { args: ['-n', 'shpo'], slip: 'shpo', nearest: 'shop' },
    { args: ['-n', 'shop', '--restore-status', 'Wigdet'], slip: 'Wigdet', nearest: 'widgets' },
  ])('$slip: the error names $nearest', async ({ args, slip, nearest }) => {
    const run = await exportOf(...args);
    expect(run.exitCode, run.stderr).toBe(2);
    expect(run.stderr).toContain(slip);
    expect(run.stderr).toMatch(new RegExp(`\\b${nearest}\\b`, 'i'));
    expect(await snapshots()).toEqual([]);
  });
});

describe('releases and resources in one archive', () => {
  const apps = '/api/v1/namespaces/apps';

  beforeAll(async () => {
    const helm = makeHelm(bed.tools.helm4, stage.kubeconfig, bed.scratch);
    const values = ['-n', 'apps', '--set', 'deployment=true'];
    await helm.run(['install', 'first', chart('many'), ...values, '--create-namespace']);
    await helm.run(['upgrade', 'first', chart('many'), ...values, '--set', 'text=two']);
    await api.create(`${apps}/configmaps`, { metadata: { name: 'beside' }, data: { by: 'hand' } });
  });

  it('are each there once, and Helm works on', async () => {
    const run = await exportOf('-n', 'apps', '--include', 'releases');
    expect(run.exitCode, run.stderr).toBe(0);
    const files = await readArchiveFiles(String(run.output.location));
    expect(Object.keys(objectFiles(files)).filter((path) => path.startsWith('apps/'))).toEqual([
      'apps/configmaps.json',
      'apps/serviceaccounts.json',
    ]);
    expect(namesIn(files, 'apps/configmaps.json')).toEqual(['beside']);

    const toOther = ['import', '--path', scratch, ...namespaceMapFlags({ apps: 'apps-two' })];
    const back = await transship(toOther, { env: bed.environment(stage, 'helm4') });
    expect(back.output.releases).toMatchObject([
      { name: 'first', namespace: 'apps-two', revisions: 2, status: 'deployed', outcome: 'created' },
    ]);
    expect(failuresOf(back)).toEqual([]);
    const records = recordsOf(await readRecords(stage, bed.tools.kubectl), 'apps-two', 'first');
    expect([...records.values()].map((record) => parseRecord(record).info.status)).toEqual(['superseded', 'deployed']);
    for (const collection of [`${apps}/configmaps`, '/apis/apps/v1/namespaces/apps/deployments']) {
      expect(
        await api.names(collection.replace('/apps/', '/apps-two/').replace('/apis/apps-two', '/apis/apps')),
      ).toEqual(await api.names(collection));
    }
    const helm = makeHelm(bed.tools.helm4, stage.kubeconfig, bed.scratch);
    await helm.run(['upgrade', 'first', chart('many'), '-n', 'apps-two', '--reuse-values']);
    expect(JSON.parse(await helm.run(['status', 'first', '-n', 'apps-two', '-o', 'json']))).toMatchObject({
      info: { status: 'deployed' },
      version: 3,
    });
  });

  it('without releases, Helm’s records are Secrets like others', async () => {
    const files = await filesOf('-n', 'apps', '--cluster-resources', 'none');
    expect(namesIn(files, 'apps/secrets.json')).toEqual(['sh.helm.release.v1.first.v1', 'sh.helm.release.v1.first.v2']);
    expect(namesIn(files, 'apps/deployments.json')).toEqual(['first']);
  });
});

// Last, as everything would feel what it does to discovery.
describe('an API service whose backend is down', () => {
  const path = '/apis/apiregistration.k8s.io/v1/apiservices';
  const broken = {
    metadata: { name: 'v1.broken.example.com' },
    spec: {
      ...{ group: 'broken.example.com', version: 'v1', groupPriorityMinimum: 100, versionPriority: 100 },
      ...{ insecureSkipTLSVerify: true, service: { namespace: 'bank', name: 'nobody', port: 443 } },
    },
  };

  it('travels with its service; that its objects cannot be read is a warning, or with strict an error', async () => {
    await api.create(path, broken);
    await expect
      .poll(async () => (await exportOf('-n', 'bank', '--strict')).stderr, { timeout: 30_000 })
      .toContain('broken.example.com/v1');
    const run = await exportOf('-n', 'bank');
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/^warning.*broken\.example\.com\/v1/im);
    const files = await readArchiveFiles(String(run.output.location));
    expect(namesIn(files, 'apiservices.json')).toEqual(['v1.broken.example.com']);

    await api.remove(`${path}/v1.broken.example.com`);
    await transship(['import', '--path', scratch], { env: bed.environment(stage, 'none') });
    expect((await api.get(`${path}/v1.broken.example.com`)).spec).toEqual(broken.spec);
  });
});
