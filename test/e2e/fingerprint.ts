import { isDeepStrictEqual } from 'node:util';
import { vi } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { createApiClient } from '../cluster/api-client.ts';
import type { RunningCluster } from './bed.ts';

/** Every kind that an import of the fixtures could touch, but their own custom ones. */
const COLLECTIONS = [
  '/api/v1/namespaces',
  '/api/v1/secrets',
  '/api/v1/configmaps',
  '/api/v1/serviceaccounts',
  '/api/v1/services',
  '/api/v1/persistentvolumeclaims',
  '/api/v1/pods',
  '/apis/apps/v1/deployments',
  '/apis/apps/v1/statefulsets',
  '/apis/batch/v1/jobs',
  '/apis/batch/v1/cronjobs',
  '/apis/networking.k8s.io/v1/ingresses',
  '/apis/networking.k8s.io/v1/ingressclasses',
  '/apis/storage.k8s.io/v1/storageclasses',
  '/apis/scheduling.k8s.io/v1/priorityclasses',
  '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  '/apis/rbac.authorization.k8s.io/v1/rolebindings',
  '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
  '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
];

/** Every object of a cluster with its resource version: equal before and after means that nothing was changed. */
export async function fingerprint(cluster: RunningCluster): Promise<Record<string, string>> {
  const user = cluster.access.contexts.find(({ name }) => name === cluster.context)?.user ?? {};
  const decode = (field: string) => Buffer.from(user[field] ?? '', 'base64').toString('utf8');
  const api = createApiClient(cluster.server, {
    ca: cluster.access.ca,
    cert: decode('client-certificate-data'),
    key: decode('client-key-data'),
  });
  try {
    const lists = await Promise.all(COLLECTIONS.map((path) => api.send('GET', path)));
    return Object.fromEntries(lists.flatMap(({ body }, index) => rowsOf(COLLECTIONS[index] ?? '', body)));
  } finally {
    api.close();
  }
}

/** The {@link fingerprint} of a cluster whose controllers have done what they had to. */
export async function quietFingerprint(cluster: RunningCluster): Promise<Record<string, string>> {
  let last: Record<string, string> = {};
  const isQuiet = async () => {
    const before = last;
    last = await fingerprint(cluster);
    return isDeepStrictEqual(before, last);
  };
  await vi.waitUntil(isQuiet, { interval: 300, timeout: 30_000 });
  return last;
}

function rowsOf(path: string, list: unknown): [string, string][] {
  const items: KubeObject[] | undefined =
    typeof list === 'object' && list !== null && 'items' in list && Array.isArray(list.items) ? list.items : undefined;
  if (items === undefined) throw new Error(`${path} answered no list: ${JSON.stringify(list)}`);
  return items.map(({ metadata }) => [
    `${path} ${metadata.namespace ?? ''}/${metadata.name}`,
    `${metadata.uid} ${metadata.resourceVersion}`,
  ]);
}
