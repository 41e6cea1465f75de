import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { collectionPath } from '../../src/cluster/apply.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { findObject } from '../../src/cluster/find.ts';
import { waitForCrd } from '../../src/cluster/wait.ts';
import { ENVIRONMENT_LABEL } from '../../src/environment/environment.ts';
import { runProgram } from '../../src/exec.ts';
import type { Helm } from '../../src/releases/helm.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { idOf, keyOf } from '../../src/resources/resource.ts';
import { type RestoreOptions, restoreResources } from '../../src/resources/restore.ts';
import { createUndo } from '../../src/undo/undo.ts';
import { type Piece, type WorkOptions, workOf } from '../unit/resources/make-work.ts';
import { kindOf, objectOf } from '../unit/resources/target-bed.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { ensureTools } from './tools.ts';

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;
let folder: string;
let helm: Helm;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-undo-'));
  const [tools, started] = await Promise.all([ensureTools(['helm4']), startCluster({ name: 'target' })]);
  bed = started;
  helm = { path: tools.helm4, version: 'v4.3.1', major: 4 };
  cluster = await openCluster({ kubeconfig: bed.kubeconfig, concurrency: 16 });
  await create(GAUGES.crd);
  await waitForCrd(cluster, GAUGES.crd.metadata.name, { timeout: 20_000 });
  discovery = await discover(cluster);
}, 600_000);

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A CRD that takes anything, with a status of its own. */
function define(plural: string, kind: string) {
  const group = 'tests.example.com';
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const crd = objectOf(`apiextensions.k8s.io/v1 CustomResourceDefinition ${plural}.${group}`, {
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema, subresources: { status: {} } }],
    },
  });
  return { crd, kind: kindOf(`${group}/v1 ${plural} ${kind}`) };
}

const GAUGES = define('gauges', 'Gauge');
const WIDGETS = define('widgets', 'Widget');

function pathOf({ apiVersion, kind, metadata }: KubeObject): string {
  const known = [GAUGES, WIDGETS].find((one) => one.kind.kind === kind)?.kind;
  const found =
    known ?? discovery?.findKind(apiVersion, kind) ?? kindOf('apiextensions.k8s.io/v1 *customresourcedefinitions X');
  return `${collectionPath(found, metadata.namespace)}/${metadata.name}`;
}

async function create(object: KubeObject): Promise<KubeObject> {
  const path = pathOf(object).slice(0, -object.metadata.name.length - 1);
  return cluster.json<KubeObject>({ method: 'POST', path, query: { fieldManager: 'somebody' }, body: object });
}

/** All of some objects that a person can ask for; undefined for what is not there. */
async function stateOf(objects: readonly KubeObject[]): Promise<Map<string, unknown>> {
  const states = new Map<string, unknown>();
  for (const object of objects) {
    const path = pathOf(object);
    const live = await findObject(cluster, path);
    if (live === undefined) {
      states.set(path, undefined);
      continue;
    }
    const { resourceVersion: _version, managedFields: _fields, generation: _generation, ...metadata } = live.metadata;
    states.set(path, { ...live, metadata });
  }
  return states;
}

function startUndo() {
  const undo = createUndo({
    ...{ cluster, helm, runProgram },
    directory: folder,
    env: { PATH: process.env.PATH, HOME: folder },
    timeout: 20_000,
    noHooks: false,
  });
  onTestFinished(() => undo.close());
  return undo;
}

async function restore(pieces: readonly Piece[], work: WorkOptions, options: Partial<RestoreOptions>) {
  const restoring = restoreResources(workOf(discovery.findKind, pieces, work), {
    ...{ cluster, discovery, timeout: 20_000, concurrency: 8, reporter: silentReporter },
    restoreStatus: (kind) => kind === 'Gauge',
    ...options,
  });
  await restoring.before();
  await restoring.after();
  expect(restoring.result().failures).toEqual([]);
}

/** To be changed outside of its template: its revisions are counted, and a change taken back counts too. */
function webOf(minReadySeconds: number): KubeObject {
  const labels = { app: 'web' };
  const spec = { containers: [{ name: 'a', image: 'a' }], terminationGracePeriodSeconds: 0 };
  const template = { metadata: { labels }, spec };
  return objectOf('apps/v1 Deployment shop/web', {
    spec: { replicas: 0, minReadySeconds, selector: { matchLabels: labels }, template },
  });
}

const serviceOf = (app: string) =>
  objectOf('v1 Service shop/web', { spec: { type: 'NodePort', selector: { app }, ports: [{ port: 80 }] } });

test('an import is taken back to exactly what was there, with what it created, changed and recreated', async () => {
  const old = {
    map: objectOf('v1 ConfigMap shop/map', { data: { k: 'old', kept: '1' }, metadata: { labels: { team: 'a' } } }),
    secret: objectOf('v1 Secret shop/secret', { immutable: true, data: { k: 'b2xk' } }),
    gauge: objectOf('tests.example.com/v1 Gauge shop/gauge', { spec: { level: 1 } }),
    owned: objectOf('v1 ConfigMap shop/owned', { data: { k: 'v' } }),
  };
  await create(objectOf('v1 Namespace shop'));
  const secret = await create(old.secret);
  const reference = { apiVersion: 'v1', kind: 'Secret', name: 'secret' };
  const ownerReferences = [{ ...reference, uid: secret.metadata.uid ?? '' }];
  for (const object of [old.map, old.gauge, webOf(0), serviceOf('web')]) await create(object);
  await create({ ...old.owned, metadata: { ...old.owned.metadata, ownerReferences } });
  const status = {
    method: 'PATCH',
    contentType: 'application/merge-patch+json',
    body: { status: { level: 1 } },
  } as const;
  await cluster.json({ ...status, path: `${pathOf(old.gauge)}/status`, query: { fieldManager: 'somebody' } });
  // The controller has seen it.
  await expect
    .poll(async () => (await findObject(cluster, pathOf(webOf(0))))?.status)
    .toMatchObject({
      observedGeneration: 1,
      conditions: [expect.anything(), expect.anything()],
    });

  const { map, gauge, owned } = old;
  const created = [
    WIDGETS.crd,
    objectOf('v1 Namespace fresh'),
    objectOf('v1 Namespace bare'),
    objectOf('tests.example.com/v1 Widget fresh/widget'),
    objectOf('v1 ConfigMap bare/map'),
    objectOf('v1 Service fresh/web', { spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }),
    objectOf('apps/v1 Deployment fresh/web', { spec: { ...(webOf(5).spec as object), replicas: 0 } }),
  ];
  const there = [map, old.secret, gauge, owned, webOf(0), serviceOf('web')];
  const before = await stateOf([...there, ...created]);
  const fieldsOf = async (object: KubeObject) => (await findObject(cluster, pathOf(object)))?.metadata.managedFields;
  const fields = await fieldsOf(map);

  const undo = startUndo();
  const bringOwned = { ...owned, metadata: { ...owned.metadata, ownerReferences: [{ ...reference, uid: '' }] } };
  await restore(
    [
      ...created.filter(({ metadata }) => metadata.name !== 'bare'),
      { object: { ...map, data: { k: 'new', added: '2' } }, standing: 'different' },
      { object: { ...old.secret, data: { k: 'bmV3' } }, standing: 'different', recreate: true },
      { object: { ...gauge, spec: { level: 2 }, status: { level: 2 } }, standing: 'different' },
      { object: webOf(5), standing: 'different' },
      { object: serviceOf('other'), standing: 'different' },
      { object: bringOwned, standing: 'equal' },
    ],
    { namespaces: ['bare'], custom: [WIDGETS.kind], owners: [keyOf(idOf(old.secret))] },
    { undo },
  );
  const during = await stateOf([...there, ...created]);
  for (const path of before.keys()) expect(during.get(path), path).not.toEqual(before.get(path));

  const result = await undo.rollBack(silentReporter);
  // Those that were created, the new Secret, and the one that was put back before its owner, once more.
  expect(result).toEqual({ removed: 8, putBack: 6, uninstalled: 0, rolledBack: 0, failures: [] });
  const after = await stateOf([...there, ...created]);
  // What was created again is another in name alone.
  const again = await findObject(cluster, pathOf(old.secret));
  const { uid = '', creationTimestamp = '' } = again?.metadata ?? {};
  const expected = new Map(before);
  expected.set(pathOf(old.secret), { ...secret, metadata: cleaned({ ...secret.metadata, uid, creationTimestamp }) });
  expected.set(pathOf(owned), {
    ...(before.get(pathOf(owned)) as KubeObject),
    metadata: {
      ...(before.get(pathOf(owned)) as KubeObject).metadata,
      ownerReferences: [{ ...reference, uid }],
    },
  });
  expect(withoutTimes(after)).toEqual(withoutTimes(expected));
  expect(await fieldsOf(map)).toEqual(fields);
  // Nothing is deleted for an owner that is not there: the collector has had its time with the namespaces.
  expect(await findObject(cluster, pathOf(owned))).toBeDefined();
});

function cleaned({
  resourceVersion: _version,
  managedFields: _fields,
  generation: _generation,
  ...rest
}: KubeObject['metadata']) {
  return rest;
}

/** A controller says anew when it has seen the same. */
function withoutTimes(states: Map<string, unknown>): unknown {
  const text = JSON.stringify([...states], (key, value) =>
    key === 'lastUpdateTime' || key === 'lastTransitionTime' || key === 'observedGeneration' ? '' : value,
  );
  return JSON.parse(text);
}

test('a namespace that others use since, and a CRD, stay', async () => {
  const undo = startUndo();
  const one = define('levers', 'Lever');
  await restore([objectOf('v1 ConfigMap shared/ours')], { namespaces: ['shared'] }, { undo });
  await restore([one.crd], {}, { undo });
  await create(objectOf('v1 ConfigMap shared/theirs'));
  const path = '/apis/tests.example.com/v1/namespaces/shared/levers';
  await cluster.json({ method: 'POST', path, body: objectOf('tests.example.com/v1 Lever shared/theirs') });
  const { removed, failures } = await undo.rollBack(silentReporter);
  expect(removed).toBe(1);
  expect(failures.map(({ object, message }) => `${object}: ${message}`)).toEqual([
    'Namespace shared: It stays, for others have put into it: ConfigMap shared/theirs, Lever.tests.example.com shared/theirs.',
    'CustomResourceDefinition levers.tests.example.com: It stays, for others have put into it: Lever.tests.example.com shared/theirs.',
  ]);
});

test('the label of an environment is on what is created, and stays through a change by server-side apply', async () => {
  const environment = { name: 'pr-7' };
  const old = objectOf('v1 ConfigMap labelled/old', { data: { k: '1' } });
  const made = objectOf('v1 ConfigMap labelled/made', { data: { k: '1' } });
  await restore([made], { namespaces: ['labelled'] }, { environment });
  await create(old);
  for (const k of ['2', '3']) {
    const pieces = [old, made].map(
      (object) => ({ object: { ...object, data: { k } }, standing: 'different' }) as const,
    );
    await restore(pieces, {}, { environment: { name: 'another' } });
  }
  const labelOf = async (object: KubeObject) =>
    (await findObject(cluster, pathOf(object)))?.metadata.labels?.[ENVIRONMENT_LABEL];
  expect(await labelOf(objectOf('v1 Namespace labelled'))).toBe('pr-7');
  expect(await labelOf(made)).toBe('pr-7');
  expect(await labelOf(old)).toBeUndefined();
});

test('a release that was installed is uninstalled, and one that was upgraded is as it was, record by record', async () => {
  const run = async (words: string) => {
    const { exitCode, stderr } = await runProgram(helm.path, words.split(' '), {
      env: { ...bed.env, PATH: process.env.PATH ?? '', HOME: folder },
    });
    expect(`${exitCode} ${stderr}`).toMatch(/^0 /);
  };
  const chart = join(folder, 'chart');
  await mkdir(join(chart, 'templates'), { recursive: true });
  await writeFile(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: chart\nversion: 0.1.0\n');
  const map = (name: string) =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: "{{ .Release.Name }}-${name}" }\ndata: { k: "{{ .Values.k }}" }\n`;
  await writeFile(join(chart, 'templates/a.yaml'), map('a'));
  await writeFile(join(chart, 'templates/b.yaml'), `{{ if .Values.more }}\n${map('b')}{{ end }}\n`);
  for (const k of ['1', '2'])
    await run(`upgrade --install shop ${chart} -n apps --create-namespace --set-string k=${k}`);

  const secrets = '/api/v1/namespaces/apps/secrets';
  const recordsOf = async () => {
    const records: KubeObject[] = [];
    for await (const one of cluster.list(secrets, { labelSelector: 'owner=helm,name=shop' })) records.push(one);
    return records;
  };
  const clean = (objects: readonly KubeObject[]) => objects.map((one) => ({ ...one, metadata: cleaned(one.metadata) }));
  const [records, state] = [
    await recordsOf(),
    await stateOf([objectOf('v1 ConfigMap apps/shop-a'), objectOf('v1 ConfigMap apps/shop-b')]),
  ];

  const undo = startUndo();
  await undo.upgrading('apps', 'shop', 2, records);
  await run(`upgrade shop ${chart} -n apps --set-string k=3 --set more=true`);
  await undo.installing('apps', 'other');
  await run(`install other ${chart} -n apps --set-string k=1`);

  const result = await undo.rollBack(silentReporter);
  expect(result).toEqual({ removed: 0, putBack: 0, uninstalled: 1, rolledBack: 1, failures: [] });
  expect(await stateOf([objectOf('v1 ConfigMap apps/shop-a'), objectOf('v1 ConfigMap apps/shop-b')])).toEqual(state);
  expect(clean(await recordsOf())).toEqual(clean(records));
  expect(await findObject(cluster, '/api/v1/namespaces/apps/configmaps/other-a')).toBeUndefined();
});
