import type { Manager } from '../archive/snapshot.ts';
import type { KubeObject } from '../cluster/cluster.ts';

const RECORD = /^sh\.helm\.release\.v1\.(.+)\.v\d+$/;

/**
 * Whether a plain object belongs to the release that wrote the snapshot: something it brought, or a record of it.
 *
 * @param object - as the snapshot has it
 */
export function isOfManager({ kind, metadata }: KubeObject, { namespace, release }: Manager): boolean {
  const { annotations = {} } = metadata;
  if (annotations['meta.helm.sh/release-name'] === release) {
    return annotations['meta.helm.sh/release-namespace'] === namespace;
  }
  const isRecord = (kind === 'Secret' || kind === 'ConfigMap') && metadata.namespace === namespace;
  return isRecord && RECORD.exec(metadata.name)?.[1] === release;
}
