import { expect, test } from 'vitest';
import { discover } from '../../../src/cluster/discovery.ts';
import { answerJson, answerStatus, kubeconfigOf, openTestCluster, startServer } from './misbehaving-server.ts';

const resource = (plural: string, kind: string, more: object = {}) => ({
  resource: plural,
  responseKind: { group: '', version: '', kind },
  scope: 'Namespaced',
  singularResource: kind.toLowerCase(),
  verbs: ['get', 'list'],
  ...more,
});

const aggregated = {
  '/api': [
    {
      metadata: {},
      versions: [
        {
          version: 'v1',
          freshness: 'Current',
          resources: [
            resource('configmaps', 'ConfigMap', { shortNames: ['cm'], subresources: [{ subresource: 'status' }] }),
            resource('namespaces', 'Namespace', { scope: 'Cluster', shortNames: ['ns'] }),
            resource('events', 'Event'),
            { resource: 'odd', scope: 'Namespaced', subresources: [] },
          ],
        },
      ],
    },
  ],
  '/apis': [
    {
      metadata: { name: 'events.k8s.io' },
      versions: [{ version: 'v1', freshness: 'Current', resources: [resource('events', 'Event')] }],
    },
    {
      metadata: { name: 'autoscaling' },
      versions: [
        { version: 'v2', freshness: 'Current', resources: [resource('hpas', 'HPA')] },
        { version: 'v1', freshness: 'Current', resources: [resource('hpas', 'HPA'), resource('olds', 'Old')] },
      ],
    },
    { metadata: { name: 'metrics.k8s.io' }, versions: [{ version: 'v1beta1', freshness: 'Stale', resources: [] }] },
  ],
};

async function clusterWith(answers: Record<string, unknown>) {
  const server = await startServer((request, response) => {
    const answer = answers[request.url ?? ''];
    if (typeof answer === 'number') {
      answerStatus(response, answer, 'ServiceUnavailable', 'not here');
    } else {
      answerJson(response, answer);
    }
  });
  return { server, cluster: await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) }) };
}

async function discoverAggregated() {
  const list = { apiVersion: 'apidiscovery.k8s.io/v2', kind: 'APIGroupDiscoveryList' };
  const { server, cluster } = await clusterWith({
    '/api': { ...list, items: aggregated['/api'] },
    '/apis': { ...list, items: aggregated['/apis'] },
  });
  return { server, discovery: await discover(cluster) };
}

test('aggregated discovery takes two requests', async () => {
  const { server, discovery } = await discoverAggregated();
  expect(server.requests.toSorted()).toEqual(['GET /api', 'GET /apis']);
  expect(server.headers[0]?.accept).toContain('g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  expect(discovery.kinds.map((kind) => `${kind.plural}.${kind.apiVersion}`)).toEqual([
    'configmaps.v1',
    'namespaces.v1',
    'events.v1',
    'events.events.k8s.io/v1',
    'hpas.autoscaling/v2',
    'olds.autoscaling/v1',
  ]);
});

test('a kind is listed in its preferred version and found in each one that is served', async () => {
  const { discovery } = await discoverAggregated();
  expect(discovery.findKind('autoscaling/v1', 'HPA')).toEqual({
    group: 'autoscaling',
    version: 'v1',
    apiVersion: 'autoscaling/v1',
    kind: 'HPA',
    plural: 'hpas',
    singular: 'hpa',
    shortNames: [],
    namespaced: true,
    verbs: ['get', 'list'],
    versions: ['v2', 'v1'],
  });
  expect(discovery.findKind('autoscaling/v3', 'HPA')).toBeUndefined();
  expect(discovery.findKind('v1', 'Namespace')?.namespaced).toBe(false);
});

test('a name finds a kind by plural, singular, short name or kind, the core group first unless another is named', async () => {
  const { discovery } = await discoverAggregated();
  for (const name of ['configmaps', 'ConfigMap', 'cm', 'CM']) {
    expect(discovery.findByName(name)?.kind).toBe('ConfigMap');
  }
  expect(discovery.findByName('events')?.group).toBe('');
  expect(discovery.findByName('events.events.k8s.io')?.group).toBe('events.k8s.io');
  expect(discovery.findByName('secrets')).toBeUndefined();
});

test('what an extension server does not answer for is listed as stale', async () => {
  const { discovery } = await discoverAggregated();
  expect(discovery.stale).toEqual(['metrics.k8s.io/v1beta1']);
});

test('a server without aggregated discovery is asked group by group, and one that is down is stale', async () => {
  const list = (resources: object[]) => ({ kind: 'APIResourceList', resources });
  const { cluster } = await clusterWith({
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': {
      kind: 'APIGroupList',
      groups: [
        {
          name: 'apps',
          versions: [{ version: 'v1beta1' }, { version: 'v1' }],
          preferredVersion: { version: 'v1' },
        },
        { name: 'metrics.k8s.io', versions: [{ version: 'v1beta1' }] },
      ],
    },
    '/api/v1': list([
      { name: 'pods', kind: 'Pod', namespaced: true, singularName: 'pod', shortNames: ['po'], verbs: ['list'] },
      { name: 'pods/log', kind: 'Pod', namespaced: true, verbs: ['get'] },
    ]),
    '/apis/apps/v1': list([{ name: 'deployments', kind: 'Deployment', namespaced: true, verbs: ['list'] }]),
    '/apis/apps/v1beta1': list([{ name: 'deployments', kind: 'Deployment', namespaced: true, verbs: ['list'] }]),
    '/apis/metrics.k8s.io/v1beta1': 503,
  });
  const discovery = await discover(cluster);
  expect(discovery.kinds.map(({ apiVersion, kind, versions }) => [apiVersion, kind, versions])).toEqual([
    ['v1', 'Pod', ['v1']],
    ['apps/v1', 'Deployment', ['v1', 'v1beta1']],
  ]);
  expect(discovery.findByName('po')?.plural).toBe('pods');
  expect(discovery.stale).toEqual(['metrics.k8s.io/v1beta1']);
});
