import { expect, test } from 'vitest';
import {
  applyObject,
  collectionPath,
  createObject,
  deleteObject,
  getObject,
  objectPath,
  replaceObject,
} from '../../../src/cluster/apply.ts';
import type { Discovery, ResourceKind } from '../../../src/cluster/discovery.ts';
import {
  answerJson,
  answerStatus,
  type Handler,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

function kindOf(apiVersion: string, kind: string, plural: string, namespaced = true): ResourceKind {
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  const names = { kind, plural, singular: kind.toLowerCase(), shortNames: [] };
  return { group, version, apiVersion, ...names, namespaced, verbs: [], versions: [version] };
}

const kinds = [
  kindOf('v1', 'ConfigMap', 'configmaps'),
  kindOf('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', false),
  kindOf('apps/v1', 'Deployment', 'deployments'),
];
const discovery: Discovery = {
  kinds,
  stale: [],
  findKind: (apiVersion, kind) => kinds.find((one) => one.apiVersion === apiVersion && one.kind === kind),
  findByName: () => undefined,
};
const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'shop' } };

async function clusterOn(handler: Handler = (_, response) => answerJson(response, configMap)) {
  const server = await startServer(handler);
  const kubeconfig = kubeconfigOf({ server: server.url, namespace: 'home' });
  return { server, cluster: await openTestCluster({ kubeconfig }) };
}

test('paths keep the case of names and escape what a URL needs escaped', async () => {
  const { cluster } = await clusterOn();
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'My:Role/x y' } };
  expect(objectPath(cluster, discovery, role)).toBe(
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/My%3ARole%2Fx%20y',
  );
  expect(objectPath(cluster, discovery, configMap)).toBe('/api/v1/namespaces/shop/configmaps/a');
  expect(collectionPath(kindOf('apps/v1', 'Deployment', 'deployments'))).toBe('/apis/apps/v1/deployments');
});

test('a namespaced object without a namespace is in the default one of the kubeconfig', async () => {
  const { cluster } = await clusterOn();
  expect(objectPath(cluster, discovery, { ...configMap, metadata: { name: 'a' } })).toBe(
    '/api/v1/namespaces/home/configmaps/a',
  );
});

test('apply is a server-side apply as the manager transship', async () => {
  const { server, cluster } = await clusterOn();
  expect(await applyObject(cluster, discovery, configMap)).toEqual(configMap);
  await applyObject(cluster, discovery, configMap, { force: true, dryRun: true, fieldManager: 'helm' });
  expect(server.requests).toEqual([
    'PATCH /api/v1/namespaces/shop/configmaps/a?fieldManager=transship',
    'PATCH /api/v1/namespaces/shop/configmaps/a?fieldManager=helm&dryRun=All&force=true',
  ]);
  expect(server.headers[0]?.['content-type']).toBe('application/apply-patch+yaml');
  expect(JSON.parse(server.bodies[0] ?? '')).toEqual(configMap);
});

test('create posts to the collection, replace puts the object', async () => {
  const { server, cluster } = await clusterOn();
  await createObject(cluster, discovery, configMap);
  await replaceObject(cluster, discovery, configMap, { dryRun: true });
  expect(server.requests).toEqual([
    'POST /api/v1/namespaces/shop/configmaps?fieldManager=transship',
    'PUT /api/v1/namespaces/shop/configmaps/a?fieldManager=transship&dryRun=All',
  ]);
});

test('delete sends its preconditions and says whether there was anything', async () => {
  const { server, cluster } = await clusterOn((_, response, count) =>
    count === 1 ? answerJson(response, configMap) : answerStatus(response, 404, 'NotFound', 'not found'),
  );
  const options = { uid: 'u-1', resourceVersion: '7', propagation: 'Foreground' } as const;
  expect(await deleteObject(cluster, discovery, configMap, options)).toBe(true);
  expect(await deleteObject(cluster, discovery, configMap)).toBe(false);
  expect(JSON.parse(server.bodies[0] ?? '')).toEqual({
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    preconditions: { uid: 'u-1', resourceVersion: '7' },
    propagationPolicy: 'Foreground',
  });
});

test('get answers undefined for what is not there, and throws for anything else', async () => {
  const { cluster } = await clusterOn((_, response, count) =>
    count === 1
      ? answerStatus(response, 404, 'NotFound', 'configmaps "a" not found')
      : answerStatus(response, 403, 'Forbidden', 'no'),
  );
  expect(await getObject(cluster, discovery, configMap)).toBeUndefined();
  await expect(getObject(cluster, discovery, configMap)).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a kind the cluster does not serve is named, with the version it does serve', async () => {
  const { cluster } = await clusterOn();
  const old = { ...configMap, apiVersion: 'apps/v1beta1', kind: 'Deployment' };
  expect(() => objectPath(cluster, discovery, old)).toThrow(
    expect.objectContaining({
      code: 'CLUSTER',
      message: 'The cluster serves no Deployment of apps/v1beta1 (for "a").',
      hint: 'It serves the same kind as apps/v1.',
    }),
  );
  const custom = { ...configMap, apiVersion: 'example.com/v1', kind: 'Widget' };
  expect(() => objectPath(cluster, discovery, custom)).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('CustomResourceDefinition') }),
  );
});
