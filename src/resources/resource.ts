import type { KubeObject } from '../cluster/cluster.ts';

/**
 * Put on an object with the value `true`, keeps it out of every export; on a Namespace, everything in it too. Helm
 * releases are not concerned.
 */
export const OPT_OUT_LABEL = 'transship.dev/exclude';

/** What tells one object from another, whatever version it is read in. */
export interface ObjectId {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  /** Absent or empty for cluster-scoped objects. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** An {@link ObjectId} as one text, for sets and maps. */
export function keyOf({ group, kind, namespace = '', name }: ObjectId): string {
  return `${group}/${kind}/${namespace}/${name}`;
}

/** The id of an object that was read. */
export function idOf({ apiVersion, kind, metadata }: KubeObject): ObjectId {
  return { group: groupOf(apiVersion), kind, namespace: metadata.namespace, name: metadata.name };
}

/** The group in an apiVersion; empty for the core group. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}

/** An object as messages name it: `Deployment shop/web`, `ClusterRole reader`, `Widget.example.com shop/a`. */
export function nameObject({ group, kind, namespace, name }: ObjectId): string {
  const custom = group.includes('.') && !group.endsWith('.k8s.io') ? `.${group}` : '';
  return `${kind}${custom} ${namespace ? `${namespace}/` : ''}${name}`;
}
