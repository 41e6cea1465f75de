import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { isGlob, matcherOf } from '../selection/name-patterns.ts';
import { inTurn, mergeSorted } from '../streams.ts';
import { type Driver, kindOf, recordIn, type StoredRecord } from './record.ts';

/** Which records to list. */
export interface RecordQuery {
  /** Names and globs. */
  readonly namespaces: readonly string[];
  readonly drivers: readonly Driver[];
  readonly signal?: AbortSignal | undefined;
}

/** A record in a list of both drivers'. */
export interface ListedRecord extends StoredRecord {
  /** Whether it is a ConfigMap's and a Secret holds the same revision of the same release. */
  readonly shadowed: boolean;
}

/** The label that Helm puts on its records, and other tools on objects of their own. */
export const RECORD_LABELS = 'owner=helm';

/** How many explicit namespaces are listed ahead of the one being read. */
const NAMESPACES_AHEAD = 3;

/**
 * Lists the records of the chosen namespaces, sorted by namespace and object name as the server sorts them: one LIST a
 * driver over the whole cluster where any pattern is a glob, else one a driver and namespace.
 *
 * @param namespaceRead - called after the last record of each namespace that is listed by itself, with how many it had
 * @throws TransshipError `FORBIDDEN` naming what may not be listed
 */
export async function* listRecords(
  cluster: Cluster,
  { namespaces, drivers, signal }: RecordQuery,
  namespaceRead: (namespace: string, count: number) => Promise<void>,
): AsyncGenerator<ListedRecord> {
  if (namespaces.some(isGlob)) {
    const matchers = namespaces.map(matcherOf);
    const isChosen = (namespace: string) => matchers.some((matches) => matches(namespace));
    yield* listBothDrivers(cluster, drivers, undefined, isChosen, signal);
    return;
  }
  // The server sorts by `<namespace>/<name>`, so `a-b` comes before `a`.
  const names = [...new Set(namespaces)].sort((a, b) => (`${a}/` < `${b}/` ? -1 : 1));
  const sources = names.map(
    (namespace) =>
      async function* () {
        let count = 0;
        for await (const record of listBothDrivers(cluster, drivers, namespace, () => true, signal)) {
          count += 1;
          yield record;
        }
        await namespaceRead(namespace, count);
      },
  );
  yield* inTurn(sources, NAMESPACES_AHEAD);
}

async function* listBothDrivers(
  cluster: Cluster,
  drivers: readonly Driver[],
  namespace: string | undefined,
  isChosen: (namespace: string) => boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedRecord> {
  // In this order, so that of the two records of one name the ConfigMap's comes second.
  const ordered = (['secret', 'configmap'] as const).filter((driver) => drivers.includes(driver));
  const sources = ordered.map((driver) => listDriver(cluster, driver, namespace, isChosen, signal));
  let before: StoredRecord | undefined;
  for await (const record of mergeSorted(sources, compareRecords)) {
    const shadowed = before !== undefined && record.driver === 'configmap' && compareRecords(before, record) === 0;
    before = record;
    yield { ...record, shadowed };
  }
}

async function* listDriver(
  cluster: Cluster,
  driver: Driver,
  namespace: string | undefined,
  isChosen: (namespace: string) => boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredRecord> {
  const plural = driver === 'secret' ? 'secrets' : 'configmaps';
  const path = namespace === undefined ? `/api/v1/${plural}` : `/api/v1/namespaces/${namespace}/${plural}`;
  try {
    for await (const page of cluster.listData(path, { labelSelector: RECORD_LABELS, signal })) {
      for (const object of page) {
        if (!isChosen(object.metadata.namespace ?? '')) continue;
        // Other tools put the label on objects of their own; those are no records and stay out.
        const record = recordIn(object);
        if (record !== undefined) yield record;
      }
    }
  } catch (error) {
    throw error instanceof ClusterError && error.status === 403 ? forbidden(driver, plural, namespace, error) : error;
  }
}

function compareRecords(a: StoredRecord, b: StoredRecord): number {
  const [left, right] = [`${a.namespace}/${a.objectName}`, `${b.namespace}/${b.objectName}`];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function forbidden(driver: Driver, plural: string, namespace: string | undefined, cause: ClusterError): TransshipError {
  const where = namespace === undefined ? 'in the whole cluster, which a glob or * needs' : `in namespace ${namespace}`;
  const ways = [`Grant the verb list on ${plural}`];
  if (namespace === undefined) ways.push('name the namespaces one by one');
  if (driver === 'configmap') ways.push('set HELM_DRIVER=secret to leave out releases that Helm keeps in ConfigMaps');
  return new TransshipError('FORBIDDEN', `${kindOf(driver)}s may not be listed ${where}: ${cause.message}`, {
    hint: `${ways.join(', or ')}.`,
    cause,
  });
}
