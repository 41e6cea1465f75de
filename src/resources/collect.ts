import type { Entry } from '../archive/entry.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ResourceResult } from '../report/results.ts';
import { createFacts } from './facts.ts';
import { closeTexts, createTextMemory } from './gather-text.ts';
import { listEntry } from './list-entry.ts';
import { resourcePath } from './list-file.ts';
import { CRDS, isKind, NAMESPACES, planListings, sharedPlurals, staleVersions, travellingKinds } from './list-kinds.ts';
import { listCrds } from './list-pages.ts';
import { createNeeds } from './needed.ts';
import { pickCandidates } from './pick-candidates.ts';
import type { Gathered, ReadContext } from './read-listing.ts';
import { readListings } from './read-listings.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { createScope } from './scope.ts';
import { createFilter, kindsWithStatus, type ResourceFilter } from './selection.ts';

export { snapshotKinds } from './list-kinds.ts';

/** Which objects to export. */
export interface CollectResourcesOptions {
  readonly discovery: Discovery;
  /** Names and globs; `*` is every namespace. */
  readonly namespaces: readonly string[];
  /** A label selector that the objects must match; not those that are only needed by such. */
  readonly selector?: string | undefined;
  /** `KIND`, `KIND/NAME` or `NAMESPACE/KIND/NAME`, with globs. */
  readonly exclude?: readonly string[] | undefined;
  /** Which cluster-scoped objects travel with those of the namespaces. */
  readonly clusterResources: 'needed' | 'all' | 'none';
  /** Whether to fail when a kind can't be listed, instead of going on with a warning. */
  readonly strict: boolean;
  /** Kinds whose status travels, as a user names them. */
  readonly restoreStatus: readonly string[];
  /** How many lists are read at once. */
  readonly concurrency: number;
  /** For what does not fit into memory; this user's alone. */
  readonly temporaryDirectory: string;
  /** Whether Helm releases are exported too: their records and what they bring stay out. */
  readonly alsoReleases: boolean;
  /** `keyOf` what travelling releases bring; asked for once, when the first entry is. */
  readonly owned?: (() => ReadonlySet<string>) | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** What an export of resources came to. */
export interface CollectedResources {
  /** A row for each kind that has objects, sorted by its plural. */
  readonly resources: readonly ResourceResult[];
  /** Names of the CRDs that should travel too, sorted; some may be of extension servers and have none. */
  readonly crds: readonly string[];
}

/** An export of resources under way. */
export interface ResourceCollection {
  /** One List a kind and namespace, as they are done; read once. */
  readonly entries: AsyncIterable<Entry>;
  /** What was exported; complete after the last entry. */
  result(): CollectedResources;
}

/** What was found of one kind. */
interface Tally {
  exported: number;
  skipped: number;
}

/**
 * Reads the objects of the chosen namespaces, and the cluster-scoped ones that go with them, as a stream of entries.
 *
 * @throws TransshipError `INPUT` at once for a selector, an exclude pattern or a kind that can't be understood; while
 *   reading, for a namespace that is named but does not exist
 * @throws TransshipError `FORBIDDEN` or `CLUSTER`, while reading, naming all that can't be listed, when `strict` or when
 *   nothing can be
 * @throws ClusterError when the API server itself fails
 */
export function collectResources(cluster: Cluster, options: CollectResourcesOptions): ResourceCollection {
  const { discovery, selector, exclude = [], alsoReleases, restoreStatus } = options;
  const where = `the cluster ${cluster.context}`;
  const filter = createFilter({ selector, exclude, kinds: discovery.kinds, alsoReleases, where });
  const withStatus = kindsWithStatus(restoreStatus, discovery.kinds, where);
  const outcome: Outcome = { tallies: new Map(), crds: new Set() };
  return {
    entries: streamEntries(cluster, options, filter, withStatus, outcome),
    result: () => ({
      resources: [...outcome.tallies].map(toResult).sort(compareResults),
      crds: [...outcome.crds].sort(),
    }),
  };
}

/** What an export has come to so far. */
interface Outcome {
  readonly tallies: Map<ResourceKind, Tally>;
  /** Names of CRDs. */
  readonly crds: Set<string>;
}

async function* streamEntries(
  cluster: Cluster,
  options: CollectResourcesOptions,
  filter: ResourceFilter,
  withStatus: ReadonlySet<string>,
  outcome: Outcome,
): AsyncGenerator<Entry> {
  const { discovery, clusterResources, strict, reporter } = options;
  tellStale(options);
  const context = createContext(options, filter, withStatus);
  const { scope, facts, needs, memory } = context;
  const refusals = createRefusals({ strict, context: cluster.context, reporter });
  const shared = sharedPlurals(discovery);
  const kinds = travellingKinds(discovery).filter(
    // Namespaces tell what is to stay out.
    (kind) => isKind(kind, NAMESPACES) || (filter.takesKind(kind) && (kind.namespaced || clusterResources !== 'none')),
  );
  const crds = namesOfCrds(cluster, options, filter, refusals);
  // Its failure is met when all has been listed.
  crds.catch(() => {});
  const clusterScoped: Gathered[] = [];
  let listed = 0;
  try {
    for await (const gathered of readListings(cluster, planListings(kinds, scope.names), context, refusals, options)) {
      if (gathered === undefined) continue;
      const { kind, text, byNamespace } = gathered;
      if (kind.namespaced) {
        listed += 1;
        count(outcome, gathered, gathered.taken, options);
        for (const [namespace, pieces] of byNamespace) {
          yield listEntry(resourcePath(kind, namespace, shared), text, pieces);
        }
        await text.close();
      } else if (clusterResources !== 'none') {
        clusterScoped.push(gathered);
      }
    }
    for (const name of await crds) outcome.crds.add(name);
    refusals.tell(listed);
    warn(options, scope.unmatched(), filter.unused());

    await pickCandidates(clusterScoped, needs, (name) => scope.includes(name) && facts.namespaces.get(name) !== true);
    for (const gathered of clusterScoped) {
      const { kind, text, candidates } = gathered;
      const needed = candidates.filter((candidate) => candidate.needed);
      const pieces = needed.flatMap((candidate) => candidate.pieces);
      count(outcome, gathered, needed.length, options);
      if (pieces.length > 0) yield listEntry(resourcePath(kind, undefined, shared), text, pieces);
      await text.close();
    }
    if (outcome.crds.size > 0 && !filter.takesKind({ ...CRDS, kind: 'CustomResourceDefinition', namespaced: false })) {
      outcome.crds.clear();
    }
    warnIfNothing(options, outcome);
  } finally {
    await closeTexts(memory);
  }
}

function createContext(
  { namespaces, clusterResources, owned, alsoReleases, temporaryDirectory }: CollectResourcesOptions,
  filter: ResourceFilter,
  withStatus: ReadonlySet<string>,
): ReadContext {
  const facts = createFacts();
  return {
    scope: createScope(namespaces),
    filter,
    clusterResources,
    owned: owned?.() ?? new Set(),
    skip: {
      withReleases: alsoReleases,
      hasSelectorlessService: (namespace, name) => facts.selectorlessServices.has(`${namespace}/${name}`),
    },
    strip: {
      keepStatus: (kind, group) => withStatus.has(`${group}/${kind}`),
      hasVolume: (name) => facts.volumes.has(name),
    },
    facts,
    needs: createNeeds(),
    memory: createTextMemory(temporaryDirectory),
  };
}

/** The CRDs that travel whether or not they are used. */
async function namesOfCrds(
  cluster: Cluster,
  { discovery, clusterResources, signal }: CollectResourcesOptions,
  filter: ResourceFilter,
  refusals: Refusals,
): Promise<string[]> {
  const kind = discovery.kinds.find((candidate) => isKind(candidate, CRDS));
  if (clusterResources !== 'all' || kind === undefined || !filter.takesKind(kind)) return [];
  try {
    const crds = await listCrds(cluster, signal);
    return crds.filter((crd) => filter.takes(crd, kind.plural)).map(({ metadata }) => metadata.name);
  } catch (error) {
    if (!refusals.note({ kind, namespace: undefined }, error)) throw error;
    return [];
  }
}

function count(
  { tallies, crds }: Outcome,
  { kind, skipped }: Gathered,
  exported: number,
  { clusterResources, reporter }: CollectResourcesOptions,
): void {
  const tally = tallies.get(kind) ?? { exported: 0, skipped: 0 };
  tally.exported += exported;
  for (const [why, number] of skipped) {
    tally.skipped += number;
    reporter.debug(`${number} of ${kind.plural} ${number === 1 ? 'stays' : 'stay'} behind: it ${why}.`);
  }
  if (tally.exported + tally.skipped > 0) tallies.set(kind, tally);
  if (exported === 0) return;
  reporter.progress(`Exporting objects: ${kind.plural}`);
  if (clusterResources !== 'none' && !isBuiltInGroup(kind.group)) crds.add(`${kind.plural}.${kind.group}`);
}

/** Says which API servers do not answer, so that nobody knows what they have. */
function tellStale({ discovery, strict, reporter }: CollectResourcesOptions): void {
  const stale = staleVersions(discovery);
  if (stale.length === 0) return;
  const message = `What should serve ${stale.join(', ')} does not answer`;
  if (strict) {
    throw new TransshipError('CLUSTER', `${message}.`, {
      hint: 'Look at kubectl get apiservices; without strict these kinds are left out with a warning.',
    });
  }
  reporter.warn(`${message}: objects of its kinds do not travel. Look at kubectl get apiservices.`, 'Not exported');
}

function warn({ reporter }: CollectResourcesOptions, unmatched: readonly string[], unused: readonly string[]): void {
  for (const pattern of unmatched) {
    reporter.warn(`namespace has "${pattern}", which matches no namespace.`, 'Nothing to export');
  }
  for (const pattern of unused) {
    reporter.warn(`exclude has "${pattern}", which matches no object.`, 'Nothing excluded');
  }
}

function warnIfNothing({ namespaces, selector, reporter }: CollectResourcesOptions, { tallies }: Outcome): void {
  if ([...tallies.values()].some(({ exported }) => exported > 0)) return;
  const matching = selector === undefined ? '' : ` matching "${selector}"`;
  reporter.warn(`No object${matching} was found in ${namespaces.join(', ')}.`, 'Nothing to export');
}

function toResult([{ apiVersion, kind, plural }, { exported, skipped }]: [ResourceKind, Tally]): ResourceResult {
  const none = { created: 0, updated: 0, unchanged: 0, deleted: 0, failed: 0 };
  return { apiVersion, kind, resource: plural, exported, skipped, ...none };
}

function compareResults(a: ResourceResult, b: ResourceResult): number {
  const [left, right] = [`${a.resource} ${a.apiVersion}`, `${b.resource} ${b.apiVersion}`];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
