import type { KubeObject, OwnerReference } from '../cluster/cluster.ts';
import { ENVIRONMENT_LABEL } from '../environment/environment.ts';
import { isMap, mapsIn } from '../values.ts';
import { groupOf } from './resource.ts';

/** What a decision to leave an object out depends on besides the object. */
export interface SkipContext {
  /** Whether Helm releases travel in the same snapshot: their records then do so with them. */
  readonly withReleases: boolean;
  /** Whether there is a Service of that name without a selector, whose endpoints nobody but its owner can write. */
  hasSelectorlessService(namespace: string, name: string): boolean;
}

/** A question about an object, as the rules ask it. */
export type Condition = (object: KubeObject, context: SkipContext) => boolean;

/** The value of a label; undefined where there is none. */
export function label({ metadata }: KubeObject, key: string): string | undefined {
  return metadata.labels?.[key];
}

/** The value of an annotation; undefined where there is none. */
export function annotation({ metadata }: KubeObject, key: string): string | undefined {
  return metadata.annotations?.[key];
}

/** A field of `spec`; undefined where there is none. */
export function inSpec({ spec }: KubeObject, field: string): unknown {
  return isMap(spec) ? spec[field] : undefined;
}

/** The object has the label, with this value where one is given. */
export function hasLabel(key: string, value?: string): Condition {
  return (object) => isValue(label(object, key), value);
}

/** The object has the annotation, with this value where one is given. */
export function hasAnnotation(key: string, value?: string): Condition {
  return (object) => isValue(annotation(object, key), value);
}

function isValue(actual: string | undefined, wanted = actual): boolean {
  return actual !== undefined && actual === wanted;
}

/** The object has one of these names; `namespace/name` where it means one namespace only. */
export function isNamed(...names: readonly string[]): Condition {
  const wanted = new Set(names);
  return ({ metadata: { namespace, name } }) => wanted.has(name) || wanted.has(`${namespace}/${name}`);
}

/** A controller made the object and makes it anew: one of these kinds, or any at all. */
export function isControlledBy(owners?: { readonly group: string; readonly kinds?: readonly string[] }): Condition {
  return ({ metadata: { ownerReferences = [] } }) =>
    ownerReferences.some(
      (owner) => owner.controller === true && (owners === undefined || isOf(owner, owners.group, owners.kinds ?? [])),
    );
}

/** Every owner is a Pod or a Node. */
export function isOwnedByPodOrNode({ metadata: { ownerReferences: owners = [] } }: KubeObject): boolean {
  return owners.length > 0 && owners.every((owner) => isOf(owner, '', ['Pod', 'Node']));
}

function isOf({ apiVersion, kind }: OwnerReference, group: string, kinds: readonly string[]): boolean {
  return kinds.includes(kind) && groupOf(apiVersion) === group;
}

/** The Pod ran to its end; the kubelet never starts it again. */
export function isFinishedPod({ status }: KubeObject): boolean {
  return isMap(status) && (status.phase === 'Succeeded' || status.phase === 'Failed');
}

const LAST_JOB_CONDITIONS = ['Complete', 'Failed', 'SuccessCriteriaMet', 'FailureTarget'];

/** The Job is through, or its outcome is certain and only its last Pods are on their way out. */
export function isFinishedJob({ status }: KubeObject): boolean {
  return (
    isMap(status) &&
    mapsIn(status.conditions).some(
      ({ type, status: holds }) => holds === 'True' && LAST_JOB_CONDITIONS.some((last) => last === type),
    )
  );
}

/** The object is only there for its annotation, by which a leader was elected. */
export function isLeaderLock(object: KubeObject): boolean {
  const isBare = ['data', 'binaryData', 'subsets'].every((field) => object[field] === undefined);
  return isBare && annotation(object, 'control-plane.alpha.kubernetes.io/leader') !== undefined;
}

/** A Secret or ConfigMap holds a revision of a Helm release. */
export function isHelmRecord(object: KubeObject): boolean {
  return object.kind === 'Secret'
    ? object.type === 'helm.sh/release.v1'
    : label(object, 'owner') === 'helm' && isMap(object.data) && typeof object.data.release === 'string';
}

/** An import left the ConfigMap to tell what environment it was for. */
export function isEnvironmentMarker(map: KubeObject): boolean {
  return map.metadata.name.startsWith('transship-environment-') && label(map, ENVIRONMENT_LABEL) !== undefined;
}

export const TOKEN_TYPE = 'kubernetes.io/service-account-token';

/**
 * The control plane made the token Secret of its own accord, as it did before Kubernetes 1.24:
 * https://github.com/kubernetes/kubernetes/blob/v1.23.0/pkg/controller/serviceaccount/tokens_controller.go#L378
 * One that a person asked for has another name, or says that its name was generated.
 */
export function isAutomaticToken(secret: KubeObject): boolean {
  const account = annotation(secret, 'kubernetes.io/service-account.name');
  return (
    secret.type === TOKEN_TYPE &&
    account !== undefined &&
    secret.metadata.generateName === undefined &&
    isGeneratedName(secret.metadata.name, `${account}-token-`)
  );
}

/** The Secret holds the registry credentials that OpenShift keeps for each service account. */
export function isAccountDockercfg(secret: KubeObject): boolean {
  return (
    secret.type === 'kubernetes.io/dockercfg' &&
    (annotation(secret, 'kubernetes.io/service-account.name') !== undefined ||
      annotation(secret, 'openshift.io/internal-registry-auth-token.service-account') !== undefined ||
      (secret.metadata.ownerReferences?.some((owner) => isOf(owner, '', ['ServiceAccount'])) ?? false))
  );
}

/**
 * Whether the server made this name from that beginning. Its five letters have no vowels:
 * https://github.com/kubernetes/kubernetes/blob/v1.35.4/staging/src/k8s.io/apiserver/pkg/storage/names/generate.go
 */
export function isGeneratedName(name: string, base: string): boolean {
  const start = base.slice(0, 58);
  return name.startsWith(start) && /^[bcdfghjklmnpqrstvwxz2456789]{5}$/.test(name.slice(start.length));
}

/** A storage driver made the volume for a claim and deletes it with the claim. */
export function isThrowawayVolume(volume: KubeObject): boolean {
  return (
    inSpec(volume, 'persistentVolumeReclaimPolicy') === 'Delete' &&
    annotation(volume, 'pv.kubernetes.io/provisioned-by') !== undefined
  );
}

const TAKEN_FROM = ['persistentVolumeClaimName', 'selector', 'volumeHandle', 'volumeHandles'];

/** A (group) snapshot or its content was taken of volumes, as opposed to one an administrator entered by hand. */
export function isTakenSnapshot(object: KubeObject): boolean {
  const source = inSpec(object, 'source');
  return isMap(source) && TAKEN_FROM.some((field) => source[field] !== undefined);
}

/** The name is one that only the control plane may give. */
export function isSystemNamed({ metadata }: KubeObject): boolean {
  return metadata.name.startsWith('system-');
}

/** The server made the role or binding, and keeps it up to date. */
export function isBootstrapRole(role: KubeObject): boolean {
  return (
    label(role, 'kubernetes.io/bootstrapping') === 'rbac-defaults' &&
    annotation(role, 'rbac.authorization.kubernetes.io/autoupdate') !== 'false'
  );
}

/** A signer of the control plane itself publishes the bundle. */
export function isSystemBundle(bundle: KubeObject): boolean {
  const signer = inSpec(bundle, 'signerName');
  return typeof signer === 'string' && signer.startsWith('kubernetes.io/');
}

/** An EndpointSlice of the Service by which Pods reach the API server. */
export function isApiServerSlice(slice: KubeObject): boolean {
  return slice.metadata.namespace === 'default' && label(slice, 'kubernetes.io/service-name') === 'kubernetes';
}

/** An EndpointSlice is kept by one of the control plane's own controllers. */
export function isControllersSlice(slice: KubeObject): boolean {
  const manager = label(slice, 'endpointslice.kubernetes.io/managed-by');
  return manager === 'endpointslice-controller.k8s.io' || manager === 'endpointslicemirroring-controller.k8s.io';
}

/** Endpoints follow a Service's selector. Those without any Service the endpoints controller removes. */
export function isControllersEndpoints(endpoints: KubeObject, context: SkipContext): boolean {
  const { namespace = '', name } = endpoints.metadata;
  return (
    label(endpoints, 'endpoints.kubernetes.io/managed-by') === 'endpoint-controller' ||
    !context.hasSelectorlessService(namespace, name)
  );
}
