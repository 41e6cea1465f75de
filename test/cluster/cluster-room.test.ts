import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  applyObject,
  createObject,
  deleteObject,
  getObject,
  objectPath,
  replaceObject,
} from '../../src/cluster/apply.ts';
import type { Cluster, DataObject, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { toDataObject } from '../../src/cluster/data-objects.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { readIdentity } from '../../src/cluster/identity.ts';
import { waitForCrd } from '../../src/cluster/wait.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const COUNT = 3000;
const crowd = '/api/v1/namespaces/crowd/configmaps';

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;

beforeAll(async () => {
  bed = await startCluster({ name: 'room', tokens: [{ user: 'reader' }] });
  cluster = await open();
  discovery = await discover(cluster);
  await createObject(cluster, discovery, objectOf('v1', 'Namespace', 'crowd', undefined));
  await Promise.all(Array.from({ length: COUNT }, (_, index) => createObject(cluster, discovery, member(index))));
});

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
});

function open(context?: string): Promise<Cluster> {
  return openCluster({ kubeconfig: bed.kubeconfigText, context, env: {} });
}

async function openFor(context: string): Promise<Cluster> {
  const opened = await open(context);
  onTestFinished(() => opened.close());
  return opened;
}

function objectOf(
  apiVersion: string,
  kind: string,
  name: string,
  namespace: string | undefined,
  rest = {},
): KubeObject {
  return { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, ...rest };
}

function member(index: number): KubeObject {
  const object = objectOf('v1', 'ConfigMap', `member-${index}`, 'crowd', { data: { index: String(index) } });
  return { ...object, metadata: { ...object.metadata, labels: { third: String(index % 3) } } };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
async function compactHistory(): Promise<void> {
  await applyObject(cluster, discovery, objectOf('v1', 'ConfigMap', 'later', 'default'));
  const call = async (method: string, body: object): Promise<{ header?: { revision?: string } }> => {
    const answer = await fetch(`${bed.etcd}/v3/kv/${method}`, { method: 'POST', body: JSON.stringify(body) });
    expect(answer.status).toBe(200);
    return JSON.parse(await answer.text());
  };
  const { header } = await call('range', { key: 'AA==' });
  await call('compaction', { revision: header?.revision });
}

async function collect<T>(objects: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const object of objects) {
    all.push(object);
  }
  return all;
}

/** What a list as protobuf and one as JSON must have in common. */
function promised({ kind, metadata: { name, namespace, uid, labels, annotations }, data }: DataObject) {
  return { kind, metadata: { name, namespace, uid, labels, annotations }, data: [...data].map(hexOf) };
}

function hexOf([key, value]: [string, Uint8Array]): [string, string] {
  return [key, Buffer.from(value).toString('hex')];
}

test(`a list of ${COUNT} objects in pages equals kubectl's`, async () => {
  const theirs: { items: KubeObject[] } = JSON.parse(
    await bed.kubectl(['get', 'configmaps', '-n', 'crowd', '-o', 'json', '--show-managed-fields']),
  );
  const ours = await collect(cluster.list(crowd));
  expect(ours.length).toBeGreaterThanOrEqual(COUNT);
  expect(ours).toEqual(theirs.items);
});

test('a list as protobuf has what the list as JSON has, in the same order', async () => {
  for (const path of [crowd, '/api/v1/configmaps', '/api/v1/secrets']) {
    const json = (await collect(cluster.list(path))).flatMap((object) => toDataObject(object) ?? []);
    const protobuf = (await collect(cluster.listData(path))).flat();
    expect(protobuf.map(promised)).toEqual(json.map(promised));
  }
});

test('label selectors are honoured on every page', async () => {
  const ours = await collect(cluster.list(crowd, { labelSelector: 'third in (0,2),third!=2' }));
  expect(ours).toHaveLength(COUNT / 3);
  expect(new Set(ours.map((object) => object.metadata.labels?.third))).toEqual(new Set(['0']));
});

test('a list survives an API server that is killed and started again in its middle', async () => {
  const retries: string[] = [];
  const reporter = { ...silentReporter, debug: (message: string) => retries.push(message) };
  const patient = await openCluster({ kubeconfig: bed.kubeconfig, env: {}, reporter });
  onTestFinished(() => patient.close());
  const names: string[] = [];
  let restarted: Promise<void> | undefined;
  for await (const object of patient.list(crowd, { labelSelector: 'third' })) {
    if (restarted === undefined) {
      const pid = bed.pids['kube-apiserver'] ?? 0;
      restarted = bed.restartApiServer();
      await expect.poll(() => isAlive(pid)).toBe(false);
    }
    names.push(object.metadata.name);
  }
  await restarted;
  expect(retries).not.toEqual([]);
  expect(names).toHaveLength(COUNT);
  expect(new Set(names).size).toBe(COUNT);
});

test.each(['listPages', 'listData'] as const)(
  '%s, where the history was compacted, goes on in the present without losing or repeating an object',
  async (list) => {
    const names: string[] = [];
    for await (const page of cluster[list](crowd, { labelSelector: 'third' })) {
      if (names.length === 0) {
        await compactHistory();
        // A fresh API server has no snapshots in memory to serve the old token from.
        await bed.restartApiServer();
      }
      names.push(...page.map(({ metadata }) => metadata.name));
    }
    expect(names).toHaveLength(COUNT);
    expect(new Set(names).size).toBe(COUNT);
  },
);

test('a user by token and one by client certificate are who they are', async () => {
  const whoami = async (context: string) => {
    const review = await (await openFor(context)).json<{ status: { userInfo: { username: string } } }>({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    });
    return review.status.userInfo.username;
  };
  expect(await whoami('room')).toBe('admin');
  expect(await whoami('room-reader')).toBe('reader');
});

test('what is forbidden is named with the rule to add, and that rule is enough', async () => {
  const reader = await openFor('room-reader');
  const secrets = () => collect(reader.list('/api/v1/namespaces/crowd/secrets'));
  await expect(secrets()).rejects.toMatchObject({
    code: 'FORBIDDEN',
    status: 403,
    message: expect.stringContaining('User "reader" cannot list resource "secrets"'),
    hint: 'Bind "reader" to a Role in the namespace "crowd" with the rule { apiGroups: [""], resources: ["secrets"], verbs: ["list"] }.',
  });
  const rbac = 'rbac.authorization.k8s.io';
  const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }];
  const subjects = [{ apiGroup: rbac, kind: 'User', name: 'reader' }];
  const roleRef = { apiGroup: rbac, kind: 'Role', name: 'lister' };
  await createObject(cluster, discovery, objectOf(`${rbac}/v1`, 'Role', 'lister', 'crowd', { rules }));
  await createObject(
    cluster,
    discovery,
    objectOf(`${rbac}/v1`, 'RoleBinding', 'lister', 'crowd', { subjects, roleRef }),
  );
  await expect.poll(() => secrets().catch(() => 'forbidden')).toEqual([]);
});

test('a token that nobody knows is refused as expired credentials would be', async () => {
  const token = bed.access.contexts.find(({ name }) => name === 'room-reader')?.user.token ?? '';
  const stranger = await openCluster({
    kubeconfig: bed.kubeconfigText.replace(token, 'not-a-token'),
    context: 'room-reader',
    env: {},
  });
  onTestFinished(() => stranger.close());
  await expect(stranger.json({ method: 'GET', path: '/api' })).rejects.toMatchObject({
    code: 'FORBIDDEN',
    status: 401,
    hint: expect.stringContaining('expired'),
  });
});

test('an object is applied, owned, taken over by force, replaced, and deleted under a precondition', async () => {
  const wanted = objectOf('v1', 'ConfigMap', 'life', 'default', { data: { a: '1' } });
  const dry = await applyObject(cluster, discovery, wanted, { dryRun: true });
  expect(dry.data).toEqual({ a: '1' });
  expect(await getObject(cluster, discovery, wanted)).toBeUndefined();

  const applied = await applyObject(cluster, discovery, wanted);
  const again = await applyObject(cluster, discovery, wanted);
  expect(again.metadata.resourceVersion).toBe(applied.metadata.resourceVersion);

  const other = { ...wanted, data: { a: '2' } };
  await expect(applyObject(cluster, discovery, other, { fieldManager: 'someone' })).rejects.toMatchObject({
    status: 409,
    reason: 'Conflict',
    message: expect.stringContaining('conflict with "transship": .data.a'),
  });
  const forced = await applyObject(cluster, discovery, other, { fieldManager: 'someone', force: true });
  expect(forced.data).toEqual({ a: '2' });

  const stale = {
    ...wanted,
    metadata: { ...wanted.metadata, resourceVersion: applied.metadata.resourceVersion ?? '' },
  };
  await expect(replaceObject(cluster, discovery, stale)).rejects.toMatchObject({ status: 409, reason: 'Conflict' });
  await expect(createObject(cluster, discovery, wanted)).rejects.toMatchObject({ reason: 'AlreadyExists' });

  await expect(deleteObject(cluster, discovery, wanted, { uid: 'another' })).rejects.toMatchObject({ status: 409 });
  expect(await deleteObject(cluster, discovery, wanted, { uid: applied.metadata.uid })).toBe(true);
  expect(await deleteObject(cluster, discovery, wanted)).toBe(false);
});

test('a custom resource can be created as soon as the wait for its definition is over', async () => {
  const names = { plural: 'gizmos', singular: 'gizmo', kind: 'Gizmo', listKind: 'GizmoList', shortNames: ['gz'] };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const versions = ['v1', 'v1beta1'].map((name) => ({ name, served: true, storage: name === 'v1', schema }));
  const definition = objectOf('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'gizmos.example.com', undefined, {
    spec: { group: 'example.com', scope: 'Namespaced', names, versions },
  });
  await createObject(cluster, discovery, definition);
  await waitForCrd(cluster, 'gizmos.example.com', { timeout: 30_000 });
  const now = await discover(cluster);
  expect(now.findByName('gz')).toMatchObject({ apiVersion: 'example.com/v1', versions: ['v1', 'v1beta1'] });
  const gizmo = objectOf('example.com/v1', 'Gizmo', 'mine', 'default', { anything: { goes: [1, null] } });
  const created = await createObject(cluster, now, gizmo);
  expect(created.anything).toEqual({ goes: [1, null] });
  expect(objectPath(cluster, now, gizmo)).toBe('/apis/example.com/v1/namespaces/default/gizmos/mine');
  expect(await collect(cluster.list('/apis/example.com/v1/gizmos'))).toEqual([created]);
});

test('discovery finds the same kinds as kubectl', async () => {
  const now = await discover(cluster);
  const table = await bed.kubectl(['api-resources', '--no-headers', '--cached=false']);
  const theirs = table
    .trim()
    .split('\n')
    .map((line) => {
      const [plural = '', ...rest] = line.trim().split(/\s+/);
      const [kind = '', namespaced = '', apiVersion = ''] = rest.toReversed();
      return `${plural} ${apiVersion} ${namespaced} ${kind}`;
    });
  const ours = now.kinds.map((one) => `${one.plural} ${one.apiVersion} ${one.namespaced} ${one.kind}`);
  expect(ours.toSorted()).toEqual(theirs.toSorted());
  expect(now.stale).toEqual([]);
});

test('the identity of the cluster is its own', async () => {
  const uid = await bed.kubectl(['get', 'namespace', 'kube-system', '-o', 'jsonpath={.metadata.uid}']);
  expect(await readIdentity(cluster)).toEqual({ uid, version: expect.stringMatching(/^v1\.\d+\.\d+/) });
  expect((await readIdentity(await openFor('room-reader'))).uid).toBeUndefined();
});
