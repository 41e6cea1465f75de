import pLimit from 'p-limit';
import { type Entry, entryOf } from '../archive/entry.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import type { Reporter } from '../report/reporter.ts';
import { isMap } from '../values.ts';
import type { CrdNeeds } from './needs.ts';

/** Where the CRDs stand in an archive: one List, as `kubectl apply -f` takes it. */
export const CRDS_PATH = 'customresourcedefinitions.json';

/** What {@link collectCrds} found. */
export interface CollectedCrds {
  /** Undefined when no CRD travels. */
  readonly entry: Entry | undefined;
  /** The CRDs that travel, sorted. */
  readonly names: readonly string[];
  /** Those that could not be read for lack of rights, sorted; an import needs them at the target. */
  readonly unreadable: readonly string[];
  /** Kinds that a deployed revision uses but the cluster no longer serves, as `<kind>.<group>`, sorted. */
  readonly unserved: readonly string[];
}

const CRD_REQUESTS_AT_ONCE = 8;

/**
 * Fetches the CRDs that exported releases need from the cluster, for Helm's records have only those of a parent chart's
 * `crds/` folder. What may not be read is said in one warning that names all of it, and in the result: a release that
 * finds its kinds at the target can still be imported.
 *
 * @throws ClusterError when a CRD can't be had for another reason than lack of rights
 */
export async function collectCrds(
  cluster: Cluster,
  discovery: Discovery,
  needs: CrdNeeds,
  reporter: Reporter,
  signal?: AbortSignal,
): Promise<CollectedCrds> {
  const { wanted, unserved } = resolveNames(discovery, needs);
  const limit = pLimit(CRD_REQUESTS_AT_ONCE);
  const fetched = await limit.map(wanted, async (name) => ({ name, crd: await fetchCrd(cluster, name, signal) }));

  const unreadable = fetched.filter(({ crd }) => crd === 'forbidden').map(({ name }) => name);
  const crds = fetched.flatMap(({ crd }) => (typeof crd === 'object' ? [stripCrd(crd)] : []));
  if (unreadable.length > 0) {
    reporter.warn(
      `These CRDs are used by exported releases but may not be read, so they do not travel: ${unreadable.join(', ')}. ` +
        'Grant the verb get on customresourcedefinitions, or have them at the target before the import.',
      'CRDs left behind',
    );
  }
  if (unserved.length > 0) {
    reporter.warn(
      `Deployed releases have objects of kinds that the cluster does not serve: ${unserved.join(', ')}.`,
      'CRDs missing',
    );
  }
  return {
    entry: crds.length === 0 ? undefined : toEntry(crds),
    names: crds.map(({ metadata }) => metadata.name),
    unreadable,
    unserved,
  };
}

/** The full names, `<plural>.<group>`, of what may be CRDs; the kinds of extension servers among them have none. */
function resolveNames(discovery: Discovery, needs: CrdNeeds): { wanted: string[]; unserved: string[] } {
  const wanted = new Set(needs.names);
  const unserved: string[] = [];
  for (const { group, kind, running } of needs.kinds.values()) {
    const served = discovery.kinds.find((candidate) => candidate.group === group && candidate.kind === kind);
    if (served !== undefined) wanted.add(`${served.plural}.${group}`);
    else if (running) unserved.push(`${kind}.${group}`);
  }
  for (const { group, plural } of discovery.kinds) {
    const resources = needs.resources.get(group);
    if (resources?.has('*') || resources?.has(plural)) wanted.add(`${plural}.${group}`);
  }
  return { wanted: [...wanted].sort(), unserved: unserved.sort() };
}

async function fetchCrd(
  cluster: Cluster,
  name: string,
  signal: AbortSignal | undefined,
): Promise<KubeObject | 'forbidden' | 'none'> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${encodeURIComponent(name)}`;
  try {
    return await cluster.json<KubeObject>({ method: 'GET', path, signal });
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return 'forbidden';
    if (error instanceof ClusterError && error.status === 404) return 'none';
    throw error;
  }
}

/**
 * Leaves what another cluster can take: the name, labels and annotations (Helm's own mark of which release has made it
 * is among them) and the spec.
 */
function stripCrd({ apiVersion, kind, metadata, spec }: KubeObject): KubeObject {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...annotations } = metadata.annotations ?? {};
  return {
    apiVersion,
    kind,
    metadata: {
      name: metadata.name,
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: isMap(spec) ? spec : {},
  };
}

function toEntry(items: readonly KubeObject[]): Entry {
  return entryOf(
    CRDS_PATH,
    `${JSON.stringify({ apiVersion: 'v1', kind: 'List', metadata: {}, items }, undefined, 2)}\n`,
  );
}
