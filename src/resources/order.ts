import { isBuiltInGroup } from '../crds/built-in-groups.ts';

/** What is created side by side; one wave is done before the next begins. */
export interface Wave {
  readonly name: string;
  /** Kinds of Kubernetes' own groups, but for the classes that CRDs define. */
  readonly kinds: readonly string[];
}

/**
 * The order in which objects are created: each wave has what later ones are refused without, or would start wrongly
 * without.
 *
 * Helm has a place for each of some 35 kinds, and puts what it does not know last:
 * https://github.com/helm/helm/blob/v4.3.1/pkg/release/v1/util/kind_sorter.go
 * Velero has a list that administrators change, and brings the rest in by name:
 * https://github.com/vmware-tanzu/velero/blob/main/pkg/cmd/server/config/config.go
 * Ours differs where they go wrong or wait for nothing:
 * - Few waves, for an API server is fast only as long as many requests are under way. Kinds that merely name each other
 *   (a Deployment, its autoscaler and its Ingress) need no order: controllers bring them together whenever they come.
 * - Roles before bindings, which the server refuses where it has to look what the role grants; service accounts before
 *   Secrets, for the token of an account that is not there is deleted.
 * - Volumes before claims, which else would be given new ones.
 * - Custom resources after all workloads, so that operators, with their webhooks, have been there for longest.
 * - Quotas after what they count: an object that was there at the source is not refused, and none waits until a new
 *   quota was first computed. Helm creates them first.
 * - Webhooks, admission policies and API services last, as Helm does and Velero does not: whoever answers for them runs.
 */
export const WAVES: readonly Wave[] = [
  { name: 'definitions', kinds: ['CustomResourceDefinition'] },
  { name: 'namespaces', kinds: ['Namespace'] },
  // And all other kinds of Kubernetes' own that are in no namespace.
  {
    name: 'cluster basics',
    kinds: [
      ...['StorageClass', 'IngressClass', 'PriorityClass', 'RuntimeClass', 'DeviceClass', 'VolumeAttributesClass'],
      ...['VolumeSnapshotClass', 'VolumeGroupSnapshotClass', 'GatewayClass', 'CSIDriver'],
      ...['ClusterRole', 'PersistentVolume'],
    ],
  },
  {
    name: 'accounts and limits',
    kinds: ['ServiceAccount', 'Role', 'ClusterRoleBinding', 'LimitRange', 'NetworkPolicy'],
  },
  {
    name: 'configuration',
    kinds: [
      ...['Secret', 'ConfigMap', 'RoleBinding', 'PersistentVolumeClaim', 'Service', 'Endpoints', 'EndpointSlice'],
      ...['PodTemplate', 'ResourceClaimTemplate', 'ResourceClaim'],
    ],
  },
  // Helm releases come here. And all other kinds of Kubernetes' own that are in namespaces.
  {
    name: 'workloads',
    kinds: [
      ...['ReplicaSet', 'ReplicationController', 'Pod', 'Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'],
      ...['ControllerRevision', 'HorizontalPodAutoscaler', 'PodDisruptionBudget', 'Ingress'],
    ],
  },
  // All kinds that CRDs define, and API services serve.
  { name: 'custom resources', kinds: [] },
  { name: 'quotas', kinds: ['ResourceQuota'] },
  {
    name: 'admission and API services',
    kinds: [
      ...['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding'],
      ...['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'],
      ...['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration', 'APIService'],
    ],
  },
];

export const DEFINITIONS: number = waveNamed('definitions');
export const NAMESPACES: number = waveNamed('namespaces');
const BASICS = waveNamed('cluster basics');
const WORKLOADS = waveNamed('workloads');
const CUSTOM = waveNamed('custom resources');

/** Helm releases are installed before this wave: what they refer to is there, and what they serve comes after. */
export const FIRST_WAVE_AFTER_RELEASES: number = WORKLOADS;

const WAVE_OF = new Map(WAVES.flatMap(({ kinds }, wave) => kinds.map((kind) => [kind, wave] as const)));

/** Groups whose classes are named by objects of Kubernetes' own kinds. */
const GROUPS_OF_CLASSES = new Set([
  'snapshot.storage.k8s.io',
  'groupsnapshot.storage.k8s.io',
  'gateway.networking.k8s.io',
]);

/**
 * The index in {@link WAVES} of the wave that a kind belongs to.
 *
 * @param isCustom - whether its CRD travels too: a Helm release may be what brings it
 */
export function waveOf(
  { group, kind, namespaced }: { readonly group: string; readonly kind: string; readonly namespaced: boolean },
  isCustom: boolean,
): number {
  const isOwn = isBuiltInGroup(group);
  if (isCustom || !(isOwn || GROUPS_OF_CLASSES.has(group))) return CUSTOM;
  return WAVE_OF.get(kind) ?? (isOwn ? (namespaced ? WORKLOADS : BASICS) : CUSTOM);
}

function waveNamed(name: string): number {
  const index = WAVES.findIndex((wave) => wave.name === name);
  if (index === -1) throw new Error(`There is no wave "${name}".`);
  return index;
}
