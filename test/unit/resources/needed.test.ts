import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { createNeeds, isNeeded, noteNeeds, pickNeeded } from '../../../src/resources/needed.ts';

const RBAC = 'rbac.authorization.k8s.io/v1';
const STORAGE = 'storage.k8s.io/v1';
const SNAPSHOT = 'snapshot.storage.k8s.io/v1';
const ADMISSION = 'admissionregistration.k8s.io/v1';

function object(id: string, rest: Record<string, unknown> = {}): KubeObject {
  const [apiVersion = '', kind = '', name = ''] = id.split(' ');
  const { metadata, ...fields } = rest;
  return { apiVersion, kind, metadata: { name, ...(typeof metadata === 'object' ? metadata : {}) }, ...fields };
}

/** Whether a cluster-scoped object is needed by an object of the chosen namespace `shop`. */
function isNeededBy(user: KubeObject, asked: KubeObject): boolean {
  const needs = createNeeds();
  noteNeeds(needs, user);
  return isNeeded(needs, asked, isShop);
}
const isShop = (namespace: string) => namespace === 'shop';

describe('the pods of every workload need their classes', () => {
  const spec = {
    priorityClassName: 'gold',
    runtimeClassName: 'gold',
    volumes: [
      { name: 'tmp', emptyDir: {} },
      {
        name: 'scratch',
        ephemeral: {
          volumeClaimTemplate: { spec: { storageClassName: 'gold', volumeAttributesClassName: 'gold' } },
        },
      },
    ],
  };
  const classes = [
    'scheduling.k8s.io/v1 PriorityClass gold',
    'node.k8s.io/v1 RuntimeClass gold',
    `${STORAGE} StorageClass gold`,
    `${STORAGE} VolumeAttributesClass gold`,
  ];

  test.each([
    ['v1 Pod', { spec }],
    ['v1 PodTemplate', { template: { spec } }],
    ['v1 ReplicationController', { spec: { template: { spec } } }],
    ['apps/v1 Deployment', { spec: { template: { spec } } }],
    ['apps/v1 StatefulSet', { spec: { template: { spec } } }],
    ['apps/v1 DaemonSet', { spec: { template: { spec } } }],
    ['apps/v1 ReplicaSet', { spec: { template: { spec } } }],
    ['batch/v1 Job', { spec: { template: { spec } } }],
    ['batch/v1 CronJob', { spec: { jobTemplate: { spec: { template: { spec } } } } }],
  ])('%s', (id, fields) => {
    const workload = object(`${id} web`, fields);
    expect(classes.map((asked) => isNeededBy(workload, object(asked)))).toEqual([true, true, true, true]);
    expect(classes.map((asked) => isNeededBy(workload, object(`${asked}en`)))).toEqual([false, false, false, false]);
  });
});

describe('an object needs what it names', () => {
  test.each([
    [
      'a claim its StorageClass',
      object('v1 PersistentVolumeClaim data', { spec: { storageClassName: 'fast' } }),
      `${STORAGE} StorageClass fast`,
    ],
    [
      'a claim of old its StorageClass',
      object('v1 PersistentVolumeClaim data', {
        metadata: { annotations: { 'volume.beta.kubernetes.io/storage-class': 'fast' } },
      }),
      `${STORAGE} StorageClass fast`,
    ],
    [
      'a claim its VolumeAttributesClass',
      object('v1 PersistentVolumeClaim data', { spec: { volumeAttributesClassName: 'silver' } }),
      `${STORAGE} VolumeAttributesClass silver`,
    ],
    [
      'a claim the volume it asks for',
      object('v1 PersistentVolumeClaim data', { spec: { volumeName: 'disk-1' } }),
      'v1 PersistentVolume disk-1',
    ],
    [
      'a StatefulSet the StorageClass of its claims',
      object('apps/v1 StatefulSet db', { spec: { volumeClaimTemplates: [{ spec: { storageClassName: 'fast' } }] } }),
      `${STORAGE} StorageClass fast`,
    ],
    [
      'a volume its StorageClass',
      object('v1 PersistentVolume disk-1', { spec: { storageClassName: 'fast' } }),
      `${STORAGE} StorageClass fast`,
    ],
    [
      'a snapshot its class',
      object(`${SNAPSHOT} VolumeSnapshot s`, { spec: { volumeSnapshotClassName: 'snap' } }),
      `${SNAPSHOT} VolumeSnapshotClass snap`,
    ],
    [
      'an Ingress its class',
      object('networking.k8s.io/v1 Ingress web', { spec: { ingressClassName: 'nginx' } }),
      'networking.k8s.io/v1 IngressClass nginx',
    ],
    [
      'an Ingress of old its class',
      object('networking.k8s.io/v1 Ingress web', {
        metadata: { annotations: { 'kubernetes.io/ingress.class': 'nginx' } },
      }),
      'networking.k8s.io/v1 IngressClass nginx',
    ],
    [
      'an Ingress the issuer of its certificate',
      object('networking.k8s.io/v1 Ingress web', {
        metadata: { annotations: { 'cert-manager.io/cluster-issuer': 'acme' } },
      }),
      'cert-manager.io/v1 ClusterIssuer acme',
    ],
    [
      'a Gateway its class',
      object('gateway.networking.k8s.io/v1 Gateway edge', { spec: { gatewayClassName: 'envoy' } }),
      'gateway.networking.k8s.io/v1 GatewayClass envoy',
    ],
    [
      'a claim of devices their class',
      object('resource.k8s.io/v1 ResourceClaimTemplate gpu', {
        spec: { spec: { devices: { requests: [{ name: 'a', exactly: { deviceClassName: 'gpu' } }] } } },
      }),
      'resource.k8s.io/v1 DeviceClass gpu',
    ],
    [
      'a claim of devices the class of an alternative',
      object('resource.k8s.io/v1 ResourceClaim gpu', {
        spec: { devices: { requests: [{ name: 'a', firstAvailable: [{ name: 'b', deviceClassName: 'gpu' }] }] } },
      }),
      'resource.k8s.io/v1 DeviceClass gpu',
    ],
    [
      "an operator's object the StorageClass of the claims it makes",
      object('postgresql.cnpg.io/v1 Cluster db', { spec: { storage: { storageClass: 'fast' } } }),
      `${STORAGE} StorageClass fast`,
    ],
  ])('%s', (_, user, asked) => {
    expect(isNeededBy(user, object(asked))).toBe(true);
    expect(isNeededBy(user, object(`${asked}-other`))).toBe(false);
  });

  test('an empty class is none', () => {
    const claim = object('v1 PersistentVolumeClaim data', { spec: { storageClassName: '' } });
    const needs = createNeeds();
    noteNeeds(needs, claim);
    expect(needs.keys.size).toBe(0);
  });
});

describe('a custom resource needs what it refers to', () => {
  test.each([
    [
      'its issuer',
      object('cert-manager.io/v1 Certificate web', { spec: { issuerRef: { kind: 'ClusterIssuer', name: 'acme' } } }),
      'cert-manager.io/v1 ClusterIssuer acme',
    ],
    [
      'with the group given',
      object('cert-manager.io/v1 Certificate web', {
        spec: { issuerRef: { group: 'awspca.cert-manager.io', kind: 'AWSPCAClusterIssuer', name: 'acme' } },
      }),
      'awspca.cert-manager.io/v1beta1 AWSPCAClusterIssuer acme',
    ],
    [
      'one of a list',
      object('external-secrets.io/v1alpha1 PushSecret s', {
        spec: { secretStoreRefs: [{ kind: 'ClusterSecretStore', name: 'vault' }] },
      }),
      'external-secrets.io/v1 ClusterSecretStore vault',
    ],
    [
      'deep within, with an apiVersion',
      object('external-secrets.io/v1 ExternalSecret s', {
        spec: {
          dataFrom: [
            {
              sourceRef: {
                generatorRef: {
                  apiVersion: 'generators.external-secrets.io/v1alpha1',
                  kind: 'ClusterGenerator',
                  name: 'uuid',
                },
              },
            },
          ],
        },
      }),
      'generators.external-secrets.io/v1alpha1 ClusterGenerator uuid',
    ],
    [
      'its instance type, in a group beside its own',
      object('kubevirt.io/v1 VirtualMachine vm', {
        spec: { instancetype: { kind: 'VirtualMachineClusterInstancetype', name: 'u1.small' } },
      }),
      'instancetype.kubevirt.io/v1beta1 VirtualMachineClusterInstancetype u1.small',
    ],
    [
      'its instance type, cluster-wide where it does not say',
      object('kubevirt.io/v1 VirtualMachine vm', { spec: { instancetype: { name: 'u1.small' } } }),
      'instancetype.kubevirt.io/v1beta1 VirtualMachineClusterInstancetype u1.small',
    ],
    [
      'its preference',
      object('kubevirt.io/v1 VirtualMachine vm', { spec: { preference: { name: 'fedora' } } }),
      'instancetype.kubevirt.io/v1beta1 VirtualMachineClusterPreference fedora',
    ],
  ])('%s', (_, user, asked) => {
    expect(isNeededBy(user, object(asked))).toBe(true);
    expect(isNeededBy(user, object(`${asked}-other`))).toBe(false);
  });

  test('not one of the same kind and name in another group than the one given', () => {
    const certificate = object('cert-manager.io/v1 Certificate web', {
      spec: { issuerRef: { group: 'cert-manager.io', kind: 'ClusterIssuer', name: 'acme' } },
    });
    expect(isNeededBy(certificate, object('example.com/v1 ClusterIssuer acme'))).toBe(false);
  });

  test('not what is in a namespace', () => {
    const source = object('example.com/v1 Widget a', {
      spec: { gearRef: { kind: 'Gear', name: 'g', namespace: 'shop' } },
    });
    expect(isNeededBy(source, object('example.com/v1 Gear g'))).toBe(false);
  });

  test('not another namespace, which nobody chose', () => {
    const widget = object('example.com/v1 Widget a', { spec: { homeRef: { kind: 'Namespace', name: 'billing' } } });
    expect(isNeededBy(widget, object('v1 Namespace billing'))).toBe(false);
  });

  test('not what its status or metadata mention', () => {
    const widget = object('example.com/v1 Widget a', {
      metadata: { annotations: { storageClass: 'fast' } },
      status: { storageClass: 'fast' },
    });
    expect(isNeededBy(widget, object(`${STORAGE} StorageClass fast`))).toBe(false);
  });
});

describe('a cluster-scoped object is needed for a chosen namespace', () => {
  test.each([
    ['its Namespace', object('v1 Namespace shop'), object('v1 Namespace billing')],
    [
      'a volume that a claim there is bound to',
      object('v1 PersistentVolume disk', { spec: { claimRef: { namespace: 'shop', name: 'data' } } }),
      object('v1 PersistentVolume disk', { spec: { claimRef: { namespace: 'billing', name: 'data' } } }),
    ],
    [
      'the content of a snapshot there',
      object(`${SNAPSHOT} VolumeSnapshotContent c`, { spec: { volumeSnapshotRef: { namespace: 'shop', name: 's' } } }),
      object(`${SNAPSHOT} VolumeSnapshotContent c`, { spec: { volumeSnapshotRef: { namespace: 'x', name: 's' } } }),
    ],
    [
      'a binding of a ServiceAccount there',
      binding({ kind: 'ServiceAccount', name: 'web', namespace: 'shop' }),
      binding({ kind: 'ServiceAccount', name: 'shop', namespace: 'billing' }),
    ],
    [
      'a binding of all its ServiceAccounts',
      binding({ kind: 'Group', name: 'system:serviceaccounts:shop' }),
      binding({ kind: 'Group', name: 'system:serviceaccounts' }),
    ],
    [
      'a binding of a ServiceAccount there by its user name',
      binding({ kind: 'User', name: 'system:serviceaccount:shop:web' }),
      binding({ kind: 'User', name: 'shop' }),
    ],
    [
      'a mutating webhook that runs there',
      webhooks('MutatingWebhookConfiguration', 'billing', 'shop'),
      webhooks('MutatingWebhookConfiguration', 'billing'),
    ],
    [
      'a validating webhook that runs there',
      webhooks('ValidatingWebhookConfiguration', 'shop'),
      webhooks('ValidatingWebhookConfiguration', undefined),
    ],
    [
      'an API service that runs there',
      object('apiregistration.k8s.io/v1 APIService v1.example.com', { spec: { service: { namespace: 'shop' } } }),
      object('apiregistration.k8s.io/v1 APIService v1.example.com', { spec: { service: null } }),
    ],
  ])('%s', (_, there, elsewhere) => {
    expect(isNeeded(createNeeds(), there, isShop)).toBe(true);
    expect(isNeeded(createNeeds(), elsewhere, isShop)).toBe(false);
  });

  function binding(subject: Record<string, unknown>): KubeObject {
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' };
    return object(`${RBAC} ClusterRoleBinding b`, { subjects: [subject], roleRef });
  }

  function webhooks(kind: string, ...namespaces: readonly (string | undefined)[]): KubeObject {
    const clients = namespaces.map((namespace) =>
      namespace === undefined ? { url: 'https://shop.example.com' } : { service: { namespace, name: 'shop' } },
    );
    return object(`${ADMISSION} ${kind} w`, { webhooks: clients.map((clientConfig) => ({ clientConfig })) });
  }
});

test('what nothing needs stays', () => {
  const others = [
    `${RBAC} ClusterRole reader`,
    `${STORAGE} StorageClass fast`,
    `${ADMISSION} ValidatingAdmissionPolicy p`,
    'example.com/v1 Tenant t',
  ];
  expect(others.map((asked) => isNeeded(createNeeds(), object(asked), () => true))).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

describe('the roles that bindings give', () => {
  const roleBinding = (kind: string, name: string) =>
    object(`${RBAC} RoleBinding b`, { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name } });
  const role = (name: string, labels: Record<string, string> = {}, rest: Record<string, unknown> = {}) =>
    object(`${RBAC} ClusterRole ${name}`, { metadata: { labels }, ...rest });
  const namesOf = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name);

  test('a ClusterRole bound in a namespace is needed', () => {
    expect(isNeededBy(roleBinding('ClusterRole', 'reader'), role('reader'))).toBe(true);
  });

  test('a ClusterRole of the same name as a bound Role is not', () => {
    expect(isNeededBy(roleBinding('Role', 'reader'), role('reader'))).toBe(false);
  });

  test('a ClusterRole is needed for a ClusterRoleBinding that is', () => {
    const binding = object(`${RBAC} ClusterRoleBinding b`, {
      subjects: [{ kind: 'ServiceAccount', name: 'web', namespace: 'shop' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' },
    });
    expect(namesOf(pickNeeded(createNeeds(), [role('reader'), role('writer'), binding], isShop))).toEqual([
      'reader',
      'b',
    ]);
  });

  test.each([
    ['labels', { matchLabels: { part: 'monitor' } }],
    ['In', { matchExpressions: [{ key: 'part', operator: 'In', values: ['monitor'] }] }],
    ['NotIn', { matchExpressions: [{ key: 'part', operator: 'NotIn', values: ['other'] }] }],
    [
      'Exists and NotIn',
      {
        matchExpressions: [
          { key: 'part', operator: 'Exists' },
          { key: 'part', operator: 'NotIn', values: ['other'] },
        ],
      },
    ],
    [
      'DoesNotExist',
      { matchExpressions: [{ key: 'whole', operator: 'DoesNotExist' }], matchLabels: { part: 'monitor' } },
    ],
  ])('the parts of a needed ClusterRole are needed too, by %s', (_, selector) => {
    const needs = createNeeds();
    noteNeeds(needs, roleBinding('ClusterRole', 'monitor'));
    const whole = role(
      'monitor',
      { whole: 'x', part: 'other' },
      { aggregationRule: { clusterRoleSelectors: [selector] } },
    );
    const roles = [role('a-part', { part: 'monitor' }), role('other', { part: 'other' }), whole];
    expect(namesOf(pickNeeded(needs, roles, isShop))).toEqual(['a-part', 'monitor']);
  });

  test('the parts of a ClusterRole that is not needed are not', () => {
    const whole = role('monitor', {}, { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'x' } }] } });
    expect(pickNeeded(createNeeds(), [whole, role('a-part', { part: 'x' })], isShop)).toEqual([]);
  });

  test.each([
    ['admin', ['to-admin', 'to-edit', 'to-view']],
    ['edit', ['to-edit', 'to-view']],
    ['view', ['to-view']],
    ['cluster-admin', []],
  ])('what adds to %s is needed where that is bound, though Kubernetes brings the role itself', (bound, expected) => {
    const needs = createNeeds();
    noteNeeds(needs, roleBinding('ClusterRole', bound));
    const roles = ['admin', 'edit', 'view'].map((to) =>
      role(`to-${to}`, { [`rbac.authorization.k8s.io/aggregate-to-${to}`]: 'true' }),
    );
    expect(namesOf(pickNeeded(needs, roles, isShop))).toEqual(expected);
  });
});

test('what a needed object needs is needed, in whatever order they come', () => {
  const needs = createNeeds();
  noteNeeds(needs, object('networking.k8s.io/v1 Ingress web', { spec: { ingressClassName: 'edge' } }));
  const chain = [
    object(`${STORAGE} StorageClass fast`),
    object('edge.example.com/v1 Cache c', { spec: { storageClassName: 'fast' } }),
    object('edge.example.com/v1 Settings s', { spec: { cacheRef: { kind: 'Cache', name: 'c' } } }),
    object('networking.k8s.io/v1 IngressClass edge', {
      spec: { parameters: { apiGroup: 'edge.example.com', kind: 'Settings', name: 's', scope: 'Cluster' } },
    }),
    object('networking.k8s.io/v1 IngressClass other'),
  ];
  expect(pickNeeded(needs, chain, isShop)).toEqual(chain.slice(0, 4));
});
