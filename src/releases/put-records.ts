import { FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { ENVIRONMENT_LABEL, type Environment } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import { forEachOf } from '../streams.ts';
import type { UndoLog } from '../undo.ts';
import { isMap } from '../values.ts';
import {
  type Driver,
  decodeRecord,
  type ReleaseRecord,
  readStoredRecord,
  recordObjectName,
  recordToObject,
} from './record.ts';
import { isOurs, markOf, recordsPath } from './target-releases.ts';

const WRITES_AT_ONCE = 4;
const CREATE_TRIES = 5;

/** Where the records of one release are kept. */
export interface RecordPlace {
  readonly driver: Driver;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Puts the original records in place of what an import has written so far. The one that tells how far it got goes last:
 * as long as it stands, the next import knows that this one was cut short, and that Helm need not run again. So at no
 * moment is a release that runs without a record, either.
 *
 * @param load - reads one original; few are held at once
 * @param present - revisions that the import has found or made there; those that are no original's are removed
 * @param last - the one of them to replace or remove last
 * @param undo - told of each record, where Helm can't take them back itself
 * @throws TransshipError `IMPORT_FAILED` when somebody else has written one of the revisions meanwhile
 */
export async function putRecords<T extends { readonly revision: number }>(
  cluster: Cluster,
  { driver, namespace, name }: RecordPlace,
  originals: readonly T[],
  load: (original: T) => Promise<ReleaseRecord>,
  {
    present,
    last,
    undo,
  }: { readonly present: ReadonlySet<number>; readonly last: number; readonly undo?: UndoLog | undefined },
  signal?: AbortSignal,
): Promise<void> {
  const byRevision = new Map(originals.map((original) => [original.revision, original]));
  const settle = async (revision: number): Promise<void> => {
    const original = byRevision.get(revision);
    if (original === undefined) {
      const path = recordsPath(driver, namespace, recordObjectName(name, revision));
      await tellChange(cluster, path, undo, signal);
      await removeObject(cluster, path, signal);
    } else if (present.has(revision)) {
      await replaceRecord(cluster, await load(original), signal, undo);
    } else {
      await createRecord(cluster, await load(original), signal, undo);
    }
  };
  const others = new Set([...byRevision.keys(), ...present]);
  others.delete(last);
  await forEachOf(others, WRITES_AT_ONCE, settle);
  await settle(last);
}

/**
 * Creates a record.
 *
 * @throws TransshipError `IMPORT_FAILED` when there is another one of that revision
 */
export async function createRecord(
  cluster: Cluster,
  record: ReleaseRecord,
  signal?: AbortSignal,
  undo?: UndoLog,
): Promise<void> {
  const { driver, namespace, release, revision } = record;
  const object = await recordToObject(record);
  const { live, isNew } = await createObject(cluster, recordsPath(driver, namespace), object, signal);
  if (isNew) await undo?.created(recordsPath(driver, namespace, record.objectName), live);
  if (isNew || payloadOf(live) === payloadOf(object)) return;
  throw new TransshipError(
    'IMPORT_FAILED',
    `Revision ${revision} of release ${namespace}/${release} was written by somebody else during the import.`,
    { hint: `See helm history ${release} -n ${namespace}, and let nothing else work on a release that is imported.` },
  );
}

/** Replaces the payload and labels of one record. */
export async function replaceRecord(
  cluster: Cluster,
  record: ReleaseRecord,
  signal?: AbortSignal,
  undo?: UndoLog,
): Promise<void> {
  const path = recordsPath(record.driver, record.namespace, record.objectName);
  await tellChange(cluster, path, undo, signal);
  await cluster.json({ method: 'PUT', path, query: WRITER, body: await recordToObject(record), signal });
}

async function tellChange(
  cluster: Cluster,
  path: string,
  undo: UndoLog | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (undo === undefined) return;
  const before = await findObject(cluster, path, signal);
  if (before !== undefined) await undo.changing(path, before);
}

/** The objects that hold the records of a release, as they are. */
export async function readRecordObjects(
  cluster: Cluster,
  { driver, namespace, name }: RecordPlace,
  signal?: AbortSignal,
): Promise<KubeObject[]> {
  const objects: KubeObject[] = [];
  const labelSelector = `owner=helm,name=${name}`;
  for await (const object of cluster.list(recordsPath(driver, namespace), { labelSelector, signal })) {
    if (readStoredRecord(object)?.release === name) objects.push(object);
  }
  return objects;
}

/** Reads one record of a release; undefined when it does not exist. */
export async function readRecordAt(
  cluster: Cluster,
  { driver, namespace, name }: RecordPlace,
  revision: number,
  signal?: AbortSignal,
): Promise<ReleaseRecord | undefined> {
  const object = await findObject(cluster, recordsPath(driver, namespace, recordObjectName(name, revision)), signal);
  return object && decodeRecord(object);
}

/**
 * Reads the newest record that Helm has written for a frozen chart.
 *
 * @param mark - of that chart
 * @throws TransshipError `HELM` when there is none: Helm has reported success
 */
export async function readFrozenRecord(
  cluster: Cluster,
  { driver, namespace, name }: RecordPlace,
  mark: string,
  signal?: AbortSignal,
): Promise<ReleaseRecord> {
  let newest: { object: KubeObject; revision: number } | undefined;
  const labelSelector = `owner=helm,name=${name}`;
  for await (const object of cluster.list(recordsPath(driver, namespace), { labelSelector, signal })) {
    const record = readStoredRecord(object);
    if (record === undefined || record.revision < (newest?.revision ?? 0)) continue;
    if ((await markOf(record)) === mark) newest = { object, revision: record.revision };
  }
  if (newest === undefined) {
    throw new TransshipError(
      'HELM',
      `Helm reported success, but what it has written of release ${namespace}/${name} is gone.`,
      { hint: 'Does something else work on this release, or delete its records?' },
    );
  }
  return decodeRecord(newest.object);
}

/**
 * Makes sure a namespace exists, with the label that `helm install --create-namespace` gives it. That itself would need
 * the right to create or patch namespaces also where there is nothing to do. Whoever may not even look is left to what
 * Helm says.
 */
export async function ensureNamespace(
  cluster: Cluster,
  name: string,
  signal?: AbortSignal,
  { environment, undo }: { readonly environment?: Environment | undefined; readonly undo?: UndoLog | undefined } = {},
): Promise<void> {
  const path = `/api/v1/namespaces/${name}`;
  try {
    if ((await findObject(cluster, path, signal)) !== undefined) return;
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return;
    throw error;
  }
  const metadata = { name, labels: { name, ...(environment && { [ENVIRONMENT_LABEL]: environment.name }) } };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata };
  const { live, isNew } = await createObject(cluster, '/api/v1/namespaces', namespace, signal);
  if (isNew) await undo?.created(path, live);
}

const WRITER = { fieldManager: FIELD_MANAGER };

/**
 * Creates an object, also where the connection breaks in the middle: then only a look tells whether it was created.
 *
 * @returns the object, and whether it is this import's: not one of that name which was there already
 */
async function createObject(
  cluster: Cluster,
  path: string,
  body: KubeObject,
  signal: AbortSignal | undefined,
): Promise<{ live: KubeObject; isNew: boolean }> {
  for (let tries = 1; ; tries += 1) {
    try {
      return {
        live: await cluster.json<KubeObject>({ method: 'POST', path, query: WRITER, body, signal }),
        isNew: true,
      };
    } catch (error) {
      if (!(error instanceof ClusterError) || !mayExist(error)) throw error;
      const there = await findObject(cluster, `${path}/${body.metadata.name}`, signal);
      // It has come to be in a try whose answer was lost.
      if (there !== undefined) return { live: there, isNew: error.reason !== 'AlreadyExists' && isOurs(there) };
      if (tries === CREATE_TRIES) throw error;
    }
  }
}

function mayExist({ status, reason }: ClusterError): boolean {
  return reason === 'AlreadyExists' || reason === 'Reset' || reason === 'Stalled' || status >= 500;
}

/** A DELETE that is sent again after a broken connection may find its work done. */
async function removeObject(cluster: Cluster, path: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await cluster.json({ method: 'DELETE', path, signal });
  } catch (error) {
    if (!(error instanceof ClusterError && error.status === 404)) throw error;
  }
}

function payloadOf({ data }: KubeObject): unknown {
  return isMap(data) ? data.release : undefined;
}
