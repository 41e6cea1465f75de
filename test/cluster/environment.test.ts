import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collectionPath } from '../../src/cluster/apply.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { findObject } from '../../src/cluster/find.ts';
import { type Poll, waitFor } from '../../src/cluster/wait.ts';
import { findEnvironments } from '../../src/environment/find.ts';
import { writeMarkers } from '../../src/environment/marker.ts';
import { findPrunable, prune } from '../../src/environment/prune.ts';
import { type TeardownOptions, teardown } from '../../src/environment/teardown.ts';
import { runProgram } from '../../src/exec.ts';
import { nameObject } from '../../src/resources/resource.ts';
import { crdOf, objectOf } from '../unit/resources/target-bed.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { keepReports } from './restore-bed.ts';
import { ensureTools } from './tools.ts';

const environment = { name: 'PR_7' };
const LABEL = { 'transship.dev/environment': 'PR_7' };
const HOUR = 3_600_000;

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;
let folder: string;
let helm: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-environment-'));
  helm = (await ensureTools(['helm4'])).helm4;
  bed = await startCluster({ name: 'target' });
  cluster = await openCluster({ kubeconfig: bed.kubeconfig, concurrency: 16 });
  discovery = await discover(cluster);
  for (const object of [
    objectOf('v1 Namespace base'),
    objectOf('v1 ConfigMap base/theirs'),
    own('v1 Namespace made'),
  ]) {
    await create(object);
  }
}, 600_000);

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
  await rm(folder, { recursive: true, force: true });
});

function own(
  what: string,
  { metadata = {}, ...more }: { metadata?: object; [field: string]: unknown } = {},
): KubeObject {
  return objectOf(what, { metadata: { labels: LABEL, ...metadata }, ...more });
}

async function create(object: KubeObject): Promise<KubeObject> {
  const kind = discovery.findKind(object.apiVersion, object.kind);
  if (kind === undefined) throw new Error(`No ${object.kind} here.`);
  const path = collectionPath(kind, object.metadata.namespace);
  return cluster.json<KubeObject>({ method: 'POST', path, body: object });
}

function workload(what: string, more: object = {}): KubeObject {
  const labels = { app: 'web' };
  const spec = { containers: [{ name: 'a', image: 'a' }], terminationGracePeriodSeconds: 0 };
  return own(what, { spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec }, ...more } });
}

/** What is in a namespace of some kinds, but for what it has by itself. */
async function inNamespace(namespace: string): Promise<string[]> {
  const names = await bed.kubectl([
    ...['get', 'deployments,statefulsets,pods,services,endpoints,configmaps,secrets,persistentvolumeclaims'],
    ...['-n', namespace, '-o', 'name'],
  ]);
  return names
    .split('\n')
    .filter((name) => name !== '' && name !== 'configmap/kube-root-ca.crt')
    .sort();
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const poll = async (): Promise<Poll<undefined>> =>
    (await isTrue()) ? { done: true, value: undefined } : { done: false, state: 'not yet' };
  await waitFor(poll, { timeout: 30_000, describe: what });
}

async function tearDown(options: Partial<TeardownOptions>) {
  const reports = keepReports();
  const result = await teardown({
    ...{ cluster, discovery: await discover(cluster), runProgram, reporter: reports, noHooks: false },
    helm: async () => ({ path: helm, version: 'v4.3.1', major: 4 }),
    env: { PATH: process.env.PATH, HOME: folder },
    temporaryDirectory: folder,
    timeout: 30_000,
    dryRun: false,
    now: new Date(),
    ...options,
  });
  return { result, warnings: reports.lines.filter((line) => line.startsWith('warn: ')) };
}

test('an import without ttl lifts that of the one before', async () => {
  const what = { snapshot: '26-01-31_12-00-00', origin: 'stage', now: new Date('2026-01-31T12:00:00Z') };
  await writeMarkers(cluster, environment, ['base', 'made', 'missing'], { ...what, ttl: HOUR });
  expect(await findEnvironments(cluster)).toMatchObject([
    { name: 'PR_7', namespaces: ['base', 'made'], expires: new Date('2026-01-31T13:00:00Z') },
  ]);
  await writeMarkers(cluster, environment, ['base', 'made'], { ...what, now: new Date('2026-01-31T12:30:00Z') });
  const [found] = await findEnvironments(cluster, { name: 'PR_7' });
  expect(found).toMatchObject({ imported: new Date('2026-01-31T12:30:00Z'), expires: undefined });
});

test('pruning deletes what the snapshot no longer has, and nothing else', async () => {
  const all = [
    own('v1 ConfigMap made/old'),
    own('v1 ConfigMap base/kept'),
    own('rbac.authorization.k8s.io/v1 ClusterRole old', { rules: [] }),
    own('v1 Service made/kept', { spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }),
    workload('apps/v1 Deployment made/old'),
    own('v1 PersistentVolumeClaim made/data', {
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
    }),
  ];
  for (const object of all) await create(object);
  await until('the Service has Endpoints with its label', async () => {
    const endpoints = await findObject(cluster, '/api/v1/namespaces/made/endpoints/kept');
    return endpoints?.metadata.labels?.['transship.dev/environment'] === 'PR_7';
  });
  const reports = keepReports();
  const prunable = await findPrunable(cluster, discovery, {
    environment,
    namespaces: ['base', 'made'],
    keeps: (key) => key.endsWith('/kept'),
    keepsRelease: () => true,
    reporter: reports,
  });
  expect(prunable.objects.map(({ id }) => nameObject(id))).toEqual([
    'ConfigMap made/old',
    'Deployment made/old',
    'ClusterRole old',
  ]);
  expect(reports.lines).toEqual([expect.stringContaining('PersistentVolumeClaim made/data. Namespaces, CRDs')]);
  const { resources, failures } = await prune(prunable, {
    ...{ cluster, environment, runProgram, reporter: reports, noHooks: false },
    env: {},
    temporaryDirectory: folder,
    timeout: 30_000,
  });
  expect(failures).toEqual([]);
  expect(resources.map(({ resource, deleted }) => `${resource} ${deleted}`)).toEqual([
    'clusterroles 1',
    'configmaps 1',
    'deployments 1',
  ]);
  // The Deployment's Pods are gone when it is.
  expect((await inNamespace('made')).filter((name) => !name.includes('transship-environment'))).toEqual([
    'endpoints/kept',
    'persistentvolumeclaim/data',
    'service/kept',
  ]);
});

test('a teardown leaves exactly what others have, and does as its dry run says', async () => {
  const chart = join(folder, 'web');
  await mkdir(join(chart, 'templates'), { recursive: true });
  const text = (name: string, more: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n${more}`;
  await writeFile(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: "7"\n');
  await writeFile(join(chart, 'templates/a.yaml'), text('released', 'data: { a: b }\n'));
  await writeFile(join(chart, 'templates/h.yaml'), text('hook', '  annotations: { helm.sh/hook: post-install }\n'));
  const install = ['install', 'web', chart, '-n', 'made', '--labels', 'transship.dev/environment=PR_7'];
  const env = { ...bed.env, PATH: process.env.PATH ?? '', HOME: folder };
  expect(await runProgram(helm, install, { env })).toMatchObject({ exitCode: 0 });

  const crd = crdOf('widgets.tests.example.com', 'Widget', ['v1']);
  crd.metadata.labels = LABEL;
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  crd.spec = { ...(crd.spec as object), versions: [{ name: 'v1', served: true, storage: true, schema }] };
  await create(crd);
  await create(own('v1 Secret base/a'));
  const template = {
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
  };
  await create(workload('apps/v1 StatefulSet made/db', { serviceName: 'db', volumeClaimTemplates: [template] }));
  await until('the kind is served', async () => {
    discovery = await discover(cluster);
    return discovery.findKind('tests.example.com/v1', 'Widget') !== undefined;
  });
  await create(own('tests.example.com/v1 Widget made/a'));
  await until('the StatefulSet has its claim', async () => {
    return (await findObject(cluster, '/api/v1/namespaces/made/persistentvolumeclaims/data-db-0')) !== undefined;
  });

  const before = await inNamespace('made');
  expect(before).toContain('persistentvolumeclaim/data-db-0');
  const dry = await tearDown({ name: 'PR_7', dryRun: true });
  expect(await inNamespace('made')).toEqual(before);
  const real = await tearDown({ name: 'PR_7' });
  expect(real).toEqual(dry);
  expect(real.warnings).toEqual([]);
  expect(real.result).toMatchObject({
    environments: ['PR_7'],
    namespaces: ['made'],
    failures: [],
    releases: [{ name: 'web', namespace: 'made', chart: 'web', chartVersion: '1.2.3', outcome: 'deleted' }],
  });
  expect(real.result.resources.map(({ resource, deleted }) => `${resource} ${deleted}`)).toEqual([
    'configmaps 1',
    'customresourcedefinitions 1',
    'namespaces 1',
    'persistentvolumeclaims 2',
    'secrets 1',
    'services 1',
    'statefulsets 1',
    'widgets 1',
  ]);
  expect(await inNamespace('base')).toEqual(['configmap/theirs']);
  const namespaces = await bed.kubectl(['get', 'namespaces', '-o', 'name']);
  expect(namespaces).not.toContain('made');
  expect(await bed.kubectl(['get', 'crd', '-o', 'name'])).toBe('');
});

test('a second teardown says that there is nothing', async () => {
  await expect(tearDown({ name: 'PR_7' })).rejects.toMatchObject({
    message: 'environment: there is nothing of "PR_7" in target.',
    hint: 'There are no environments at all.',
  });
});

test('teardown of what has expired takes nothing else, and leaves a namespace that others use', async () => {
  const now = new Date('2026-01-31T12:00:00Z');
  const what = { snapshot: '26-01-31_12-00-00', origin: 'stage', now };
  await create(objectOf('v1 Namespace old', { metadata: { labels: { 'transship.dev/environment': 'old' } } }));
  await create(objectOf('v1 ConfigMap old/theirs'));
  await writeMarkers(cluster, { name: 'old' }, ['old'], { ...what, ttl: HOUR });
  await writeMarkers(cluster, { name: 'young' }, ['base'], { ...what, ttl: 3 * HOUR });
  const { result, warnings } = await tearDown({ expired: true, now: new Date('2026-01-31T13:00:01Z') });
  expect(result).toMatchObject({ environments: ['old'], namespaces: [], failures: [] });
  expect(warnings).toEqual([
    'warn: Namespace old is left, for there is what the import did not bring: ConfigMap old/theirs.',
  ]);
  // The marker stays for the next one, which finds the namespace free some day.
  expect(await inNamespace('old')).toEqual(['configmap/theirs', 'configmap/transship-environment-old']);
  await cluster.json({ method: 'DELETE', path: '/api/v1/namespaces/old/configmaps/theirs' });
  const again = await tearDown({ expired: true, now: new Date('2026-01-31T13:00:01Z') });
  expect(again.result).toMatchObject({ environments: ['old'], namespaces: ['old'], failures: [] });
  expect((await findEnvironments(cluster)).map(({ name }) => name)).toEqual(['young']);
});
