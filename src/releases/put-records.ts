import pLimit from 'p-limit';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { type Driver, decodeRecord, type ReleaseRecord, recordObjectName, recordToObject } from './record.ts';
import { findObject, recordsPath } from './target-releases.ts';

const WRITES_AT_ONCE = 4;

/**
 * Puts the original records in place of the one that Helm wrote for the frozen chart. Helm's own stays until every
 * other one is there, so that at no moment a release that runs is without a record.
 *
 * @param frozen - the revisions of the records that Helm wrote for frozen charts; none when nothing was installed
 * @param load - reads one original; they are held one at a time each
 */
export async function putRecords<T extends { readonly revision: number }>(
  cluster: Cluster,
  target: { readonly driver: Driver; readonly namespace: string; readonly name: string },
  originals: readonly T[],
  load: (original: T) => Promise<ReleaseRecord>,
  frozen: readonly number[],
  signal?: AbortSignal,
): Promise<void> {
  const { driver, namespace, name } = target;
  const limit = pLimit(WRITES_AT_ONCE);
  const isFrozen = ({ revision }: T) => frozen.includes(revision);
  await limit.map(
    originals.filter((original) => !isFrozen(original)),
    async (original) => {
      const body = await recordToObject(await load(original));
      await cluster.json({ method: 'POST', path: recordsPath(driver, namespace), body, signal });
    },
  );
  await limit.map(originals.filter(isFrozen), async (original) => replaceRecord(cluster, await load(original), signal));
  const leftOver = frozen.filter((revision) => !originals.some((original) => original.revision === revision));
  await limit.map(leftOver, (revision) => {
    const path = recordsPath(driver, namespace, recordObjectName(name, revision));
    return cluster.json({ method: 'DELETE', path, signal });
  });
}

/**
 * Reads the newest record of a release.
 *
 * @param newest - the revision Helm is expected to have written, or a lower bound of it
 * @throws TransshipError `HELM` when there is none: Helm has reported success
 */
export async function readNewestRecord(
  cluster: Cluster,
  { driver, namespace, name }: { readonly driver: Driver; readonly namespace: string; readonly name: string },
  signal?: AbortSignal,
): Promise<ReleaseRecord> {
  let newest: { object: KubeObject; revision: number } | undefined;
  const path = recordsPath(driver, namespace);
  for await (const object of cluster.list(path, { labelSelector: `owner=helm,name=${name}`, signal })) {
    const revision = Number(object.metadata.labels?.version ?? 0);
    if (newest === undefined || revision > newest.revision) newest = { object, revision };
  }
  if (newest === undefined) {
    throw new TransshipError('HELM', `Helm reported success, but release ${namespace}/${name} has no record.`);
  }
  return decodeRecord(newest.object);
}

/** Replaces the payload and labels of one record. */
export async function replaceRecord(cluster: Cluster, record: ReleaseRecord, signal?: AbortSignal): Promise<void> {
  const path = recordsPath(record.driver, record.namespace, record.objectName);
  await cluster.json({ method: 'PUT', path, body: await recordToObject(record), signal });
}

/** Makes sure a namespace exists, as `helm install --create-namespace` would. */
export async function ensureNamespace(cluster: Cluster, name: string, signal?: AbortSignal): Promise<void> {
  if ((await findObject(cluster, `/api/v1/namespaces/${name}`, signal)) !== undefined) return;
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { name } } };
  try {
    await cluster.json({ method: 'POST', path: '/api/v1/namespaces', body, signal });
  } catch (error) {
    if (!(error instanceof ClusterError && error.reason === 'AlreadyExists')) throw error;
  }
}
