/**
 * Whether a group is served by Kubernetes itself. Groups of its own have no dot or end in `.k8s.io`, but so do some that
 * CRDs add (`snapshot.storage.k8s.io`), hence the list:
 * https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/controlplane/instance.go
 */
export function isBuiltInGroup(group: string): boolean {
  return !group.includes('.') || BUILT_IN_GROUPS.has(group);
}

const BUILT_IN_GROUPS = new Set(
  [
    'admissionregistration apiextensions apiregistration authentication authorization certificates coordination discovery',
    'events flowcontrol.apiserver imagepolicy internal.apiserver metrics custom.metrics external.metrics networking node',
    'rbac.authorization resource scheduling settings storage storagemigration',
  ].flatMap((line) => line.split(' ').map((group) => `${group}.k8s.io`)),
);
