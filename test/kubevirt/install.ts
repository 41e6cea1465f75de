import { setTimeout as delay } from 'node:timers/promises';
import type { TestCluster } from '../cluster/cluster.ts';
import { customResourceDefinitions, type ExportApi } from './crds.ts';
import type { Kube } from './kube.ts';
import { PATHS } from './objects.ts';

/** Creates the kinds of KubeVirt and CDI, and waits until they are served. */
export async function installKinds(kube: Kube, exportApi: ExportApi, exportsPath: string): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await Promise.all(customResourceDefinitions(exportApi).map((definition) => kube.create(path, definition)));
  const isServed = (collection: string) =>
    kube.list(collection).then(
      () => true,
      () => false,
    );
  const collections = [...Object.values(PATHS), exportsPath];
  for (const deadline = Date.now() + 30_000; ; await delay(50)) {
    if ((await Promise.all(collections.map(isServed))).every(Boolean)) return;
    if (Date.now() > deadline) throw new Error('The kinds of KubeVirt are not served');
  }
}

/** Refuses every export, in the words of the webhook that does so where the feature gate is off. */
export async function refuseExports(kube: Kube): Promise<void> {
  const path = '/apis/admissionregistration.k8s.io/v1';
  const metadata = { name: 'vm-export-gate' };
  await kube.create(`${path}/validatingadmissionpolicies`, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata,
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [
          {
            apiGroups: ['export.kubevirt.io'],
            apiVersions: ['*'],
            operations: ['CREATE'],
            resources: ['virtualmachineexports'],
          },
        ],
      },
      validations: [{ expression: 'false', message: 'vm export feature gate not enabled' }],
    },
  });
  await kube.create(`${path}/validatingadmissionpolicybindings`, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata,
    spec: { policyName: metadata.name, validationActions: ['Deny'] },
  });
}

/** The certificate of a cluster's administrator. */
export function administratorOf({ access, context }: TestCluster): { ca: string; cert: string; key: string } {
  const user = access.contexts.find(({ name }) => name === context)?.user ?? {};
  const decode = (name: string) => Buffer.from(user[name] ?? '', 'base64').toString('utf8');
  return { ca: access.ca, cert: decode('client-certificate-data'), key: decode('client-key-data') };
}
