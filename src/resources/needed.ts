import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import { groupOf, keyOf } from './resource.ts';

/** A field that names a cluster-scoped object which its own object does not work without. */
interface NeedRule {
  /** Empty for the core group. */
  readonly group: string;
  readonly kinds: readonly string[];
  /** `*` is any item of a list. */
  readonly path: readonly string[];
  /** The kind of what it names. */
  readonly needs: ClusterKind;
}

/** A field of a cluster-scoped object that names the namespace it is there for. */
interface PlaceRule {
  readonly group: string;
  readonly kinds: readonly string[];
  /** `*` is any item of a list. */
  readonly path: readonly string[];
  /** `user`: the namespace is part of `system:serviceaccount:shop:builder` or `system:serviceaccounts:shop`. */
  readonly form: 'name' | 'user';
}

interface ClusterKind {
  readonly group: string;
  readonly kind: string;
}

const RBAC = 'rbac.authorization.k8s.io';
const CLUSTER_ROLE = { group: RBAC, kind: 'ClusterRole' };
const CLUSTER_ISSUER = { group: 'cert-manager.io', kind: 'ClusterIssuer' };
const PERSISTENT_VOLUME = { group: '', kind: 'PersistentVolume' };
const STORAGE_CLASS = { group: 'storage.k8s.io', kind: 'StorageClass' };
const VOLUME_ATTRIBUTES_CLASS = { group: 'storage.k8s.io', kind: 'VolumeAttributesClass' };
const VOLUME_SNAPSHOT_CLASS = { group: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshotClass' };
const INGRESS_CLASS = { group: 'networking.k8s.io', kind: 'IngressClass' };
const GATEWAY_CLASS = { group: 'gateway.networking.k8s.io', kind: 'GatewayClass' };
const PRIORITY_CLASS = { group: 'scheduling.k8s.io', kind: 'PriorityClass' };
const RUNTIME_CLASS = { group: 'node.k8s.io', kind: 'RuntimeClass' };
const DEVICE_CLASS = { group: 'resource.k8s.io', kind: 'DeviceClass' };

const WEBHOOKS = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'];

/** Where pods are described. */
const POD_SPECS: readonly (readonly [group: string, kinds: readonly string[], path: string])[] = [
  ['', ['Pod'], 'spec'],
  ['', ['PodTemplate'], 'template spec'],
  ['', ['ReplicationController'], 'spec template spec'],
  ['apps', ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'], 'spec template spec'],
  ['batch', ['Job'], 'spec template spec'],
  ['batch', ['CronJob'], 'spec jobTemplate spec template spec'],
];

/** Where volume claims are described. */
const CLAIM_SPECS: readonly (readonly [group: string, kinds: readonly string[], path: string])[] = [
  ['', ['PersistentVolumeClaim'], 'spec'],
  ['apps', ['StatefulSet'], 'spec volumeClaimTemplates * spec'],
  ...POD_SPECS.map(
    ([group, kinds, path]) => [group, kinds, `${path} volumes * ephemeral volumeClaimTemplate spec`] as const,
  ),
];

/** What objects name, kind by kind, beside {@link CLASS_FIELDS} and {@link REFERENCE_FIELDS}. */
const NEED_RULES: readonly NeedRule[] = [
  ...POD_SPECS.flatMap(([group, kinds, path]) => [
    need(group, kinds, `${path} priorityClassName`, PRIORITY_CLASS),
    need(group, kinds, `${path} runtimeClassName`, RUNTIME_CLASS),
  ]),
  ...CLAIM_SPECS.flatMap(([group, kinds, path]) => [
    need(group, kinds, `${path} storageClassName`, STORAGE_CLASS),
    need(group, kinds, `${path} volumeAttributesClassName`, VOLUME_ATTRIBUTES_CLASS),
    need(group, kinds, `${path} volumeName`, PERSISTENT_VOLUME),
  ]),
  need('', ['PersistentVolume'], 'spec storageClassName', STORAGE_CLASS),
  need('', ['PersistentVolume'], 'spec volumeAttributesClassName', VOLUME_ATTRIBUTES_CLASS),
  // Before storageClassName there was this, and volumes that have it still count:
  // https://github.com/kubernetes/kubernetes/blob/v1.35.4/staging/src/k8s.io/component-helpers/storage/volume/helpers.go
  need(
    '',
    ['PersistentVolume', 'PersistentVolumeClaim'],
    'metadata annotations volume.beta.kubernetes.io/storage-class',
    STORAGE_CLASS,
  ),
  need('networking.k8s.io', ['Ingress'], 'metadata annotations kubernetes.io/ingress.class', INGRESS_CLASS),
  // https://cert-manager.io/docs/usage/ingress/#supported-annotations
  need('networking.k8s.io', ['Ingress'], 'metadata annotations cert-manager.io/cluster-issuer', CLUSTER_ISSUER),
  need('gateway.networking.k8s.io', ['Gateway'], 'metadata annotations cert-manager.io/cluster-issuer', CLUSTER_ISSUER),
];

/**
 * Fields that name a class wherever they stand in an object of a group with a dot: Ingresses, Gateways, resource claims
 * and snapshots, and the custom resources of operators that make such objects. Those of the other groups, which are
 * most, are not searched through.
 */
const CLASS_FIELDS: ReadonlyMap<string, ClusterKind> = new Map([
  ['storageClassName', STORAGE_CLASS],
  ['storageClass', STORAGE_CLASS],
  ['volumeAttributesClassName', VOLUME_ATTRIBUTES_CLASS],
  ['volumeSnapshotClassName', VOLUME_SNAPSHOT_CLASS],
  ['volumeSnapshotClass', VOLUME_SNAPSHOT_CLASS],
  ['ingressClassName', INGRESS_CLASS],
  ['gatewayClassName', GATEWAY_CLASS],
  ['priorityClassName', PRIORITY_CLASS],
  ['runtimeClassName', RUNTIME_CLASS],
  ['deviceClassName', DEVICE_CLASS],
]);

/**
 * Every field of those same objects called `…Ref` or `…Refs` that gives a kind and a name is a reference, such as the
 * roleRef of a binding and the issuerRef of a certificate. So are these, with the kind that is meant when they give none.
 */
const REFERENCE_FIELDS: ReadonlyMap<string, string | undefined> = new Map([
  // https://kubevirt.io/user-guide/user_workloads/instancetypes/
  ['instancetype', 'VirtualMachineClusterInstancetype'],
  ['preference', 'VirtualMachineClusterPreference'],
  // Of an IngressClass.
  ['parameters', undefined],
]);

/** Cluster-scoped objects that are needed for the namespace they name, whether or not anything names them. */
const PLACE_RULES: readonly PlaceRule[] = [
  place('', ['Namespace'], 'metadata name'),
  place('', ['PersistentVolume'], 'spec claimRef namespace'),
  place('snapshot.storage.k8s.io', ['VolumeSnapshotContent'], 'spec volumeSnapshotRef namespace'),
  place(RBAC, ['ClusterRoleBinding'], 'subjects * namespace'),
  place(RBAC, ['ClusterRoleBinding'], 'subjects * name', 'user'),
  place('admissionregistration.k8s.io', WEBHOOKS, 'webhooks * clientConfig service namespace'),
  place('apiregistration.k8s.io', ['APIService'], 'spec service namespace'),
];

/**
 * The labels that put a ClusterRole's rules into Kubernetes' own roles, which themselves don't travel; each takes in the
 * next: https://github.com/kubernetes/kubernetes/blob/v1.35.4/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go
 */
const BUILT_IN_AGGREGATES: ReadonlyMap<string, readonly string[]> = new Map([
  ['admin', ['admin', 'edit', 'view']],
  ['edit', ['edit', 'view']],
  ['view', ['view']],
]);

const NEEDS_BY_KIND = byKind(NEED_RULES);
const PLACES_BY_KIND = byKind(PLACE_RULES);

/** The group of a reference that gives none. */
const ANY_GROUP = '*';

/** What the objects seen so far need of the cluster-scoped ones. */
export interface Needs {
  /** `keyOf` what is named; also of namespaced objects, which are never asked for. */
  readonly keys: Set<string>;
  /** Selectors of the ClusterRoles that a needed one is made of, by their text. */
  readonly aggregates: Map<string, Record<string, unknown>>;
}

/** Needs to start with. */
export function createNeeds(): Needs {
  return { keys: new Set(), aggregates: new Map() };
}

/** Adds what an object that travels needs. Its annotations and spec must still be whole; its status is not looked at. */
export function noteNeeds(needs: Needs, object: KubeObject): void {
  const group = groupOf(object.apiVersion);
  for (const { path, needs: kind } of NEEDS_BY_KIND.get(`${group}/${object.kind}`) ?? []) {
    visitTexts(object, path, 0, (name) => addNeed(needs, kind, name));
  }
  if (isClusterRole(group, object.kind) && isMap(object.aggregationRule)) {
    for (const selector of mapsIn(object.aggregationRule.clusterRoleSelectors)) {
      needs.aggregates.set(JSON.stringify(selector), selector);
    }
  }
  if (!group.includes('.')) return;
  for (const field of Object.keys(object)) {
    if (field !== 'metadata' && field !== 'status') noteReferences(needs, field, object[field]);
  }
}

/**
 * Whether a cluster-scoped object is needed by what was noted, or is there for a chosen namespace. What a needed one
 * needs in turn is noted with it, so the answer for others can change: see {@link pickNeeded}.
 */
export function isNeeded(needs: Needs, object: KubeObject, takesNamespace: (name: string) => boolean): boolean {
  const group = groupOf(object.apiVersion);
  const { kind, metadata } = object;
  const needed =
    isPlaced(object, group, takesNamespace) ||
    isNamed(needs, group, kind, metadata.name) ||
    (isClusterRole(group, kind) && isPart(needs, metadata.labels ?? {}));
  if (needed) noteNeeds(needs, object);
  return needed;
}

/**
 * Those of some cluster-scoped objects that are needed, in their order. Looks again as long as one that is needed may
 * need others: a ClusterRole the parts it is made of, a custom resource another.
 */
export function pickNeeded(
  needs: Needs,
  objects: readonly KubeObject[],
  takesNamespace: (name: string) => boolean,
): KubeObject[] {
  const picked = new Set<KubeObject>();
  let before: number;
  do {
    before = picked.size;
    for (const object of objects) {
      if (!picked.has(object) && isNeeded(needs, object, takesNamespace)) picked.add(object);
    }
  } while (picked.size > before && picked.size < objects.length);
  return objects.filter((object) => picked.has(object));
}

function need(group: string, kinds: readonly string[], path: string, needs: ClusterKind): NeedRule {
  return { group, kinds, path: path.split(' '), needs };
}

function place(group: string, kinds: readonly string[], path: string, form: PlaceRule['form'] = 'name'): PlaceRule {
  return { group, kinds, path: path.split(' '), form };
}

function byKind<T extends NeedRule | PlaceRule>(rules: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const all = rules.flatMap((rule) => rule.kinds.map((kind) => ({ key: `${rule.group}/${kind}`, rule })));
  const grouped = Map.groupBy(all, ({ key }) => key);
  return new Map([...grouped].map(([key, entries]) => [key, entries.map(({ rule }) => rule)]));
}

function addNeed(needs: Needs, { group, kind }: ClusterKind, name: string): void {
  needs.keys.add(keyOf({ group, kind, name }));
  if (!isClusterRole(group, kind)) return;
  for (const role of BUILT_IN_AGGREGATES.get(name) ?? []) {
    const selector = { matchLabels: { [`${RBAC}/aggregate-to-${role}`]: 'true' } };
    needs.aggregates.set(JSON.stringify(selector), selector);
  }
}

/** Notes a field's reference or class, else what is within. */
function noteReferences(needs: Needs, field: string, value: unknown): void {
  if (typeof value === 'string') {
    const kind = CLASS_FIELDS.get(field);
    if (kind !== undefined && value !== '') addNeed(needs, kind, value);
  } else if (Array.isArray(value)) {
    // An item of `secretStoreRefs` is a reference like the field itself.
    for (const item of value) noteReferences(needs, field, item);
  } else if (isMap(value)) {
    if (/Refs?$/.test(field) || REFERENCE_FIELDS.has(field)) noteReference(needs, field, value);
    for (const inner of Object.keys(value)) noteReferences(needs, inner, value[inner]);
  }
}

function noteReference(needs: Needs, field: string, reference: Record<string, unknown>): void {
  const { kind = REFERENCE_FIELDS.get(field), name, namespace, group, apiGroup, apiVersion } = reference;
  if (typeof kind !== 'string' || typeof name !== 'string' || namespace) return;
  const given = [group, apiGroup, apiVersion].find((one) => typeof one === 'string');
  // Without a group the referring object's own is meant, or one beside it, as instancetype.kubevirt.io is to kubevirt.io.
  if (given === undefined) addNeed(needs, { group: ANY_GROUP, kind }, name);
  else addNeed(needs, { group: given === apiVersion ? groupOf(given) : given, kind }, name);
}

function isPlaced(object: KubeObject, group: string, takesNamespace: (name: string) => boolean): boolean {
  let placed = false;
  for (const { path, form } of PLACES_BY_KIND.get(`${group}/${object.kind}`) ?? []) {
    visitTexts(object, path, 0, (text) => {
      const namespace = form === 'name' ? text : /^system:serviceaccounts?:([^:]+)/.exec(text)?.[1];
      placed ||= namespace !== undefined && takesNamespace(namespace);
    });
  }
  return placed;
}

function isNamed(needs: Needs, group: string, kind: string, name: string): boolean {
  // A namespace is taken because it was chosen, never because something refers to it.
  if (kind === 'Namespace' && group === '') return false;
  if (needs.keys.has(keyOf({ group, kind, name }))) return true;
  return group.includes('.') && needs.keys.has(keyOf({ group: ANY_GROUP, kind, name }));
}

function isPart(needs: Needs, labels: Readonly<Record<string, string>>): boolean {
  for (const selector of needs.aggregates.values()) if (selectsLabels(selector, labels)) return true;
  return false;
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/ */
function selectsLabels(selector: Record<string, unknown>, labels: Readonly<Record<string, string>>): boolean {
  const equal = isMap(selector.matchLabels) ? Object.entries(selector.matchLabels) : [];
  if (equal.some(([key, value]) => labels[key] !== value)) return false;
  return mapsIn(selector.matchExpressions).every(({ key, operator, values }) => {
    const value = labels[String(key)];
    if (operator === 'Exists') return value !== undefined;
    if (operator === 'DoesNotExist') return value === undefined;
    const isIn = value !== undefined && stringsIn(values).includes(value);
    return operator === 'In' ? isIn : !isIn;
  });
}

function isClusterRole(group: string, kind: string): boolean {
  return kind === CLUSTER_ROLE.kind && group === CLUSTER_ROLE.group;
}

/** Calls back with each text at a path that is not empty. */
function visitTexts(value: unknown, path: readonly string[], at: number, visit: (text: string) => void): void {
  const segment = path[at];
  if (segment === undefined) {
    if (typeof value === 'string' && value !== '') visit(value);
  } else if (segment === '*') {
    if (Array.isArray(value)) for (const item of value) visitTexts(item, path, at + 1, visit);
  } else if (isMap(value)) {
    visitTexts(value[segment], path, at + 1, visit);
  }
}
