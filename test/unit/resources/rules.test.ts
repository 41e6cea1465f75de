import { describe, expect, it, test } from 'vitest';
import type { KubeObject, ObjectMeta, OwnerReference } from '../../../src/cluster/cluster.ts';
import { SKIPPED_KINDS, SKIPPED_OBJECTS } from '../../../src/resources/rule-table.ts';
import {
  appearsByItself,
  isKeptKind,
  isRecreatable,
  isSkippedKind,
  type SkipContext,
  whySkipped,
} from '../../../src/resources/rules.ts';

const alone: SkipContext = { withReleases: false, hasSelectorlessService: () => false };

type Rest = Partial<ObjectMeta> & { fields?: Record<string, unknown> };

function make(apiVersion: string, kind: string, path: string, { fields, ...metadata }: Rest = {}): KubeObject {
  const [name = '', namespace] = path.split('/').reverse();
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid: 'c3f7', ...metadata },
    ...fields,
  };
}

function controller(apiVersion: string, kind: string, name: string): OwnerReference[] {
  return [{ apiVersion, kind, name, uid: 'a1b2', controller: true, blockOwnerDeletion: true }];
}

function finishedBy(type: string): Rest {
  return { fields: { status: { conditions: [{ type, status: 'True' }] } } };
}

describe('isSkippedKind', () => {
  test.each([
    ['', 'Event', 'events', 'records what happened in this cluster'],
    ['events.k8s.io', 'Event', 'events', 'records what happened in this cluster'],
    ['', 'Node', 'nodes', 'is a machine of this cluster'],
    ['karpenter.sh', 'NodeClaim', 'nodeclaims', 'is a machine of this cluster, and would order another one'],
    ['', 'ComponentStatus', 'componentstatuses', 'is worked out when it is read'],
    ['coordination.k8s.io', 'Lease', 'leases', 'says who holds a lock at this moment'],
    ['coordination.k8s.io', 'LeaseCandidate', 'leasecandidates', 'says who holds a lock at this moment'],
    [
      'certificates.k8s.io',
      'CertificateSigningRequest',
      'certificatesigningrequests',
      'asks the authority of this cluster',
    ],
    ['certificates.k8s.io', 'PodCertificateRequest', 'podcertificaterequests', 'asks the authority of this cluster'],
    ['storage.k8s.io', 'CSINode', 'csinodes', 'ties storage to a machine of this cluster'],
    ['storage.k8s.io', 'VolumeAttachment', 'volumeattachments', 'ties storage to a machine of this cluster'],
    ['storage.k8s.io', 'CSIStorageCapacity', 'csistoragecapacities', 'says how much storage is free in this cluster'],
    ['resource.k8s.io', 'ResourceSlice', 'resourceslices', 'is about devices of machines of this cluster'],
    ['resource.k8s.io', 'DeviceTaintRule', 'devicetaintrules', 'is about devices of machines of this cluster'],
    ['networking.k8s.io', 'IPAddress', 'ipaddresses', 'is an address given to a Service of this cluster'],
    ['internal.apiserver.k8s.io', 'StorageVersion', 'storageversions', 'is bookkeeping of the API servers'],
    [
      'storagemigration.k8s.io',
      'StorageVersionMigration',
      'storageversionmigrations',
      'orders to rewrite what this cluster has stored',
    ],
    ['metrics.k8s.io', 'PodMetrics', 'pods', 'is measured when it is read'],
    ['custom.metrics.k8s.io', 'MetricValueList', 'pods/http_requests', 'is measured when it is read'],
    ['external.metrics.k8s.io', 'ExternalMetricValueList', 'queue_length', 'is measured when it is read'],
    ['cilium.io', 'CiliumNode', 'ciliumnodes', 'is state that Cilium keeps for this cluster'],
    ['cilium.io', 'CiliumEndpoint', 'ciliumendpoints', 'is state that Cilium keeps for this cluster'],
    ['crd.projectcalico.org', 'IPAMBlock', 'ipamblocks', 'is an address that Calico gave in this cluster'],
    [
      'crd.projectcalico.org',
      'ClusterInformation',
      'clusterinformations',
      'is state that Calico keeps for this cluster',
    ],
    ['authorization.openshift.io', 'RoleBinding', 'rolebindings', 'is another view of RBAC'],
    ['project.openshift.io', 'Project', 'projects', 'is another view of a Namespace'],
    ['image.openshift.io', 'ImageStreamTag', 'imagestreamtags', 'is another view of an ImageStream'],
    [
      'packages.operators.coreos.com',
      'PackageManifest',
      'packagemanifests',
      'is another view of a catalogue of operators',
    ],
  ])('%s %s (%s): it %s', (group, kind, plural, why) => {
    expect(isSkippedKind({ group, kind, plural })).toBe(why);
  });

  test.each([
    ['', 'ConfigMap', 'configmaps'],
    ['', 'Endpoints', 'endpoints'],
    ['discovery.k8s.io', 'EndpointSlice', 'endpointslices'],
    ['apps', 'Deployment', 'deployments'],
    ['admissionregistration.k8s.io', 'ValidatingAdmissionPolicy', 'validatingadmissionpolicies'],
    ['certificates.k8s.io', 'ClusterTrustBundle', 'clustertrustbundles'],
    ['cilium.io', 'CiliumNetworkPolicy', 'ciliumnetworkpolicies'],
    ['crd.projectcalico.org', 'IPPool', 'ippools'],
    ['image.openshift.io', 'ImageStream', 'imagestreams'],
    ['example.com', 'Node', 'nodes'],
    ['example.com', 'Event', 'events'],
  ])('%s %s (%s) travels', (group, kind, plural) => {
    expect(isSkippedKind({ group, kind, plural })).toBeUndefined();
  });

  it('has no two rules for one kind, of which one would never be asked', () => {
    const named = SKIPPED_KINDS.flatMap(({ group, kinds = ['*'] }) => kinds.map((kind) => `${group}/${kind}`));
    expect(new Set(named).size).toBe(named.length);
  });
});

const deleted = { deletionTimestamp: '2026-08-01T09:30:00Z', finalizers: ['example.com/hold'] };
const nodeOwner = controller('v1', 'Node', 'worker-1');
const pod = { apiVersion: 'v1', kind: 'Pod', name: 'web-0', uid: 'b2' };
const token = 'kubernetes.io/service-account-token';
const account = { annotations: { 'kubernetes.io/service-account.name': 'builder' } };
const leader = { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{"holderIdentity":"a"}' } };
const provisioned = { annotations: { 'pv.kubernetes.io/provisioned-by': 'ebs.csi.aws.com' } };
const managedSlice = (by: string) => ({ labels: { 'endpointslice.kubernetes.io/managed-by': by } });
const helmRecord = { labels: { owner: 'helm', name: 'shop', status: 'deployed', version: '3' } };
const bootstrap = { labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } };
const RBAC = 'rbac.authorization.k8s.io/v1';
const SLICE = ['discovery.k8s.io/v1', 'EndpointSlice'] as const;
const SNAPSHOT = 'snapshot.storage.k8s.io/v1';

/** A sentence, the object, the reason. */
const skipped: [string, KubeObject, string, Partial<SkipContext>?][] = [
  ['an object on its way out', make('v1', 'ConfigMap', 'shop/settings', deleted), 'is being deleted'],
  [
    'a static Pod’s mirror',
    make('v1', 'Pod', 'kube-system/etcd-a', {
      annotations: { 'kubernetes.io/config.mirror': 'f00' },
      ownerReferences: nodeOwner,
    }),
    'mirrors a file on a node',
  ],
  [
    'a Pod of a ReplicaSet',
    make('v1', 'Pod', 'shop/web-1', { ownerReferences: controller('apps/v1', 'ReplicaSet', 'web-7f') }),
    'is made anew by its controller',
  ],
  [
    'a Pod of a custom controller',
    make('v1', 'Pod', 'shop/virt-launcher-a', {
      ownerReferences: controller('kubevirt.io/v1', 'VirtualMachineInstance', 'a'),
    }),
    'is made anew by its controller',
  ],
  [
    'a claim made of a Pod’s own template',
    make('v1', 'PersistentVolumeClaim', 'shop/web-0-scratch', { ownerReferences: controller('v1', 'Pod', 'web-0') }),
    'lives only as long as the Pod or Node that owns it',
  ],
  [
    'a device claim made of a Pod’s own template',
    make('resource.k8s.io/v1', 'ResourceClaim', 'shop/web-0-gpu-x2', {
      ownerReferences: controller('v1', 'Pod', 'web-0'),
    }),
    'lives only as long as the Pod or Node that owns it',
  ],
  [
    'the lock of an operator that leads for life',
    make('v1', 'ConfigMap', 'shop/operator-lock', { ownerReferences: [pod], fields: { data: { leader: 'web-0' } } }),
    'lives only as long as the Pod or Node that owns it',
  ],
  [
    'a Pod that succeeded',
    make('v1', 'Pod', 'shop/once', { fields: { status: { phase: 'Succeeded' } } }),
    'has run to its end',
  ],
  [
    'a Pod that failed',
    make('v1', 'Pod', 'shop/once', { fields: { status: { phase: 'Failed' } } }),
    'has run to its end',
  ],
  [
    'a Job of a CronJob',
    make('batch/v1', 'Job', 'shop/report-29', { ownerReferences: controller('batch/v1', 'CronJob', 'report') }),
    'was started by its CronJob',
  ],
  [
    'a Job that is complete',
    make('batch/v1', 'Job', 'shop/migrate', finishedBy('Complete')),
    'is finished and would run again',
  ],
  [
    'a Job that failed',
    make('batch/v1', 'Job', 'shop/migrate', finishedBy('Failed')),
    'is finished and would run again',
  ],
  [
    'a Job that is about to be complete',
    make('batch/v1', 'Job', 'shop/migrate', finishedBy('SuccessCriteriaMet')),
    'is finished and would run again',
  ],
  [
    'a Job that is about to fail',
    make('batch/v1', 'Job', 'shop/migrate', finishedBy('FailureTarget')),
    'is finished and would run again',
  ],
  [
    'a ReplicaSet of a Deployment',
    make('apps/v1', 'ReplicaSet', 'shop/web-7f', { ownerReferences: controller('apps/v1', 'Deployment', 'web') }),
    'is made anew by its Deployment',
  ],
  [
    'a revision of a StatefulSet',
    make('apps/v1', 'ControllerRevision', 'shop/db-5c', {
      ownerReferences: controller('apps/v1', 'StatefulSet', 'db'),
    }),
    'is made anew by its workload',
  ],
  [
    'a revision of a DaemonSet',
    make('apps/v1', 'ControllerRevision', 'shop/log-5c', {
      ownerReferences: controller('apps/v1', 'DaemonSet', 'log'),
    }),
    'is made anew by its workload',
  ],
  [
    'the running instance of a virtual machine',
    make('kubevirt.io/v1', 'VirtualMachineInstance', 'shop/vm', {
      ownerReferences: controller('kubevirt.io/v1', 'VirtualMachine', 'vm'),
    }),
    'is made anew by its VirtualMachine',
  ],
  ['the Service of the API server', make('v1', 'Service', 'default/kubernetes'), 'is the address of this API server'],
  [
    'the Endpoints of the API server',
    make('v1', 'Endpoints', 'default/kubernetes'),
    'is the address of this API server',
    { hasSelectorlessService: () => true },
  ],
  [
    'the EndpointSlice of the API server',
    make(...SLICE, 'default/kubernetes', { labels: { 'kubernetes.io/service-name': 'kubernetes' } }),
    'is an address of this API server',
  ],
  [
    'an EndpointSlice of a Service with a selector',
    make(...SLICE, 'shop/web-x2', managedSlice('endpointslice-controller.k8s.io')),
    'is kept by an endpoint slice controller',
  ],
  [
    'an EndpointSlice that mirrors Endpoints',
    make(...SLICE, 'shop/db-x2', managedSlice('endpointslicemirroring-controller.k8s.io')),
    'is kept by an endpoint slice controller',
  ],
  [
    'a ConfigMap that is a lock',
    make('v1', 'ConfigMap', 'shop/election', leader),
    'is only a lock that a leader holds',
  ],
  ['Endpoints that are a lock', make('v1', 'Endpoints', 'shop/election', leader), 'is only a lock that a leader holds'],
  [
    'Endpoints of a Service with a selector',
    make('v1', 'Endpoints', 'shop/web', { fields: { subsets: [{ addresses: [{ ip: '10.0.0.7' }] }] } }),
    'follows the selector of its Service',
  ],
  [
    'Endpoints left behind by the selector a Service once had',
    make('v1', 'Endpoints', 'shop/web', { labels: { 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' } }),
    'follows the selector of its Service',
    { hasSelectorlessService: () => true },
  ],
  [
    'the range of Service addresses the API server was started with',
    make('networking.k8s.io/v1', 'ServiceCIDR', 'kubernetes'),
    'is the range this API server was started with',
  ],
  [
    'a Helm record where releases travel',
    make('v1', 'Secret', 'shop/sh.helm.release.v1.shop.v3', {
      ...helmRecord,
      fields: { type: 'helm.sh/release.v1', data: { release: 'SDRz' } },
    }),
    'is a record of a Helm release, which travels as one',
    { withReleases: true },
  ],
  [
    'a Helm record in a ConfigMap where releases travel',
    make('v1', 'ConfigMap', 'shop/sh.helm.release.v1.shop.v3', { ...helmRecord, fields: { data: { release: 'H4s' } } }),
    'is a record of a Helm release, which travels as one',
    { withReleases: true },
  ],
  [
    'the token Secret that every service account had before Kubernetes 1.24',
    make('v1', 'Secret', 'shop/builder-token-x7k2p', { ...account, fields: { type: token } }),
    'is a token the control plane made of its own accord',
  ],
  [
    'the token Secret of a service account with a name so long that it was cut',
    make('v1', 'Secret', `shop/${'a'.repeat(58)}x7k2p`, {
      annotations: { 'kubernetes.io/service-account.name': 'a'.repeat(60) },
      fields: { type: token },
    }),
    'is a token the control plane made of its own accord',
  ],
  [
    'the registry login of a service account on OpenShift',
    make('v1', 'Secret', 'shop/builder-dockercfg-x7k2p', { ...account, fields: { type: 'kubernetes.io/dockercfg' } }),
    'is a login to the registry of this cluster',
  ],
  [
    'the registry login of a service account on OpenShift 4.16',
    make('v1', 'Secret', 'shop/builder-dockercfg-x7k2p', {
      annotations: { 'openshift.io/internal-registry-auth-token.service-account': 'builder' },
      fields: { type: 'kubernetes.io/dockercfg' },
    }),
    'is a login to the registry of this cluster',
  ],
  [
    'a registry login that a service account owns',
    make('v1', 'Secret', 'shop/builder-dockercfg-x7k2p', {
      ownerReferences: [{ apiVersion: 'v1', kind: 'ServiceAccount', name: 'builder', uid: 'd4' }],
      fields: { type: 'kubernetes.io/dockercfg' },
    }),
    'is a login to the registry of this cluster',
  ],
  [
    'a bootstrap token',
    make('v1', 'Secret', 'kube-system/bootstrap-token-07401b', { fields: { type: 'bootstrap.kubernetes.io/token' } }),
    'lets nodes join this cluster',
  ],
  [
    'the authority that every namespace is told',
    make('v1', 'ConfigMap', 'shop/kube-root-ca.crt', { fields: { data: { 'ca.crt': '-----BEGIN' } } }),
    'publishes an authority of this cluster',
  ],
  [
    'the authority of a service mesh',
    make('v1', 'ConfigMap', 'shop/istio-ca-root-cert'),
    'publishes an authority of this cluster',
  ],
  [
    'what the API server tells extension servers',
    make('v1', 'ConfigMap', 'kube-system/extension-apiserver-authentication'),
    'is written by the API server',
  ],
  [
    'the day since when the API server watches for old tokens',
    make('v1', 'ConfigMap', 'kube-system/kube-apiserver-legacy-service-account-token-tracking'),
    'is written by the API server',
  ],
  [
    "an environment's marker",
    make('v1', 'ConfigMap', 'shop/transship-environment-pr-7', { labels: { 'transship.dev/environment': 'pr-7' } }),
    'tells what was imported into this cluster',
  ],
  [
    'how kubeadm set up the cluster',
    make('v1', 'ConfigMap', 'kube-system/kubeadm-config'),
    'tells nodes where this cluster is',
  ],
  [
    'how kube-proxy finds the API server',
    make('v1', 'ConfigMap', 'kube-system/kube-proxy'),
    'tells nodes where this cluster is',
  ],
  [
    'how nodes find the cluster',
    make('v1', 'ConfigMap', 'kube-public/cluster-info'),
    'tells nodes where this cluster is',
  ],
  [
    'a provisioned volume that is deleted with its claim',
    make('v1', 'PersistentVolume', 'pvc-1f', {
      ...provisioned,
      fields: { spec: { persistentVolumeReclaimPolicy: 'Delete' } },
    }),
    'was provisioned for a claim and goes with it',
  ],
  [
    'a VolumeSnapshot of a claim',
    make(SNAPSHOT, 'VolumeSnapshot', 'shop/nightly', {
      fields: { spec: { source: { persistentVolumeClaimName: 'data' } } },
    }),
    'was taken of a disk of this cluster',
  ],
  [
    'the content of a VolumeSnapshot of a claim',
    make(SNAPSHOT, 'VolumeSnapshotContent', 'snapcontent-1f', {
      fields: { spec: { source: { volumeHandle: 'vol-0a' } } },
    }),
    'was taken of a disk of this cluster',
  ],
  [
    'a group snapshot of claims',
    make('groupsnapshot.storage.k8s.io/v1beta1', 'VolumeGroupSnapshot', 'shop/nightly', {
      fields: { spec: { source: { selector: { matchLabels: { app: 'db' } } } } },
    }),
    'was taken of disks of this cluster',
  ],
  [
    'a default ClusterRole',
    make(RBAC, 'ClusterRole', 'cluster-admin', {
      ...bootstrap,
      annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
    }),
    'is one of the defaults that every API server makes',
  ],
  [
    'a default RoleBinding',
    make(RBAC, 'RoleBinding', 'kube-system/system::leader-locking-kube-scheduler', bootstrap),
    'is one of the defaults that every API server makes',
  ],
  [
    'a suggested FlowSchema',
    make('flowcontrol.apiserver.k8s.io/v1', 'FlowSchema', 'service-accounts', {
      annotations: { 'apf.kubernetes.io/autoupdate-spec': 'true' },
    }),
    'is kept up to date by the API server',
  ],
  [
    'a PriorityClass of the system',
    make('scheduling.k8s.io/v1', 'PriorityClass', 'system-node-critical'),
    'is in every cluster',
  ],
  [
    'the APIService of a CRD’s group',
    make('apiregistration.k8s.io/v1', 'APIService', 'v1.example.com', {
      labels: { 'kube-aggregator.kubernetes.io/automanaged': 'true' },
    }),
    'is registered by the API server',
  ],
  [
    'an APIService without a Service',
    make('apiregistration.k8s.io/v1', 'APIService', 'v1.apps', { fields: { spec: { group: 'apps', version: 'v1' } } }),
    'is served by the API server itself',
  ],
  [
    'a trust bundle of the control plane',
    make('certificates.k8s.io/v1beta1', 'ClusterTrustBundle', 'kubernetes.io:kube-apiserver-serving:1f', {
      fields: { spec: { signerName: 'kubernetes.io/kube-apiserver-serving', trustBundle: '-----BEGIN' } },
    }),
    'is an authority of this cluster',
  ],
];

/** A sentence, the object. */
const travelling: [string, KubeObject, Partial<SkipContext>?][] = [
  ['a bare Pod that runs', make('v1', 'Pod', 'shop/tool', { fields: { status: { phase: 'Running' } } })],
  [
    'a Job that runs',
    make('batch/v1', 'Job', 'shop/migrate', {
      fields: { status: { active: 1, conditions: [{ type: 'Complete', status: 'False' }] } },
    }),
  ],
  ['a suspended Job', make('batch/v1', 'Job', 'shop/migrate', finishedBy('Suspended'))],
  [
    'a Job of a custom resource',
    make('batch/v1', 'Job', 'shop/a', { ownerReferences: controller('jobset.x-k8s.io/v1alpha2', 'JobSet', 'a') }),
  ],
  [
    'a claim that its StatefulSet owns',
    make('v1', 'PersistentVolumeClaim', 'shop/data-db-0', {
      ownerReferences: controller('apps/v1', 'StatefulSet', 'db'),
    }),
  ],
  [
    'a ConfigMap that a custom controller hung on a Deployment',
    make('v1', 'ConfigMap', 'shop/web-extra', { ownerReferences: controller('apps/v1', 'Deployment', 'web') }),
  ],
  [
    'a ReplicaSet of an Argo Rollout',
    make('apps/v1', 'ReplicaSet', 'shop/web-7f', {
      ownerReferences: controller('argoproj.io/v1alpha1', 'Rollout', 'web'),
    }),
  ],
  ['a ReplicaSet without an owner', make('apps/v1', 'ReplicaSet', 'shop/old')],
  ['a ControllerRevision of an instance type', make('apps/v1', 'ControllerRevision', 'shop/vm-u1-small')],
  ['a Service named kubernetes elsewhere', make('v1', 'Service', 'shop/kubernetes')],
  [
    'Endpoints of a Service without a selector',
    make('v1', 'Endpoints', 'shop/legacy-db', { fields: { subsets: [{ addresses: [{ ip: '192.0.2.7' }] }] } }),
    { hasSelectorlessService: (namespace, name) => namespace === 'shop' && name === 'legacy-db' },
  ],
  [
    'an EndpointSlice written by hand',
    make(...SLICE, 'shop/legacy-db-1', { labels: { 'kubernetes.io/service-name': 'legacy-db' } }),
  ],
  ['an EndpointSlice of a custom controller', make(...SLICE, 'shop/mesh-1', managedSlice('mesh.example.com'))],
  [
    'a ConfigMap with data that was a lock too',
    make('v1', 'ConfigMap', 'shop/ingress', { ...leader, fields: { data: { a: '1' } } }),
  ],
  ['a further range of Service addresses', make('networking.k8s.io/v1', 'ServiceCIDR', 'more')],
  [
    'a Helm record where no releases travel',
    make('v1', 'Secret', 'shop/sh.helm.release.v1.shop.v3', {
      ...helmRecord,
      fields: { type: 'helm.sh/release.v1', data: { release: 'SDRz' } },
    }),
  ],
  [
    'a ConfigMap of somebody named helm that is no record',
    make('v1', 'ConfigMap', 'shop/notes', { labels: { owner: 'helm' }, fields: { data: { notes: 'x' } } }),
    { withReleases: true },
  ],
  [
    'a token Secret made by hand',
    make('v1', 'Secret', 'shop/builder-token-manual', { ...account, fields: { type: token } }),
  ],
  [
    'a token Secret made by hand with a generated name',
    make('v1', 'Secret', 'shop/builder-token-x7k2p', {
      ...account,
      generateName: 'builder-token-',
      fields: { type: token },
    }),
  ],
  [
    'a registry login made by hand',
    make('v1', 'Secret', 'shop/registry', { fields: { type: 'kubernetes.io/dockercfg' } }),
  ],
  ['a ConfigMap named as one of kubeadm elsewhere', make('v1', 'ConfigMap', 'shop/kube-proxy')],
  [
    'a provisioned volume that is retained',
    make('v1', 'PersistentVolume', 'pvc-1f', {
      ...provisioned,
      fields: { spec: { persistentVolumeReclaimPolicy: 'Retain' } },
    }),
  ],
  [
    'a volume made by hand that is deleted with its claim',
    make('v1', 'PersistentVolume', 'nfs-1', { fields: { spec: { persistentVolumeReclaimPolicy: 'Delete' } } }),
  ],
  [
    'a VolumeSnapshot of content entered by hand',
    make(SNAPSHOT, 'VolumeSnapshot', 'shop/golden', {
      fields: { spec: { source: { volumeSnapshotContentName: 'golden' } } },
    }),
  ],
  ['a VolumeSnapshotClass', make(SNAPSHOT, 'VolumeSnapshotClass', 'csi', { fields: { driver: 'ebs.csi.aws.com' } })],
  [
    'a default ClusterRole that an administrator took over',
    make(RBAC, 'ClusterRole', 'view', {
      ...bootstrap,
      annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' },
    }),
  ],
  ['a ClusterRole of an add-on', make(RBAC, 'ClusterRole', 'system:coredns')],
  [
    'a FlowSchema that an administrator took over',
    make('flowcontrol.apiserver.k8s.io/v1', 'FlowSchema', 'service-accounts', {
      annotations: { 'apf.kubernetes.io/autoupdate-spec': 'false' },
    }),
  ],
  ['a PriorityClass', make('scheduling.k8s.io/v1', 'PriorityClass', 'batch')],
  [
    'the APIService of an extension server',
    make('apiregistration.k8s.io/v1', 'APIService', 'v1beta1.metrics.k8s.io', {
      fields: { spec: { service: { name: 'metrics-server', namespace: 'kube-system' } } },
    }),
  ],
  [
    'a trust bundle of one’s own',
    make('certificates.k8s.io/v1beta1', 'ClusterTrustBundle', 'corporate', {
      fields: { spec: { trustBundle: '-----BEGIN' } },
    }),
  ],
];

describe('whySkipped', () => {
  it.each(skipped)('leaves out %s', (_, object, why, context) => {
    expect(whySkipped(object, { ...alone, ...context })).toBe(why);
  });

  it.each(travelling)('takes along %s', (_, object, context) => {
    expect(whySkipped(object, { ...alone, ...context })).toBeUndefined();
  });

  it('has an example here of every rule', () => {
    const shown = new Set(skipped.map(([, , why]) => why));
    expect(SKIPPED_OBJECTS.map(({ why }) => why).filter((why) => !shown.has(why))).toEqual([]);
  });
});

describe('isKeptKind', () => {
  test.each([
    ['storage.k8s.io', 'StorageClass'],
    ['storage.k8s.io', 'VolumeAttributesClass'],
    ['storage.k8s.io', 'CSIDriver'],
    ['snapshot.storage.k8s.io', 'VolumeSnapshotClass'],
    ['groupsnapshot.storage.k8s.io', 'VolumeGroupSnapshotClass'],
    ['cdi.kubevirt.io', 'StorageProfile'],
    ['instancetype.kubevirt.io', 'VirtualMachineClusterInstancetype'],
    ['instancetype.kubevirt.io', 'VirtualMachineClusterPreference'],
    ['networking.k8s.io', 'IngressClass'],
    ['networking.k8s.io', 'ServiceCIDR'],
    ['gateway.networking.k8s.io', 'GatewayClass'],
    ['scheduling.k8s.io', 'PriorityClass'],
    ['node.k8s.io', 'RuntimeClass'],
    ['resource.k8s.io', 'DeviceClass'],
    ['flowcontrol.apiserver.k8s.io', 'FlowSchema'],
    ['flowcontrol.apiserver.k8s.io', 'PriorityLevelConfiguration'],
  ])('leaves the target its own %s %s', (group, kind) => {
    expect(isKeptKind(group, kind)).toBe(true);
  });

  test.each([
    ['', 'Service'],
    ['apps', 'Deployment'],
    ['rbac.authorization.k8s.io', 'ClusterRole'],
    ['gateway.networking.k8s.io', 'Gateway'],
    ['example.com', 'StorageClass'],
  ])('lets %s %s be changed', (group, kind) => {
    expect(isKeptKind(group, kind)).toBe(false);
  });
});

describe('isRecreatable', () => {
  test.each([
    ['', 'Namespace'],
    ['', 'PersistentVolumeClaim'],
    ['', 'PersistentVolume'],
    ['apiextensions.k8s.io', 'CustomResourceDefinition'],
  ])('never deletes %s %s', (group, kind) => {
    expect(isRecreatable(group, kind)).toBe(false);
  });

  test.each([
    ['', 'Service'],
    ['batch', 'Job'],
    ['apps', 'StatefulSet'],
    ['example.com', 'Namespace'],
  ])('may delete and create %s %s', (group, kind) => {
    expect(isRecreatable(group, kind)).toBe(true);
  });
});

describe('appearsByItself', () => {
  test.each([
    ['v1', 'ServiceAccount', 'shop/default'],
    ['v1', 'ServiceAccount', 'shop/builder'],
    ['v1', 'ServiceAccount', 'shop/deployer'],
    ['v1', 'ConfigMap', 'shop/kube-root-ca.crt'],
    ['v1', 'ConfigMap', 'shop/openshift-service-ca.crt'],
    ['v1', 'ConfigMap', 'shop/istio-ca-root-cert'],
    ['rbac.authorization.k8s.io/v1', 'RoleBinding', 'shop/system:image-pullers'],
    ['rbac.authorization.k8s.io/v1', 'RoleBinding', 'shop/system:image-builders'],
    ['rbac.authorization.k8s.io/v1', 'RoleBinding', 'shop/system:deployers'],
  ])('expects %s %s %s in every namespace', (apiVersion, kind, path) => {
    expect(appearsByItself(make(apiVersion, kind, path))).toBe(true);
  });

  test.each([
    ['v1', 'ServiceAccount', 'shop/web'],
    ['v1', 'Secret', 'shop/default'],
    ['networking.k8s.io/v1', 'NetworkPolicy', 'shop/default'],
    ['example.com/v1', 'ServiceAccount', 'shop/default'],
  ])('does not expect %s %s %s', (apiVersion, kind, path) => {
    expect(appearsByItself(make(apiVersion, kind, path))).toBe(false);
  });
});
