import { FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { describeChart } from '../releases/helm-release.ts';
import { highest, pickRunning } from '../releases/history.ts';
import { type Driver, decodeRecord, parseRelease } from '../releases/record.ts';
import { type ReleaseFacts, readFacts } from '../releases/release-facts.ts';
import { recordsPath, releaseKey } from '../releases/target-releases.ts';
import type { ReleaseResult } from '../report/results.ts';
import { mapsIn } from '../values.ts';
import { ENVIRONMENT_LABEL, type Environment } from './environment.ts';
import type { FoundObject } from './labelled.ts';

/** A release that an environment has brought: its newest record bears the label. */
export interface OwnRelease {
  readonly driver: Driver;
  readonly namespace: string;
  readonly name: string;
  /** What a result says of it, but for its outcome. */
  readonly row: Omit<ReleaseResult, 'outcome' | 'message'>;
  /** RFC 3339. */
  readonly firstDeployed: string | undefined;
  /** Undefined where its record can't be read. */
  readonly facts: ReleaseFacts | undefined;
  /** Records that an import brought as history, of revisions above the one that runs. */
  readonly above: readonly { readonly path: string; readonly uid: string | undefined }[];
}

const DRIVERS: readonly Driver[] = ['secret', 'configmap'];
const RECORD_NAME = /^sh\.helm\.release\.v1\.(.+)\.v[1-9][0-9]*$/;

/** The release that an object is a record of, by its name, as Helm itself tells; undefined for any other object. */
export function releaseOfRecord({ id }: Pick<FoundObject, 'id'>): string | undefined {
  return id.group === '' && (id.kind === 'Secret' || id.kind === 'ConfigMap')
    ? RECORD_NAME.exec(id.name)?.[1]
    : undefined;
}

/**
 * Reads a release of an environment.
 *
 * @returns undefined when there is none, or its newest revision is not of the environment
 * @throws ClusterError also when records may not be listed there
 */
export async function readOwnRelease(
  cluster: Cluster,
  environment: Environment,
  place: { readonly namespace: string; readonly name: string },
  signal?: AbortSignal,
): Promise<OwnRelease | undefined> {
  for (const driver of DRIVERS) {
    const heads = await listHeads(cluster, driver, place, signal);
    const newest = highest(heads);
    if (newest === undefined || newest.environment !== environment.name) continue;
    const shown = pickRunning(heads) ?? newest;
    const object = await findObject(cluster, shown.path, signal);
    if (object !== undefined) return describe(object, driver, place, heads, shown);
  }
  return undefined;
}

/** Whether there is a release of that name, of whomever; so it is taken to be where records may not be listed. */
export async function hasRelease(
  cluster: Cluster,
  place: { readonly namespace: string; readonly name: string },
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    for (const driver of DRIVERS) {
      if ((await listHeads(cluster, driver, place, signal)).length > 0) return true;
    }
    return false;
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return true;
    throw error;
  }
}

/**
 * The release that an object says it belongs to, whether there is one or not.
 * https://github.com/helm/helm/blob/v4.3.1/pkg/action/validate.go
 */
export function releaseOf({
  metadata,
}: Pick<FoundObject, 'metadata'>): { readonly namespace: string; readonly name: string } | undefined {
  const { labels = {}, annotations = {} } = metadata;
  const name = annotations['meta.helm.sh/release-name'];
  const namespace = annotations['meta.helm.sh/release-namespace'];
  if (labels['app.kubernetes.io/managed-by'] !== 'Helm' || name === undefined || namespace === undefined) {
    return undefined;
  }
  return { namespace, name };
}

/**
 * Tells of objects whether they belong to a release that exists, other than some: Helm then looks after them, whoever
 * brought them. Each release is looked for once.
 *
 * @param except - keys of releases that do not count
 */
export function createIsOfRelease(
  cluster: Cluster,
  except: ReadonlySet<string>,
  signal?: AbortSignal,
): (object: FoundObject) => Promise<boolean> {
  const known = new Map<string, Promise<boolean>>();
  return async (object) => {
    const release = releaseOf(object);
    if (release === undefined) return false;
    const key = releaseKey(release.namespace, release.name);
    if (except.has(key)) return false;
    const asked = known.get(key) ?? hasRelease(cluster, release, signal);
    known.set(key, asked);
    return asked;
  };
}

interface Head {
  readonly path: string;
  readonly uid: string | undefined;
  readonly revision: number;
  readonly status: string;
  readonly environment: string | undefined;
  /** Whether an import put it there, and not Helm. */
  readonly isOurs: boolean;
}

async function listHeads(
  cluster: Cluster,
  driver: Driver,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  signal?: AbortSignal,
): Promise<Head[]> {
  const heads: Head[] = [];
  const options = { labelSelector: `owner=helm,name=${name}`, metadataOnly: true, signal };
  for await (const { metadata } of cluster.list(recordsPath(driver, namespace), options)) {
    if (RECORD_NAME.exec(metadata.name)?.[1] !== name) continue;
    const revision = Number(metadata.name.slice(metadata.name.lastIndexOf('.v') + 2));
    const { status = 'unknown', [ENVIRONMENT_LABEL]: environment } = metadata.labels ?? {};
    const isOurs = mapsIn(metadata.managedFields).some(({ manager }) => manager === FIELD_MANAGER);
    const path = recordsPath(driver, namespace, metadata.name);
    heads.push({ path, uid: metadata.uid, revision, status, environment, isOurs });
  }
  return heads;
}

/** A record that can't be read still names a release that Helm can be asked to uninstall. */
async function describe(
  object: KubeObject,
  driver: Driver,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  heads: readonly Head[],
  { revision, status }: Head,
): Promise<OwnRelease> {
  const base = { name, namespace, revision, revisions: heads.length, status };
  const higher = heads.filter((one) => one.revision > revision);
  const above = higher.every(({ isOurs }) => isOurs) ? higher.map(({ path, uid }) => ({ path, uid })) : [];
  try {
    const release = parseRelease(await decodeRecord(object));
    return {
      ...{ driver, namespace, name, above },
      row: { ...base, ...describeChart(release) },
      firstDeployed: release.info.first_deployed,
      facts: readFacts(release, namespace),
    };
  } catch {
    const row = { ...base, chart: '', chartVersion: '', appVersion: '' };
    return { driver, namespace, name, above, row, firstDeployed: undefined, facts: undefined };
  }
}
