import { ClusterError } from '../cluster/cluster.ts';
import { type Discovery, discover } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import type { WantedCrd } from '../crds/restore.ts';
import { TransshipError } from '../errors.ts';
import type { PlannedEdge, PlannedObject, PlannedRelease, PlanProblem } from '../plan/plan.ts';
import type { Explain } from './explain.ts';
import type { Graph } from './graph.ts';
import type { LeftOut } from './manager-guard.ts';
import { planCrds } from './plan-crds.ts';
import { createKindFinder } from './plan-kinds.ts';
import type { ObjectContext } from './plan-objects.ts';
import { planRelease, type ReleaseContext } from './plan-release.ts';
import type { PreparedRelease } from './prepare.ts';
import type { RestoreOptions } from './restore.ts';
import { chooseExisting, type TargetRelease } from './target-releases.ts';
import type { Unchanged } from './unchanged.ts';
import type { CrdShare } from './wanted-crds.ts';

/** What an import of releases would do. */
export interface ReleasePlan {
  readonly releases: readonly PlannedRelease[];
  readonly edges: readonly PlannedEdge[];
  readonly problems: readonly PlanProblem[];
  /** CRDs that are applied before the releases; those that stay equal are left out. */
  readonly crds: readonly PlannedObject[];
  /** Namespaces that are made for them. */
  readonly namespaces: readonly string[];
}

/** All that was found out before anything changes. */
export interface PreparedRestore {
  readonly options: RestoreOptions;
  readonly releases: readonly PreparedRelease[];
  readonly left: readonly LeftOut[];
  readonly existing: readonly TargetRelease[];
  readonly unchanged: ReadonlyMap<string, Unchanged>;
  readonly graph: Graph;
  readonly crds: readonly WantedCrd[];
  readonly shares: readonly CrdShare[];
  readonly problems: readonly PlanProblem[];
}

/** Finds out what bringing the releases in would do, release by release; changes nothing. */
export async function planReleases(prepared: PreparedRestore, explain: Explain): Promise<ReleasePlan> {
  const { options, releases, left, existing, unchanged, crds, shares } = prepared;
  const { cluster, replace, signal } = options;
  const discovery = await discover(cluster, signal);
  const facts = shares.map((share) => share.facts);
  const kinds = createKindFinder(discovery, crds, replace, facts);
  const hasNamespace = createNamespaceLook(options);
  const plannedCrds = await planCrds(cluster, discovery, crds, { replace, explain, signal });
  const objects: Omit<ObjectContext, 'givenCrds'> = {
    ...{ cluster, explain, kinds, hasNamespace, signal },
    helmMajor: options.helm.major,
  };
  const problems: PlanProblem[] = [...prepared.problems];
  const planned: PlannedRelease[] = [];
  const namespaces = new Set<string>();
  // One after the other: each has its payloads in memory.
  for (const release of releases) {
    const { namespace, name, bundle } = release;
    const context: ReleaseContext = {
      ...{ options, explain, problems },
      objects: { ...objects, givenCrds: givenTo(release, crds) },
    };
    const target = chooseExisting(existing, { namespace, name, driver: bundle.driver });
    const plan = await planRelease(context, release, target, unchanged.get(release.key));
    planned.push(plan);
    if (plan.change === 'create' && !(await hasNamespace(namespace))) namespaces.add(namespace);
  }
  for (const { name, namespace, revisions, message } of left) {
    planned.push({ name, namespace, change: 'keep', revisions, values: '', objects: [], hooks: [], message });
  }
  noteNamespaces(namespaces, discovery, explain);
  return {
    releases: planned,
    edges: edgesOf(prepared),
    problems: [...problems, ...kinds.problems()],
    crds: plannedCrds,
    namespaces: [...namespaces].sort(),
  };
}

/** CRDs that bear the name of a release when Helm first looks at them. */
function givenTo({ namespace, name }: PreparedRelease, crds: readonly WantedCrd[]): Set<string> {
  const own = crds.filter(({ owner }) => owner?.name === name && owner.namespace === namespace);
  return new Set(own.map(({ object }) => object.metadata.name));
}

function createNamespaceLook({ cluster, signal }: RestoreOptions): ObjectContext['hasNamespace'] {
  const known = new Map<string, Promise<boolean>>();
  const look = async (name: string): Promise<boolean> => {
    try {
      return (await findObject(cluster, `/api/v1/namespaces/${encodeURIComponent(name)}`, signal)) !== undefined;
    } catch (error) {
      if (error instanceof ClusterError && error.status === 403) return true;
      throw error;
    }
  };
  return (name) => {
    const found = known.get(name) ?? look(name);
    known.set(name, found);
    return found;
  };
}

function noteNamespaces(names: Iterable<string>, { findKind }: Discovery, { preflight }: Explain): void {
  const kind = findKind('v1', 'Namespace');
  if (kind === undefined) throw new TransshipError('CLUSTER', 'The cluster serves no Namespace of v1.');
  for (const name of names) preflight.note({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, kind, 'create');
}

function edgesOf({ graph, releases }: PreparedRestore): PlannedEdge[] {
  const titles = new Map(releases.map(({ key, namespace, name }) => [key, `${namespace}/${name}`]));
  return graph.edges.map(({ provider, waiter, reason }) => ({
    from: titles.get(provider) ?? provider,
    to: titles.get(waiter) ?? waiter,
    reason,
  }));
}
