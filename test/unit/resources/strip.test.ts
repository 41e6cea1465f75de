import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { STRIPPED } from '../../../src/resources/rule-table.ts';
import type { StripContext } from '../../../src/resources/rules.ts';
import { stripObject } from '../../../src/resources/strip.ts';

const nothing: StripContext = { keepStatus: () => false, hasVolume: () => false };
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

interface Example {
  /** The `why` of the rule. */
  readonly rule: string;
  readonly does: string;
  readonly given: KubeObject;
  readonly left: KubeObject;
  readonly context?: Partial<StripContext>;
}

function object(
  apiVersion: string,
  kind: string,
  metadata: Record<string, unknown>,
  rest: Record<string, unknown> = {},
) {
  return { apiVersion, kind, metadata: { name: 'a', namespace: 'shop', ...metadata }, ...rest };
}

/** One object, with and without the same part. */
function withAndWithout(
  apiVersion: string,
  kind: string,
  given: Record<string, unknown>,
  left: Record<string, unknown> = {},
): Pick<Example, 'given' | 'left'> {
  return { given: object(apiVersion, kind, given), left: object(apiVersion, kind, left) };
}

/** One object with and without the same part outside of its metadata. */
function body(
  apiVersion: string,
  kind: string,
  given: Record<string, unknown>,
  left: Record<string, unknown>,
): Pick<Example, 'given' | 'left'> {
  return { given: object(apiVersion, kind, {}, given), left: object(apiVersion, kind, {}, left) };
}

const claimNotes = {
  'pv.kubernetes.io/bind-completed': 'yes',
  'pv.kubernetes.io/bound-by-controller': 'yes',
  'pv.kubernetes.io/migrated-to': 'ebs.csi.aws.com',
  'volume.kubernetes.io/storage-provisioner': 'ebs.csi.aws.com',
  'volume.beta.kubernetes.io/storage-provisioner': 'ebs.csi.aws.com',
  'volume.kubernetes.io/storage-resizer': 'kubernetes.io/aws-ebs',
  'volume.kubernetes.io/selected-node': 'worker-1',
};
const uidLabels = {
  'batch.kubernetes.io/controller-uid': '7d1c',
  'controller-uid': '7d1c',
  'batch.kubernetes.io/job-name': 'migrate',
  'job-name': 'migrate',
};

const examples: Example[] = [
  {
    rule: 'is about this very object on this server',
    does: 'drops uid, resourceVersion, generation and selfLink',
    ...withAndWithout(
      'v1',
      'ConfigMap',
      { uid: '7d1c', resourceVersion: '4711', generation: 3, selfLink: '/api/v1/…', labels: { app: 'web' } },
      { labels: { app: 'web' } },
    ),
  },
  {
    rule: 'tells when it came or went',
    does: 'drops the timestamps and the deletion grace period',
    ...withAndWithout('v1', 'ConfigMap', {
      creationTimestamp: '2026-08-01T09:30:00Z',
      deletionTimestamp: '2026-08-02T09:30:00Z',
      deletionGracePeriodSeconds: 30,
    }),
  },
  {
    rule: 'tells who wrote which field here',
    does: 'drops managed fields',
    ...withAndWithout('v1', 'ConfigMap', { managedFields: [{ manager: 'kubectl', operation: 'Apply' }] }),
  },
  {
    rule: 'has led to a name already',
    does: 'drops generateName',
    ...withAndWithout('v1', 'ConfigMap', { generateName: 'a-' }),
  },
  {
    rule: 'is another one when the owner is created anew',
    does: 'keeps owner references without their uid',
    ...withAndWithout(
      'v1',
      'Secret',
      { ownerReferences: [{ apiVersion: 'example.com/v1', kind: 'Widget', name: 'w', uid: '99', controller: true }] },
      { ownerReferences: [{ apiVersion: 'example.com/v1', kind: 'Widget', name: 'w', controller: true }] },
    ),
  },
  {
    rule: 'is what controllers find in this cluster',
    does: 'drops the status',
    ...body('example.com/v1', 'Widget', { spec: { size: 1 }, status: { ready: true } }, { spec: { size: 1 } }),
  },
  {
    rule: 'is what controllers find in this cluster',
    does: 'keeps the status of a kind that was asked for',
    ...body('example.com/v1', 'Widget', { status: { ready: true } }, { status: { ready: true } }),
    context: { keepStatus: (kind, group) => kind === 'Widget' && group === 'example.com' },
  },
  {
    rule: 'is an empty field that servers before 1.34 print',
    does: 'drops creationTimestamp null from a Pod template',
    ...body(
      'apps/v1',
      'Deployment',
      { spec: { template: { metadata: { creationTimestamp: null, labels: { app: 'web' } } } } },
      { spec: { template: { metadata: { labels: { app: 'web' } } } } },
    ),
  },
  {
    rule: 'is an empty field that servers before 1.34 print',
    does: 'drops creationTimestamp null from both templates of a CronJob',
    ...body(
      'batch/v1',
      'CronJob',
      {
        spec: {
          jobTemplate: {
            metadata: { creationTimestamp: null },
            spec: { template: { metadata: { creationTimestamp: null } } },
          },
        },
      },
      { spec: { jobTemplate: { metadata: {}, spec: { template: { metadata: {} } } } } },
    ),
  },
  {
    rule: 'is an empty field that servers before 1.34 print',
    does: 'drops creationTimestamp null from claim templates, a PodTemplate and a ResourceClaimTemplate',
    ...body(
      'v1',
      'PodTemplate',
      {
        template: { metadata: { creationTimestamp: null } },
        spec: {
          metadata: { creationTimestamp: null },
          volumeClaimTemplates: [{ metadata: { name: 'data', creationTimestamp: null } }],
        },
      },
      { template: { metadata: {} }, spec: { metadata: {}, volumeClaimTemplates: [{ metadata: { name: 'data' } }] } },
    ),
  },
  {
    rule: 'repeats the object for kubectl apply',
    does: 'drops the last applied configuration, and annotations with the last of them',
    ...withAndWithout('v1', 'ConfigMap', { annotations: { [LAST_APPLIED]: '{}' } }),
  },
  {
    rule: 'names a leader of this cluster',
    does: 'drops the annotation of a leader election and keeps others',
    ...withAndWithout(
      'v1',
      'ConfigMap',
      { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}', team: 'a' } },
      { annotations: { team: 'a' } },
    ),
  },
  {
    rule: 'is about a deletion',
    does: 'drops the finalizers of the garbage collector and keeps those of others',
    ...withAndWithout(
      'example.com/v1',
      'Widget',
      { finalizers: ['foregroundDeletion', 'example.com/hold', 'orphan'] },
      { finalizers: ['example.com/hold'] },
    ),
  },
  {
    rule: 'names the environment it was imported for',
    does: 'drops the label, and keeps others',
    ...withAndWithout(
      'apps/v1',
      'Deployment',
      { labels: { 'transship.dev/environment': 'pr-7', app: 'web' } },
      { labels: { app: 'web' } },
    ),
  },
  {
    rule: 'is given to every namespace',
    does: 'drops the finalizers of a Namespace, with the spec that held nothing else',
    ...body('v1', 'Namespace', { spec: { finalizers: ['kubernetes'] } }, {}),
  },
  {
    rule: 'was chosen by the API server',
    does: 'drops the cluster addresses that a Service was given',
    ...body('v1', 'Service', { spec: { clusterIP: '10.96.3.7', clusterIPs: ['10.96.3.7'] } }, { spec: {} }),
  },
  {
    rule: 'waits for a load balancer of this cluster',
    does: 'drops the finalizer for the cleanup of a load balancer',
    ...withAndWithout('v1', 'Service', { finalizers: ['service.kubernetes.io/load-balancer-cleanup'] }),
  },
  {
    rule: 'is a note of the endpoints controller',
    does: 'drops what the controller noted on Endpoints',
    ...withAndWithout('v1', 'Endpoints', {
      annotations: {
        'endpoints.kubernetes.io/last-change-trigger-time': '2026-08-01T09:30:00Z',
        'endpoints.kubernetes.io/over-capacity': 'truncated',
      },
    }),
  },
  {
    rule: 'is a note of the endpoint slice controller',
    does: 'drops what the controller noted on an EndpointSlice and keeps its addresses',
    given: object(
      'discovery.k8s.io/v1',
      'EndpointSlice',
      { annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': '2026-08-01T09:30:00Z' } },
      { endpoints: [{ addresses: ['192.0.2.7'], nodeName: 'n', targetRef: { kind: 'Pod', name: 'p' } }] },
    ),
    left: object(
      'discovery.k8s.io/v1',
      'EndpointSlice',
      {},
      { endpoints: [{ addresses: ['192.0.2.7'], nodeName: 'n', targetRef: { kind: 'Pod', name: 'p' } }] },
    ),
  },
  {
    rule: 'protects a range in use',
    does: 'drops the finalizer of a ServiceCIDR',
    ...withAndWithout('networking.k8s.io/v1', 'ServiceCIDR', {
      finalizers: ['networking.k8s.io/service-cidr-finalizer'],
    }),
  },
  {
    rule: 'refers to Secrets that are made anew',
    does: 'drops a service account’s references to its own tokens and logins, and keeps the others',
    given: object(
      'v1',
      'ServiceAccount',
      {
        name: 'builder',
        annotations: { 'openshift.io/internal-registry-pull-secret-ref': 'builder-dockercfg-x7k2p' },
      },
      {
        secrets: [{ name: 'builder-token-bcd45' }, { name: 'builder-dockercfg-x7k2p' }],
        imagePullSecrets: [{ name: 'builder-dockercfg-x7k2p' }, { name: 'registry' }, { name: 'builder-token-manual' }],
      },
    ),
    left: object(
      'v1',
      'ServiceAccount',
      { name: 'builder' },
      { imagePullSecrets: [{ name: 'registry' }, { name: 'builder-token-manual' }] },
    ),
  },
  {
    rule: 'is filled in by the token controller',
    does: 'drops token, authority, namespace and uid of a token Secret made by hand',
    given: object(
      'v1',
      'Secret',
      {
        annotations: {
          'kubernetes.io/service-account.name': 'builder',
          'kubernetes.io/service-account.uid': '7d1c',
        },
        labels: { 'kubernetes.io/legacy-token-last-used': '2026-08-01' },
      },
      {
        type: 'kubernetes.io/service-account-token',
        data: { token: 'ZXk=', 'ca.crt': 'LS0=', namespace: 'c2hvcA==', mine: 'eA==' },
      },
    ),
    left: object(
      'v1',
      'Secret',
      { annotations: { 'kubernetes.io/service-account.name': 'builder' } },
      { type: 'kubernetes.io/service-account-token', data: { mine: 'eA==' } },
    ),
  },
  {
    rule: 'is filled in by the token controller',
    does: 'leaves every other Secret byte for byte',
    ...body(
      'v1',
      'Secret',
      { type: 'Opaque', immutable: true, data: { token: 'ZXk=', 'ca.crt': 'LS0=', empty: '' } },
      { type: 'Opaque', immutable: true, data: { token: 'ZXk=', 'ca.crt': 'LS0=', empty: '' } },
    ),
  },
  {
    rule: 'names a volume that does not travel',
    does: 'drops the volume of a claim and keeps volumeMode and what it is filled from',
    ...body(
      'v1',
      'PersistentVolumeClaim',
      { spec: { volumeName: 'pvc-7d1c', volumeMode: 'Block', dataSourceRef: { kind: 'VolumeSnapshot', name: 's' } } },
      { spec: { volumeMode: 'Block', dataSourceRef: { kind: 'VolumeSnapshot', name: 's' } } },
    ),
  },
  {
    rule: 'names a volume that does not travel',
    does: 'keeps the volume of a claim where it travels too',
    ...body('v1', 'PersistentVolumeClaim', { spec: { volumeName: 'nfs-1' } }, { spec: { volumeName: 'nfs-1' } }),
    context: { hasVolume: (name) => name === 'nfs-1' },
  },
  {
    rule: 'tells how the claim was bound',
    does: 'drops the annotations of a claim’s binding',
    ...withAndWithout('v1', 'PersistentVolumeClaim', { annotations: claimNotes }),
  },
  {
    rule: 'protects a claim in use',
    does: 'drops the finalizers that protect a claim',
    ...withAndWithout('v1', 'PersistentVolumeClaim', {
      finalizers: [
        'kubernetes.io/pvc-protection',
        'provisioner.storage.kubernetes.io/cloning-protection',
        'snapshot.storage.kubernetes.io/pvc-as-source-protection',
      ],
    }),
  },
  {
    rule: 'means a claim that is created anew',
    does: 'keeps the claim of a volume by its name only',
    ...body(
      'v1',
      'PersistentVolume',
      { spec: { claimRef: { kind: 'PersistentVolumeClaim', name: 'data', uid: '7d1c', resourceVersion: '12' } } },
      { spec: { claimRef: { kind: 'PersistentVolumeClaim', name: 'data' } } },
    ),
  },
  {
    rule: 'tells how the volume was bound',
    does: 'drops the annotations of a volume’s binding and keeps who provisioned it',
    ...withAndWithout(
      'v1',
      'PersistentVolume',
      {
        annotations: {
          'pv.kubernetes.io/bound-by-controller': 'yes',
          'pv.kubernetes.io/migrated-to': 'ebs.csi.aws.com',
          'pv.kubernetes.io/provisioned-by': 'ebs.csi.aws.com',
        },
      },
      { annotations: { 'pv.kubernetes.io/provisioned-by': 'ebs.csi.aws.com' } },
    ),
  },
  {
    rule: 'protects a volume in use',
    does: 'drops the finalizers of controllers that hold a volume',
    ...withAndWithout(
      'v1',
      'PersistentVolume',
      {
        finalizers: [
          'kubernetes.io/pv-protection',
          'kubernetes.io/pv-controller',
          'external-provisioner.volume.kubernetes.io/finalizer',
          'external-attacher/ebs-csi-aws-com',
          'example.com/hold',
        ],
      },
      { finalizers: ['example.com/hold'] },
    ),
  },
  {
    rule: 'means a snapshot that is created anew',
    does: 'keeps the snapshot of a content entered by hand by its name only',
    ...body(
      'snapshot.storage.k8s.io/v1',
      'VolumeSnapshotContent',
      { spec: { volumeSnapshotRef: { name: 'golden', namespace: 'shop', uid: '7d1c', resourceVersion: '9' } } },
      { spec: { volumeSnapshotRef: { name: 'golden', namespace: 'shop' } } },
    ),
  },
  {
    rule: 'protects a snapshot in use',
    does: 'drops the finalizers of the snapshot controller',
    ...withAndWithout('snapshot.storage.k8s.io/v1', 'VolumeSnapshot', {
      finalizers: [
        'snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection',
        'snapshot.storage.kubernetes.io/volumesnapshot-bound-protection',
      ],
    }),
  },
  {
    rule: 'protects a class in use',
    does: 'drops the finalizer of a VolumeAttributesClass',
    ...withAndWithout('storage.k8s.io/v1', 'VolumeAttributesClass', { finalizers: ['kubernetes.io/vac-protection'] }),
  },
  {
    rule: 'protects devices in use',
    does: 'drops the finalizer of a ResourceClaim',
    ...withAndWithout('resource.k8s.io/v1', 'ResourceClaim', {
      finalizers: ['resource.kubernetes.io/delete-protection'],
    }),
  },
  {
    rule: 'is put in by admission',
    does: 'drops what follows from a Pod’s classes, and the note of the limit ranger',
    given: object(
      'v1',
      'Pod',
      { annotations: { 'kubernetes.io/limit-ranger': 'LimitRanger plugin set: cpu request for container web' } },
      {
        spec: {
          priorityClassName: 'batch',
          priority: 1000,
          preemptionPolicy: 'Never',
          runtimeClassName: 'kata',
          overhead: { cpu: '250m' },
        },
      },
    ),
    left: object('v1', 'Pod', {}, { spec: { priorityClassName: 'batch', runtimeClassName: 'kata' } }),
  },
  {
    rule: 'repeats the name of its service account',
    does: 'drops the old name of serviceAccountName',
    ...body(
      'v1',
      'Pod',
      { spec: { serviceAccountName: 'web', serviceAccount: 'web' } },
      { spec: { serviceAccountName: 'web' } },
    ),
  },
  {
    rule: 'can only be added to a running Pod',
    does: 'drops ephemeral containers',
    ...body('v1', 'Pod', { spec: { ephemeralContainers: [{ name: 'debugger-x2' }] } }, { spec: {} }),
  },
  {
    rule: 'tells on which node it runs',
    does: 'drops the node of a Pod and the labels copied from it, and keeps what it asks of nodes',
    given: object(
      'v1',
      'Pod',
      { labels: { app: 'tool', 'topology.kubernetes.io/zone': 'a', 'topology.kubernetes.io/region': 'eu' } },
      { spec: { nodeName: 'worker-1', nodeSelector: { disk: 'ssd' } } },
    ),
    left: object('v1', 'Pod', { labels: { app: 'tool' } }, { spec: { nodeSelector: { disk: 'ssd' } } }),
  },
  {
    rule: 'tells what address a network plugin gave it',
    does: 'drops the notes of network plugins and keeps the networks that were asked for',
    ...withAndWithout(
      'v1',
      'Pod',
      {
        annotations: {
          'cni.projectcalico.org/containerID': '0a',
          'cni.projectcalico.org/podIP': '10.0.0.7/32',
          'cni.projectcalico.org/podIPs': '10.0.0.7/32',
          'k8s.ovn.org/pod-networks': '{}',
          'k8s.v1.cni.cncf.io/network-status': '[]',
          'k8s.v1.cni.cncf.io/networks-status': '[]',
          'k8s.v1.cni.cncf.io/networks': 'storage-net',
        },
      },
      { annotations: { 'k8s.v1.cni.cncf.io/networks': 'storage-net' } },
    ),
  },
  {
    rule: 'lets a Job count it',
    does: 'drops the finalizer of a Job that a Pod has outlived',
    ...withAndWithout('v1', 'Pod', { finalizers: ['batch.kubernetes.io/job-tracking'] }),
  },
  {
    rule: 'is made of its uid and its name',
    does: 'drops the selector and labels that the server gave a Job',
    given: object(
      'batch/v1',
      'Job',
      { labels: { app: 'shop', ...uidLabels } },
      {
        spec: {
          manualSelector: false,
          selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': '7d1c' } },
          template: { metadata: { labels: { app: 'shop', ...uidLabels } } },
        },
      },
    ),
    left: object(
      'batch/v1',
      'Job',
      { labels: { app: 'shop' } },
      { spec: { manualSelector: false, template: { metadata: { labels: { app: 'shop' } } } } },
    ),
  },
  {
    rule: 'is made of its uid and its name',
    does: 'drops labels altogether where a Job had none of its own',
    given: object(
      'batch/v1',
      'Job',
      { labels: { ...uidLabels } },
      {
        spec: { selector: {}, template: { metadata: { labels: { ...uidLabels } }, spec: { restartPolicy: 'Never' } } },
      },
    ),
    left: object('batch/v1', 'Job', {}, { spec: { template: { metadata: {}, spec: { restartPolicy: 'Never' } } } }),
  },
  {
    rule: 'is made of its uid and its name',
    does: 'keeps a label of the Job itself that only looks like one of the server',
    given: object('batch/v1', 'Job', { labels: { 'job-name': 'nightly' } }, { spec: { selector: {} } }),
    left: object('batch/v1', 'Job', { labels: { 'job-name': 'nightly' } }, { spec: {} }),
  },
  {
    rule: 'is made of its uid and its name',
    does: 'keeps a selector that was made by hand',
    ...body(
      'batch/v1',
      'Job',
      {
        spec: {
          manualSelector: true,
          selector: { matchLabels: { run: '1' } },
          template: { metadata: { labels: { run: '1' } } },
        },
      },
      {
        spec: {
          manualSelector: true,
          selector: { matchLabels: { run: '1' } },
          template: { metadata: { labels: { run: '1' } } },
        },
      },
    ),
  },
  {
    rule: 'tells how its Pods are counted',
    does: 'drops the annotation of Kubernetes before 1.27',
    ...withAndWithout('batch/v1', 'Job', { annotations: { 'batch.kubernetes.io/job-tracking': '' } }),
  },
  {
    rule: 'counts rollouts',
    does: 'drops the revision of a Deployment and keeps the cause of the change',
    ...withAndWithout(
      'apps/v1',
      'Deployment',
      { annotations: { 'deployment.kubernetes.io/revision': '4', 'kubernetes.io/change-cause': 'v2' } },
      { annotations: { 'kubernetes.io/change-cause': 'v2' } },
    ),
  },
  {
    rule: 'counts rollouts',
    does: 'drops what a Deployment that is gone wrote on a ReplicaSet',
    ...withAndWithout('apps/v1', 'ReplicaSet', {
      annotations: {
        'deployment.kubernetes.io/desired-replicas': '2',
        'deployment.kubernetes.io/max-replicas': '3',
        'deployment.kubernetes.io/revision': '4',
      },
    }),
  },
  {
    rule: 'counts templates',
    does: 'drops the generation of a DaemonSet’s template',
    ...withAndWithout('apps/v1', 'DaemonSet', { annotations: { 'deprecated.daemonset.template.generation': '5' } }),
  },
  {
    rule: 'is a default of a field without use',
    does: 'drops the status of a StatefulSet’s claim templates',
    ...body(
      'apps/v1',
      'StatefulSet',
      { spec: { volumeClaimTemplates: [{ metadata: { name: 'data' }, status: { phase: 'Pending' } }] } },
      { spec: { volumeClaimTemplates: [{ metadata: { name: 'data' } }] } },
    ),
  },
  {
    rule: 'is status in older versions of the API',
    does: 'drops what an autoscaler measured and keeps what it is to measure',
    ...withAndWithout(
      'autoscaling/v1',
      'HorizontalPodAutoscaler',
      {
        annotations: {
          'autoscaling.alpha.kubernetes.io/conditions': '[]',
          'autoscaling.alpha.kubernetes.io/current-metrics': '[]',
          'autoscaling.alpha.kubernetes.io/metrics': '[]',
        },
      },
      { annotations: { 'autoscaling.alpha.kubernetes.io/metrics': '[]' } },
    ),
  },
  {
    rule: 'is gathered from other ClusterRoles',
    does: 'drops the rules of an aggregated ClusterRole',
    ...body(
      'rbac.authorization.k8s.io/v1',
      'ClusterRole',
      { aggregationRule: { clusterRoleSelectors: [{}] }, rules: [{ verbs: ['get'] }] },
      { aggregationRule: { clusterRoleSelectors: [{}] } },
    ),
  },
  {
    rule: 'is gathered from other ClusterRoles',
    does: 'keeps the rules of every other ClusterRole',
    ...body(
      'rbac.authorization.k8s.io/v1',
      'ClusterRole',
      { rules: [{ verbs: ['get'] }] },
      { rules: [{ verbs: ['get'] }] },
    ),
  },
];

describe('stripObject', () => {
  it.each(examples.map((example) => [example.given.kind, example.does, example] as const))(
    '%s: %s',
    (_kind, _does, { given, left, context }) => {
      expect(stripObject(structuredClone(given), { ...nothing, ...context })).toStrictEqual(left);
    },
  );

  it('has an example here of every rule', () => {
    const shown = new Set(examples.map(({ rule }) => rule));
    expect(STRIPPED.map(({ why }) => why).filter((why) => !shown.has(why))).toEqual([]);
  });

  it('changes the object it was given, without copying it', () => {
    const given = object('v1', 'ConfigMap', { uid: '7d1c' }, { data: { a: '1' } });
    expect(stripObject(given, nothing)).toBe(given);
  });

  it('leaves empty maps, lists and texts that mean something', () => {
    const machine = object(
      'kubevirt.io/v1',
      'VirtualMachine',
      { labels: { '': '' } },
      {
        spec: {
          template: {
            spec: { domain: { devices: { interfaces: [{ name: 'default', masquerade: {} }] } } },
          },
          volumes: [{ name: 'scratch', emptyDir: {} }],
          networks: [{ name: 'default', pod: {} }],
          args: [],
          hostname: '',
          runStrategy: null,
        },
      },
    );
    expect(stripObject(structuredClone(machine), nothing)).toStrictEqual(machine);
  });

  it('leaves what its rules are about where another kind or group has it', () => {
    const widget = object(
      'example.com/v1',
      'Service',
      { finalizers: ['kubernetes.io/pvc-protection'], annotations: { 'deployment.kubernetes.io/revision': '1' } },
      { spec: { clusterIP: '10.0.0.1', nodeName: 'n', claimRef: { uid: 'x' }, finalizers: ['kubernetes'] } },
    );
    expect(stripObject(structuredClone(widget), nothing)).toStrictEqual(widget);
  });

  it('passes objects whose fields are not what they should be', () => {
    const odd = object('v1', 'Pod', { finalizers: 'none', annotations: null }, { spec: [] });
    expect(stripObject(structuredClone(odd), nothing)).toStrictEqual(odd);
  });
});
