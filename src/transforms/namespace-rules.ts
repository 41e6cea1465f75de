/** How a field holds a namespace: as its whole value, or as a known part of it. */
export type NamespaceForm =
  /** `team-a` */
  | 'name'
  /** `system:serviceaccount:team-a:builder`, `system:serviceaccounts:team-a` */
  | 'user'
  /** `team-a/serving-cert` */
  | 'namespaced-name';

/** A field that certainly names a namespace. */
export interface NamespaceRule {
  /** API group without the version, empty for the core one; undefined for any. */
  readonly group?: string | undefined;
  /** Undefined for any. */
  readonly kinds?: readonly string[] | undefined;
  /** `*` is one key or index, `**` any number of them. */
  readonly path: readonly string[];
  readonly form: NamespaceForm;
}

const RBAC = 'rbac.authorization.k8s.io';
const GATEWAY = 'gateway.networking.k8s.io';
const ADMISSION = 'admissionregistration.k8s.io';
const ROUTES = ['HTTPRoute', 'GRPCRoute', 'TCPRoute', 'TLSRoute', 'UDPRoute'];
const BINDINGS = ['RoleBinding', 'ClusterRoleBinding'];
const WEBHOOKS = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'];
const POLICY_BINDINGS = ['ValidatingAdmissionPolicyBinding', 'MutatingAdmissionPolicyBinding'];
const WORKLOADS = [
  'Pod',
  'Deployment',
  'StatefulSet',
  'DaemonSet',
  'ReplicaSet',
  'ReplicationController',
  'Job',
  'CronJob',
];

/**
 * The fields that are rewritten. What is not here and looks like the namespace is reported, not changed: a rule must be
 * right for every object of its kind.
 */
export const NAMESPACE_RULES: readonly NamespaceRule[] = [
  rule(undefined, undefined, 'metadata namespace'),
  rule(undefined, undefined, '** template metadata namespace'),
  rule(undefined, undefined, 'metadata annotations meta.helm.sh/release-namespace'),
  // https://cert-manager.io/docs/concepts/ca-injector/
  rule(undefined, undefined, 'metadata annotations cert-manager.io/inject-ca-from', 'namespaced-name'),
  rule(undefined, undefined, 'metadata annotations cert-manager.io/inject-ca-from-secret', 'namespaced-name'),
  // The API server puts this label on every namespace, and on nothing else:
  // https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
  rule(undefined, undefined, '** matchLabels kubernetes.io/metadata.name'),
  rule('', ['Namespace'], 'metadata name'),
  rule('', ['Namespace'], 'metadata labels kubernetes.io/metadata.name'),

  rule(RBAC, BINDINGS, 'subjects * namespace'),
  rule(RBAC, BINDINGS, 'subjects * name', 'user'),
  rule('security.openshift.io', ['SecurityContextConstraints'], 'users *', 'user'),
  rule('security.openshift.io', ['SecurityContextConstraints'], 'groups *', 'user'),
  rule('flowcontrol.apiserver.k8s.io', ['FlowSchema'], 'spec rules * subjects * serviceAccount namespace'),

  rule(ADMISSION, WEBHOOKS, 'webhooks * clientConfig service namespace'),
  rule(ADMISSION, POLICY_BINDINGS, 'spec paramRef namespace'),
  rule('apiregistration.k8s.io', ['APIService'], 'spec service namespace'),
  rule('apiextensions.k8s.io', ['CustomResourceDefinition'], 'spec conversion webhook clientConfig service namespace'),
  rule('apiextensions.k8s.io', ['CustomResourceDefinition'], 'spec conversion webhookClientConfig service namespace'),

  // Every volume source that can name a Secret elsewhere does it this way: spec.<source>.<...SecretRef>.namespace.
  rule('', ['PersistentVolume'], 'spec claimRef namespace'),
  rule('', ['PersistentVolume'], 'spec * * namespace'),
  rule('', ['PersistentVolume'], 'spec azureFile secretNamespace'),
  rule('', ['PersistentVolume'], 'spec glusterfs endpointsNamespace'),
  rule('', ['PersistentVolumeClaim'], 'spec dataSourceRef namespace'),
  rule('apps', ['StatefulSet'], 'spec volumeClaimTemplates * spec dataSourceRef namespace'),
  // https://kubernetes-csi.github.io/docs/secrets-and-credentials-storage-class.html
  ...['provisioner', 'node-stage', 'node-publish', 'controller-publish', 'node-expand', 'controller-expand'].map(
    (use) => rule('storage.k8s.io', ['StorageClass'], `parameters csi.storage.k8s.io/${use}-secret-namespace`),
  ),
  ...['snapshotter', 'snapshotter-list'].map((use) =>
    rule('snapshot.storage.k8s.io', ['VolumeSnapshotClass'], `parameters csi.storage.k8s.io/${use}-secret-namespace`),
  ),

  rule('', ['Endpoints'], 'subsets * * * targetRef namespace'),
  rule('discovery.k8s.io', ['EndpointSlice'], 'endpoints * targetRef namespace'),
  rule('networking.k8s.io', ['IngressClass'], 'spec parameters namespace'),
  ...['', 'apps', 'batch', 'extensions'].flatMap((group) => [
    rule(group, WORKLOADS, '** affinity * requiredDuringSchedulingIgnoredDuringExecution * namespaces *'),
    rule(
      group,
      WORKLOADS,
      '** affinity * preferredDuringSchedulingIgnoredDuringExecution * podAffinityTerm namespaces *',
    ),
  ]),

  rule(GATEWAY, ROUTES, 'spec parentRefs * namespace'),
  rule(GATEWAY, ROUTES, 'spec rules * backendRefs * namespace'),
  rule(GATEWAY, ROUTES, 'spec rules * filters * requestMirror backendRef namespace'),
  rule(GATEWAY, ROUTES, 'spec rules * backendRefs * filters * requestMirror backendRef namespace'),
  rule(GATEWAY, ['Gateway'], 'spec listeners * tls certificateRefs * namespace'),
  rule(GATEWAY, ['GatewayClass'], 'spec parametersRef namespace'),
  rule(GATEWAY, ['ReferenceGrant'], 'spec from * namespace'),

  rule('monitoring.coreos.com', ['ServiceMonitor', 'PodMonitor'], 'spec namespaceSelector matchNames *'),
  rule('monitoring.coreos.com', ['Probe'], 'spec targets ingress namespaceSelector matchNames *'),
  rule('monitoring.coreos.com', ['Prometheus'], 'spec alerting alertmanagers * namespace'),

  // https://github.com/kubevirt/containerized-data-importer/blob/main/doc/datavolumes.md
  rule('cdi.kubevirt.io', ['DataVolume', 'DataSource'], 'spec source * namespace'),
  rule('cdi.kubevirt.io', ['DataVolume'], 'spec sourceRef namespace'),
  rule('kubevirt.io', ['VirtualMachine'], 'spec dataVolumeTemplates * spec source * namespace'),
  rule('kubevirt.io', ['VirtualMachine'], 'spec dataVolumeTemplates * spec sourceRef namespace'),
];

function rule(
  group: string | undefined,
  kinds: readonly string[] | undefined,
  path: string,
  form: NamespaceForm = 'name',
): NamespaceRule {
  return { group, kinds, path: path.split(' '), form };
}

/** Built-in kinds without a namespace; for custom ones only the cluster can tell. */
const CLUSTER_KINDS = new Set([
  'Namespace',
  'Node',
  'PersistentVolume',
  'ClusterRole',
  'ClusterRoleBinding',
  'CustomResourceDefinition',
  'StorageClass',
  'IngressClass',
  'PriorityClass',
  'RuntimeClass',
  'GatewayClass',
  'VolumeSnapshotClass',
  'CSIDriver',
  'APIService',
  ...WEBHOOKS,
  ...POLICY_BINDINGS,
  'ValidatingAdmissionPolicy',
  'MutatingAdmissionPolicy',
  'FlowSchema',
  'PriorityLevelConfiguration',
  'PodSecurityPolicy',
  'SecurityContextConstraints',
  'ClusterIssuer',
]);

/** Whether objects of a kind have a namespace; undefined when that is not known. */
export type ScopeOf = (apiVersion: string, kind: string) => 'Cluster' | 'Namespaced' | undefined;

/** {@link ScopeOf} for the kinds that every cluster knows. */
export const builtInScope: ScopeOf = (_, kind) => (CLUSTER_KINDS.has(kind) ? 'Cluster' : undefined);

/** The form in which the field at `path` holds a namespace, undefined when that is not certain. */
export function formOf(
  apiVersion: string,
  kind: string,
  path: readonly (string | number)[],
): NamespaceForm | undefined {
  const slash = apiVersion.indexOf('/');
  const group = slash === -1 ? '' : apiVersion.slice(0, slash);
  return NAMESPACE_RULES.find(
    (candidate) =>
      (candidate.group === undefined || candidate.group === group) &&
      (candidate.kinds === undefined || candidate.kinds.includes(kind)) &&
      matches(candidate.path, 0, path, 0),
  )?.form;
}

function matches(pattern: readonly string[], from: number, path: readonly (string | number)[], at: number): boolean {
  if (from === pattern.length) return at === path.length;
  const segment = pattern[from];
  if (segment === '**') {
    for (let next = at; next <= path.length; next++) if (matches(pattern, from + 1, path, next)) return true;
    return false;
  }
  if (at === path.length || (segment !== '*' && segment !== String(path[at]))) return false;
  return matches(pattern, from + 1, path, at + 1);
}
