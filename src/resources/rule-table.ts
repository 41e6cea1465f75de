import { ENVIRONMENT_LABEL } from '../environment/environment.ts';
import {
  type Condition,
  hasAnnotation,
  hasLabel,
  inSpec,
  isAccountDockercfg,
  isApiServerSlice,
  isAutomaticToken,
  isBootstrapRole,
  isControlledBy,
  isControllersEndpoints,
  isControllersSlice,
  isEnvironmentMarker,
  isFinishedJob,
  isFinishedPod,
  isHelmRecord,
  isLeaderLock,
  isNamed,
  isOwnedByPodOrNode,
  isSystemBundle,
  isSystemNamed,
  isTakenSnapshot,
  isThrowawayVolume,
} from './conditions.ts';
import {
  dropAccountSecrets,
  dropAggregatedRules,
  dropJobSelector,
  dropNamespaceFinalizers,
  dropStatus,
  dropTemplateTimestamps,
  dropTokenData,
  dropVolumeName,
  type Edit,
} from './edits.ts';
import { dropPodAdditions } from './pod-edits.ts';
import { dropAllocations, LAST_APPLIED } from './service-edits.ts';

/** Kinds of one group, which is empty for the core one; without kinds, all of the group. */
export interface Kinds {
  readonly group: string;
  readonly kinds?: readonly string[];
}

/** What a rule is about: kinds, or any. */
type About = Kinds | 'any';

/** An object that stays behind. */
export interface SkipRule {
  readonly about: About;
  /** Goes on from "it …". */
  readonly why: string;
  readonly when: Condition;
}

/** What is taken off an object. Names may end in `*`. */
export interface StripRule {
  readonly about: About;
  /** Goes on from "it …". */
  readonly why: string;
  /** Paths; `*` is every item of a list. */
  readonly fields?: readonly string[];
  readonly labels?: readonly string[];
  readonly annotations?: readonly string[];
  readonly finalizers?: readonly string[];
  /** Goes first, when everything else is still there. */
  readonly edit?: Edit;
}

const core = kindsOf('');
const apps = kindsOf('apps');
const batch = kindsOf('batch');
const rbac = kindsOf('rbac.authorization.k8s.io');
const storage = kindsOf('storage.k8s.io');
const devices = kindsOf('resource.k8s.io');
const networking = kindsOf('networking.k8s.io');
const certificates = kindsOf('certificates.k8s.io');
const flowcontrol = kindsOf('flowcontrol.apiserver.k8s.io');
const apiServices = kindsOf('apiregistration.k8s.io');
const slices = kindsOf('discovery.k8s.io')('EndpointSlice');
const snapshots = kindsOf('snapshot.storage.k8s.io');
const groupSnapshots = kindsOf('groupsnapshot.storage.k8s.io');
const kubevirt = kindsOf('kubevirt.io');
const cilium = kindsOf('cilium.io');
const calico = kindsOf('crd.projectcalico.org');

/** Of what kinds no object travels. */
export const SKIPPED_KINDS: readonly (Kinds & { readonly why: string })[] = [
  { ...core('Event'), why: 'records what happened in this cluster' },
  { ...kindsOf('events.k8s.io')(), why: 'records what happened in this cluster' },
  { ...core('Node'), why: 'is a machine of this cluster' },
  { ...kindsOf('karpenter.sh')('NodeClaim'), why: 'is a machine of this cluster, and would order another one' },
  { ...core('ComponentStatus'), why: 'is worked out when it is read' },
  { ...kindsOf('coordination.k8s.io')(), why: 'says who holds a lock at this moment' },
  { ...certificates('CertificateSigningRequest', 'PodCertificateRequest'), why: 'asks the authority of this cluster' },
  { ...storage('CSINode', 'VolumeAttachment'), why: 'ties storage to a machine of this cluster' },
  { ...storage('CSIStorageCapacity'), why: 'says how much storage is free in this cluster' },
  { ...devices('ResourceSlice', 'DeviceTaintRule'), why: 'is about devices of machines of this cluster' },
  { ...networking('IPAddress'), why: 'is an address given to a Service of this cluster' },
  { ...kindsOf('internal.apiserver.k8s.io')(), why: 'is bookkeeping of the API servers' },
  { ...kindsOf('storagemigration.k8s.io')(), why: 'orders to rewrite what this cluster has stored' },
  { ...kindsOf('metrics.k8s.io')(), why: 'is measured when it is read' },
  { ...kindsOf('custom.metrics.k8s.io')(), why: 'is measured when it is read' },
  { ...kindsOf('external.metrics.k8s.io')(), why: 'is measured when it is read' },

  // State that network plugins write anew for the Pods and Nodes they find.
  { ...cilium('CiliumNode', 'CiliumIdentity'), why: 'is state that Cilium keeps for this cluster' },
  { ...cilium('CiliumEndpoint', 'CiliumEndpointSlice'), why: 'is state that Cilium keeps for this cluster' },
  { ...calico('IPAMBlock', 'IPAMHandle', 'BlockAffinity'), why: 'is an address that Calico gave in this cluster' },
  { ...calico('ClusterInformation', 'CalicoNodeStatus'), why: 'is state that Calico keeps for this cluster' },

  // Other views of objects that travel as what they are.
  { ...kindsOf('authorization.openshift.io')(), why: 'is another view of RBAC' },
  { ...kindsOf('project.openshift.io')('Project'), why: 'is another view of a Namespace' },
  { ...kindsOf('image.openshift.io')('ImageStreamTag', 'ImageTag'), why: 'is another view of an ImageStream' },
  { ...kindsOf('packages.operators.coreos.com')(), why: 'is another view of a catalogue of operators' },
];

/** Which objects of the other kinds do not travel. The first reason that holds is given. */
export const SKIPPED_OBJECTS: readonly SkipRule[] = [
  skip('any', 'is being deleted', ({ metadata }) => metadata.deletionTimestamp !== undefined),
  skip(core('Pod'), 'mirrors a file on a node', hasAnnotation('kubernetes.io/config.mirror')),
  skip(core('Pod'), 'is made anew by its controller', isControlledBy()),
  // Among them: claims and device claims made of a Pod's own templates, and locks of operators, held until the Pod is gone.
  skip('any', 'lives only as long as the Pod or Node that owns it', isOwnedByPodOrNode),
  skip(core('Pod'), 'has run to its end', isFinishedPod),
  skip(batch('Job'), 'was started by its CronJob', isControlledBy(batch('CronJob'))),
  skip(batch('Job'), 'is finished and would run again', isFinishedJob),
  skip(apps('ReplicaSet'), 'is made anew by its Deployment', isControlledBy(apps('Deployment'))),
  skip(apps('ControllerRevision'), 'is made anew by its workload', isControlledBy(apps('StatefulSet', 'DaemonSet'))),
  skip(
    kubevirt('VirtualMachineInstance'),
    'is made anew by its VirtualMachine',
    isControlledBy(kubevirt('VirtualMachine')),
  ),

  // https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors
  skip(core('Service', 'Endpoints'), 'is the address of this API server', isNamed('default/kubernetes')),
  skip(slices, 'is an address of this API server', isApiServerSlice),
  skip(slices, 'is kept by an endpoint slice controller', isControllersSlice),
  skip(core('ConfigMap', 'Endpoints'), 'is only a lock that a leader holds', isLeaderLock),
  skip(core('Endpoints'), 'follows the selector of its Service', isControllersEndpoints),
  skip(networking('ServiceCIDR'), 'is the range this API server was started with', isNamed('kubernetes')),

  skip(
    core('Secret', 'ConfigMap'),
    'is a record of a Helm release, which travels as one',
    (object, { withReleases }) => withReleases && isHelmRecord(object),
  ),
  // https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
  skip(core('Secret'), 'is a token the control plane made of its own accord', isAutomaticToken),
  skip(core('Secret'), 'is a login to the registry of this cluster', isAccountDockercfg),
  skip(core('Secret'), 'lets nodes join this cluster', ({ type }) => type === 'bootstrap.kubernetes.io/token'),
  skip(
    core('ConfigMap'),
    'publishes an authority of this cluster',
    isNamed('kube-root-ca.crt', 'openshift-service-ca.crt', 'istio-ca-root-cert'),
  ),
  skip(
    core('ConfigMap'),
    'is written by the API server',
    isNamed(
      'kube-system/extension-apiserver-authentication',
      'kube-system/kube-apiserver-legacy-service-account-token-tracking',
    ),
  ),
  skip(core('ConfigMap'), 'tells what was imported into this cluster', isEnvironmentMarker),
  // https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/
  skip(
    core('ConfigMap', 'Secret'),
    'tells nodes where this cluster is',
    isNamed(
      'kube-system/kubeadm-config',
      'kube-system/kubeadm-certs',
      'kube-system/kubelet-config',
      'kube-system/kube-proxy',
      'kube-public/cluster-info',
    ),
  ),

  // https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming
  skip(core('PersistentVolume'), 'was provisioned for a claim and goes with it', isThrowawayVolume),
  skip(snapshots(), 'was taken of a disk of this cluster', isTakenSnapshot),
  skip(groupSnapshots(), 'was taken of disks of this cluster', isTakenSnapshot),

  // What an administrator took over (there the annotation says `false`) travels.
  // https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation
  skip(rbac(), 'is one of the defaults that every API server makes', isBootstrapRole),
  // https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
  skip(
    flowcontrol(),
    'is kept up to date by the API server',
    hasAnnotation('apf.kubernetes.io/autoupdate-spec', 'true'),
  ),
  skip(kindsOf('scheduling.k8s.io')('PriorityClass'), 'is in every cluster', isSystemNamed),
  skip(apiServices(), 'is registered by the API server', hasLabel('kube-aggregator.kubernetes.io/automanaged')),
  skip(apiServices(), 'is served by the API server itself', (service) => inSpec(service, 'service') === undefined),
  // https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#cluster-trust-bundles
  skip(certificates('ClusterTrustBundle'), 'is an authority of this cluster', isSystemBundle),
];

/** What does not travel of the objects that do. */
export const STRIPPED: readonly StripRule[] = [
  // https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
  strip('any', 'is about this very object on this server', {
    fields: ['metadata.uid', 'metadata.resourceVersion', 'metadata.generation', 'metadata.selfLink'],
  }),
  strip('any', 'tells when it came or went', {
    fields: ['metadata.creationTimestamp', 'metadata.deletionTimestamp', 'metadata.deletionGracePeriodSeconds'],
  }),
  strip('any', 'tells who wrote which field here', { fields: ['metadata.managedFields'] }),
  strip('any', 'has led to a name already', { fields: ['metadata.generateName'] }),
  strip('any', 'is another one when the owner is created anew', { fields: ['metadata.ownerReferences.*.uid'] }),
  strip('any', 'is what controllers find in this cluster', { edit: dropStatus }),
  strip('any', 'is an empty field that servers before 1.34 print', { edit: dropTemplateTimestamps }),
  strip('any', 'repeats the object for kubectl apply', { annotations: [LAST_APPLIED] }),
  strip('any', 'names a leader of this cluster', { annotations: ['control-plane.alpha.kubernetes.io/leader'] }),
  strip('any', 'is about a deletion', { finalizers: ['foregroundDeletion', 'orphan'] }),
  strip('any', 'names the environment it was imported for', { labels: [ENVIRONMENT_LABEL] }),

  strip(core('Namespace'), 'is given to every namespace', { edit: dropNamespaceFinalizers }),
  strip(core('Service'), 'was chosen by the API server', { edit: dropAllocations }),
  strip(core('Service'), 'waits for a load balancer of this cluster', {
    finalizers: ['service.kubernetes.io/load-balancer-cleanup'],
  }),
  strip(core('Endpoints'), 'is a note of the endpoints controller', {
    annotations: ['endpoints.kubernetes.io/last-change-trigger-time', 'endpoints.kubernetes.io/over-capacity'],
  }),
  strip(slices, 'is a note of the endpoint slice controller', {
    annotations: ['endpoints.kubernetes.io/last-change-trigger-time'],
  }),
  strip(networking('ServiceCIDR'), 'protects a range in use', {
    finalizers: ['networking.k8s.io/service-cidr-finalizer'],
  }),

  strip(core('ServiceAccount'), 'refers to Secrets that are made anew', {
    edit: dropAccountSecrets,
    annotations: ['openshift.io/internal-registry-pull-secret-ref'],
  }),
  strip(core('Secret'), 'is filled in by the token controller', {
    edit: dropTokenData,
    annotations: ['kubernetes.io/service-account.uid'],
    labels: ['kubernetes.io/legacy-token-last-used', 'kubernetes.io/legacy-token-invalid-since'],
  }),

  // https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
  strip(core('PersistentVolumeClaim'), 'names a volume that does not travel', { edit: dropVolumeName }),
  strip(core('PersistentVolumeClaim'), 'tells how the claim was bound', {
    annotations: [
      'pv.kubernetes.io/bind-completed',
      'pv.kubernetes.io/bound-by-controller',
      'pv.kubernetes.io/migrated-to',
      'volume.kubernetes.io/storage-provisioner',
      'volume.beta.kubernetes.io/storage-provisioner',
      'volume.kubernetes.io/storage-resizer',
      'volume.kubernetes.io/selected-node',
    ],
  }),
  strip(core('PersistentVolumeClaim'), 'protects a claim in use', {
    finalizers: [
      'kubernetes.io/pvc-protection',
      'provisioner.storage.kubernetes.io/cloning-protection',
      'snapshot.storage.kubernetes.io/pvc-as-source-protection',
    ],
  }),
  strip(core('PersistentVolume'), 'means a claim that is created anew', {
    fields: ['spec.claimRef.uid', 'spec.claimRef.resourceVersion'],
  }),
  strip(core('PersistentVolume'), 'tells how the volume was bound', {
    annotations: ['pv.kubernetes.io/bound-by-controller', 'pv.kubernetes.io/migrated-to'],
  }),
  strip(core('PersistentVolume'), 'protects a volume in use', {
    finalizers: [
      'kubernetes.io/pv-protection',
      'kubernetes.io/pv-controller',
      'external-provisioner.volume.kubernetes.io/finalizer',
      'external-attacher/*',
    ],
  }),
  strip(snapshots('VolumeSnapshotContent'), 'means a snapshot that is created anew', {
    fields: ['spec.volumeSnapshotRef.uid', 'spec.volumeSnapshotRef.resourceVersion'],
  }),
  strip(snapshots(), 'protects a snapshot in use', { finalizers: ['snapshot.storage.kubernetes.io/*'] }),
  strip(storage('VolumeAttributesClass'), 'protects a class in use', { finalizers: ['kubernetes.io/vac-protection'] }),
  strip(devices('ResourceClaim'), 'protects devices in use', {
    finalizers: ['resource.kubernetes.io/delete-protection'],
  }),

  // https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
  strip(core('Pod'), 'is put in by admission', {
    edit: dropPodAdditions,
    fields: ['spec.priority', 'spec.preemptionPolicy', 'spec.overhead'],
    annotations: ['kubernetes.io/limit-ranger'],
  }),
  strip(core('Pod'), 'repeats the name of its service account', { fields: ['spec.serviceAccount'] }),
  strip(core('Pod'), 'can only be added to a running Pod', { fields: ['spec.ephemeralContainers'] }),
  strip(core('Pod'), 'tells on which node it runs', {
    fields: ['spec.nodeName'],
    labels: ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone'],
  }),
  strip(core('Pod'), 'tells what address a network plugin gave it', {
    annotations: [
      'cni.projectcalico.org/containerID',
      'cni.projectcalico.org/podIP',
      'cni.projectcalico.org/podIPs',
      'k8s.ovn.org/pod-networks',
      'k8s.v1.cni.cncf.io/network-status',
      'k8s.v1.cni.cncf.io/networks-status',
    ],
  }),
  strip(core('Pod'), 'lets a Job count it', { finalizers: ['batch.kubernetes.io/job-tracking'] }),
  strip(batch('Job'), 'is made of its uid and its name', { edit: dropJobSelector }),
  strip(batch('Job'), 'tells how its Pods are counted', { annotations: ['batch.kubernetes.io/job-tracking'] }),
  strip(apps('Deployment', 'ReplicaSet'), 'counts rollouts', { annotations: ['deployment.kubernetes.io/*'] }),
  strip(apps('DaemonSet'), 'counts templates', { annotations: ['deprecated.daemonset.template.generation'] }),
  strip(apps('StatefulSet'), 'is a default of a field without use', {
    fields: ['spec.volumeClaimTemplates.*.status'],
  }),
  strip(kindsOf('autoscaling')('HorizontalPodAutoscaler'), 'is status in older versions of the API', {
    annotations: ['autoscaling.alpha.kubernetes.io/conditions', 'autoscaling.alpha.kubernetes.io/current-metrics'],
  }),
  strip(rbac('ClusterRole'), 'is gathered from other ClusterRoles', { edit: dropAggregatedRules }),
];

/** Of what kinds an object that the target has already is its own answer to that name, and stays. */
export const KEPT_KINDS: readonly Kinds[] = [
  storage('StorageClass', 'VolumeAttributesClass', 'CSIDriver'),
  snapshots('VolumeSnapshotClass'),
  groupSnapshots('VolumeGroupSnapshotClass'),
  kindsOf('cdi.kubevirt.io')('StorageProfile'),
  kindsOf('instancetype.kubevirt.io')('VirtualMachineClusterInstancetype', 'VirtualMachineClusterPreference'),
  networking('IngressClass', 'ServiceCIDR'),
  kindsOf('gateway.networking.k8s.io')('GatewayClass'),
  kindsOf('scheduling.k8s.io')('PriorityClass'),
  kindsOf('node.k8s.io')('RuntimeClass'),
  devices('DeviceClass'),
  flowcontrol('FlowSchema', 'PriorityLevelConfiguration'),
];

/** What holds data or other objects is never deleted to be created anew. */
export const NEVER_RECREATED: readonly Kinds[] = [
  core('Namespace', 'PersistentVolume', 'PersistentVolumeClaim'),
  kindsOf('apiextensions.k8s.io')('CustomResourceDefinition'),
];

/** What controllers put into every new namespace. */
export const IN_EVERY_NAMESPACE: readonly (Kinds & { readonly names: readonly string[] })[] = [
  { ...core('ServiceAccount'), names: ['default', 'builder', 'deployer'] },
  { ...core('ConfigMap'), names: ['kube-root-ca.crt', 'openshift-service-ca.crt', 'istio-ca-root-cert'] },
  { ...rbac('RoleBinding'), names: ['system:image-pullers', 'system:image-builders', 'system:deployers'] },
];

function kindsOf(group: string): (...kinds: string[]) => Kinds {
  return (...kinds) => (kinds.length === 0 ? { group } : { group, kinds });
}

function skip(about: About, why: string, when: Condition): SkipRule {
  return { about, why, when };
}

function strip(about: About, why: string, what: Omit<StripRule, 'about' | 'why'>): StripRule {
  return { about, why, ...what };
}

/** Whether a rule is about a kind. */
export function covers(about: About, group: string, kind: string): boolean {
  return about === 'any' || (about.group === group && (about.kinds?.includes(kind) ?? true));
}
