import { hash } from 'node:crypto';
import { FIELD_MANAGER } from '../cluster/apply.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import { ENVIRONMENT_LABEL } from '../environment/environment.ts';
import { forEachOf } from '../streams.ts';
import { isMap } from '../values.ts';
import { FROZEN_ANNOTATION, frozenMark, isUnfinished } from './frozen-mark.ts';
import { type Driver, readStoredRecord, type StoredRecord, unpackRecord } from './record.ts';

/** A release that the target has already, as one driver keeps it. */
export interface TargetRelease {
  readonly driver: Driver;
  readonly namespace: string;
  readonly name: string;
  readonly revisions: readonly TargetRevision[];
}

export interface TargetRevision {
  readonly revision: number;
  readonly status: string;
  /** Of a record that stands in for an original until the import is done: what {@link frozenMark} says. */
  readonly frozen: string | undefined;
  /** Whether an import put it there, and not Helm. */
  readonly isOurs: boolean;
  /** {@link digestOf} the release's JSON; of one that can't be read, of what is there instead. */
  readonly digest: string;
  /** The environment whose import brought it. */
  readonly environment?: string | undefined;
}

const LISTS_AT_ONCE = 4;
/** More names than these would make a long URL; then all records of a namespace are listed. */
const NAMES_IN_SELECTOR = 20;

/**
 * Finds those of some releases that the target has already, whatever their status and driver.
 *
 * @throws TransshipError `FORBIDDEN` when records may not be listed there
 */
export async function findTargetReleases(
  cluster: Cluster,
  wanted: readonly { readonly namespace: string; readonly name: string }[],
  signal?: AbortSignal,
): Promise<TargetRelease[]> {
  const found = new Map<string, TargetRelease & { readonly revisions: TargetRevision[] }>();
  const drivers: readonly Driver[] = ['secret', 'configmap'];
  const places = [...Map.groupBy(wanted, ({ namespace }) => namespace)].flatMap(([namespace, releases]) => {
    const names = new Set(releases.map(({ name }) => name));
    return drivers.map((driver) => ({ namespace, driver, names }));
  });
  const list = async ({ namespace, driver, names }: (typeof places)[number]): Promise<void> => {
    const some = names.size > NAMES_IN_SELECTOR ? '' : `,name in (${[...names].join(',')})`;
    const labelSelector = `owner=helm${some}`;
    for await (const object of cluster.list(recordsPath(driver, namespace), { labelSelector, signal })) {
      const record = readStoredRecord(object);
      if (record === undefined || !names.has(record.release)) continue;
      const { release: name } = record;
      const key = `${driver}/${namespace}/${name}`;
      const release = found.get(key) ?? { driver, namespace, name, revisions: [] };
      release.revisions.push(await readRevision(record, object));
      found.set(key, release);
    }
  };
  await forEachOf(places, LISTS_AT_ONCE, list);
  return [...found.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** The one of them that a release of the snapshot goes on with or goes over: its own driver's before any other's. */
export function chooseExisting(
  existing: readonly TargetRelease[],
  { namespace, name, driver }: { readonly namespace: string; readonly name: string; readonly driver: Driver },
): TargetRelease | undefined {
  const same = existing.filter((release) => release.namespace === namespace && release.name === name);
  return same.find((release) => release.driver === driver) ?? same.find(({ revisions }) => !isUnfinished(revisions));
}

/** Tells one release's JSON from another's. */
export function digestOf(json: string | Uint8Array): string {
  return hash('sha256', json, 'base64');
}

/** The mark of a record that stands in for an original; none, of course, has one that can't be read. */
export async function markOf(record: StoredRecord): Promise<string | undefined> {
  return (await lookInto(record)).frozen;
}

async function readRevision(record: StoredRecord, object: KubeObject): Promise<TargetRevision> {
  const { revision, status, labels } = record;
  const environment = labels[ENVIRONMENT_LABEL];
  return { revision, status, ...(await lookInto(record)), isOurs: isOurs(object), environment };
}

async function lookInto(record: StoredRecord): Promise<Pick<TargetRevision, 'frozen' | 'digest'>> {
  const annotation = record.annotations?.[FROZEN_ANNOTATION];
  try {
    const { release, bytes } = await unpackRecord(record);
    return { frozen: annotation ?? frozenMark(release), digest: digestOf(bytes) };
  } catch {
    return { frozen: annotation, digest: digestOf(record.payload) };
  }
}

/** Who wrote an object is kept by the API server, and outlives what others change in it. */
export function isOurs({ metadata }: KubeObject): boolean {
  const { managedFields } = metadata;
  return Array.isArray(managedFields) && managedFields.some((one) => isMap(one) && one.manager === FIELD_MANAGER);
}

function keyOf({ namespace, name, driver }: TargetRelease): string {
  return `${releaseKey(namespace, name)}/${driver}`;
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
