import { resolve } from 'node:path';
import type { Manager } from '../archive/snapshot.ts';

/** What a manager is made of. */
export interface ManagerParts {
  /** The uid of the namespace kube-system; undefined where it may not be read. */
  readonly cluster: string | undefined;
  /** `namespace/release` */
  readonly name: string;
  readonly path: string;
}

/** Who keeps a path up to date. */
export function managerOf({ cluster, name, path }: ManagerParts): Manager {
  const slash = name.indexOf('/');
  const who = { namespace: name.slice(0, slash), release: name.slice(slash + 1), path: normalisePath(path) };
  return cluster === undefined ? who : { cluster, ...who };
}

/** One text for all ways to write a path: `s3://bucket/prefix` without slashes at its ends, or an absolute path. */
export function normalisePath(path: string): string {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)\/*(.*?)\/*$/s.exec(path.trim()) ?? [];
  if (bucket === undefined) return resolve(path.trim());
  return prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
}

/** Whether two paths are the same place. */
export function isSamePath(one: string, other: string): boolean {
  return normalisePath(one) === normalisePath(other);
}

/** Whether both are the same release of the same cluster. What they write to is not looked at: a lease is at a path. */
export function isSameManager(one: Manager, other: Manager): boolean {
  return one.cluster === other.cluster && one.namespace === other.namespace && one.release === other.release;
}

/** `release transship in namespace ops of cluster 6c1f4f7a-…`, as messages name it. */
export function nameManager({ cluster, namespace, release }: Omit<Manager, 'path'>): string {
  return `release ${release} in namespace ${namespace}${cluster === undefined ? '' : ` of cluster ${cluster}`}`;
}
