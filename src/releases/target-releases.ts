import pLimit from 'p-limit';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { frozenMark } from './frozen-mark.ts';
import { type Driver, readStoredRecord, unpackRecord } from './record.ts';

/** A release that the target has already. */
export interface TargetRelease {
  readonly driver: Driver;
  readonly namespace: string;
  readonly name: string;
  readonly revisions: readonly TargetRevision[];
}

export interface TargetRevision {
  readonly revision: number;
  readonly status: string;
  /** Of a record that Helm wrote for a frozen chart and that was not replaced yet: what {@link frozenMark} says. */
  readonly frozen: string | undefined;
}

const LISTS_AT_ONCE = 4;

/**
 * Finds those of some releases that the target has already, whatever their status and driver.
 *
 * @throws TransshipError `FORBIDDEN` when records may not be listed there
 */
export async function findTargetReleases(
  cluster: Cluster,
  wanted: readonly { readonly namespace: string; readonly name: string }[],
  drivers: readonly Driver[],
  signal?: AbortSignal,
): Promise<Map<string, TargetRelease>> {
  const found = new Map<string, TargetRelease & { readonly revisions: TargetRevision[] }>();
  const keys = new Set(wanted.map(({ namespace, name }) => releaseKey(namespace, name)));
  const namespaces = new Set(wanted.map(({ namespace }) => namespace));
  const limit = pLimit(LISTS_AT_ONCE);
  const places = [...namespaces].flatMap((namespace) => drivers.map((driver) => ({ namespace, driver })));
  await limit.map(places, async ({ namespace, driver }) => {
    for await (const object of cluster.list(recordsPath(driver, namespace), { labelSelector: 'owner=helm', signal })) {
      const record = readStoredRecord(object);
      if (record === undefined) continue;
      const key = releaseKey(namespace, record.release);
      if (!keys.has(key)) continue;
      const release = found.get(key) ?? { driver, namespace, name: record.release, revisions: [] };
      const { revision, status } = record;
      release.revisions.push({ revision, status, frozen: frozenMark((await unpackRecord(record)).release) });
      found.set(key, release);
    }
  });
  return found;
}

/** How a release of the target is told from all others. */
export function releaseKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** The path of the collection, or of one object in it, that holds a driver's records. */
export function recordsPath(driver: Driver, namespace: string, objectName?: string): string {
  const collection = `/api/v1/namespaces/${namespace}/${driver === 'secret' ? 'secrets' : 'configmaps'}`;
  return objectName === undefined ? collection : `${collection}/${objectName}`;
}

/** Reads one object; undefined when it does not exist. */
export async function findObject(
  cluster: Cluster,
  path: string,
  signal?: AbortSignal,
): Promise<KubeObject | undefined> {
  try {
    return await cluster.json<KubeObject>({ method: 'GET', path, signal });
  } catch (error) {
    if (error instanceof ClusterError && error.status === 404) return undefined;
    throw error;
  }
}
