import type { KubeObject } from '../../src/cluster/cluster.ts';
import type { ClusterUnderTest } from './fixtures.ts';
import { capture } from './run-command.ts';

/** Every kind that an import of the fixtures could touch. */
const KINDS = [
  'namespaces',
  'secrets',
  'configmaps',
  'serviceaccounts',
  'services',
  'persistentvolumeclaims',
  'pods',
  'deployments.apps',
  'statefulsets.apps',
  'jobs.batch',
  'cronjobs.batch',
  'ingresses.networking.k8s.io',
  'ingressclasses.networking.k8s.io',
  'storageclasses.storage.k8s.io',
  'priorityclasses.scheduling.k8s.io',
  'clusterrolebindings.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
];

/** Every object of a cluster with its resource version: equal before and after means that nothing was changed. */
export async function fingerprint(cluster: ClusterUnderTest, kubectl: string): Promise<Record<string, string>> {
  const list = ['--kubeconfig', cluster.kubeconfig, 'get', KINDS.join(), '-A', '-o', 'json'];
  const { items }: { items: KubeObject[] } = JSON.parse(await capture(kubectl, list));
  return Object.fromEntries(
    items.map(({ apiVersion, kind, metadata }) => [
      `${apiVersion} ${kind} ${metadata.namespace ?? ''}/${metadata.name}`,
      `${metadata.uid} ${metadata.resourceVersion}`,
    ]),
  );
}
