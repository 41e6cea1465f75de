import type { MemoryCluster } from './memory-cluster.ts';

/** `group/version Kind plural`, with `cluster` behind it for what has no namespace. */
const KINDS = [
  'v1 Namespace namespaces cluster',
  'v1 ConfigMap configmaps',
  'v1 Pod pods',
  'v1 Secret secrets',
  'apps/v1 Deployment deployments',
  'batch/v1 Job jobs',
  'rbac.authorization.k8s.io/v1 ClusterRole clusterroles cluster',
  'apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions cluster',
];

/** Makes a cluster in memory answer what it serves. */
export function serveKinds(cluster: MemoryCluster, more: readonly string[] = []): void {
  const served = [...KINDS, ...more].map((line) => line.split(' '));
  for (const path of ['/api', '/apis']) {
    const own = served.filter(([apiVersion = '']) => apiVersion.includes('/') === (path === '/apis'));
    const items = own.map(([apiVersion = '', kind, resource, scope]) => {
      const [version = '', group = ''] = apiVersion.split('/').reverse();
      const resources = [
        { resource, responseKind: { kind }, scope: scope === undefined ? 'Namespaced' : 'Cluster', verbs: ['get'] },
      ];
      return { metadata: { name: group }, versions: [{ version, resources }] };
    });
    const root = { apiVersion: 'v1', kind: 'APIGroupDiscoveryList', metadata: { name: '' }, items };
    cluster.objects.set(path, root);
  }
}
