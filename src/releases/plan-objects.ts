import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import type { Change, PlannedObject } from '../plan/plan.ts';
import { mapInOrder } from '../streams.ts';
import type { Explain } from './explain.ts';
import { foreignMarks } from './helm-ownership.ts';
import type { HelmRelease } from './helm-release.ts';
import { objectsIn, pathOf } from './hook-objects.ts';
import { splitManifest } from './manifest.ts';
import type { KindFinder, PlannedKindOf } from './plan-kinds.ts';

/** What planning the objects of a release takes. */
export interface ObjectContext {
  readonly cluster: Cluster;
  readonly explain: Explain;
  readonly kinds: KindFinder;
  /** Whether the target has a namespace; one that may not be looked at is taken for one that exists. */
  readonly hasNamespace: (name: string) => Promise<boolean>;
  /** Names of CRDs that are given to the release before Helm looks at them. */
  readonly givenCrds: ReadonlySet<string>;
  readonly helmMajor: 3 | 4;
  readonly signal?: AbortSignal | undefined;
}

export interface ObjectPlans {
  /** Without those that stay as they are. */
  readonly objects: readonly PlannedObject[];
  /** Objects that exist and that Helm would not take over, each with the reason. */
  readonly refused: readonly string[];
}

const LOOKS_AT_ONCE = 16;

/** An object of a manifest, with what is known of its kind. */
interface Wanted {
  readonly object: KubeObject;
  readonly found: PlannedKindOf | undefined;
}

interface Look {
  readonly planned?: PlannedObject | undefined;
  readonly refused?: string | undefined;
}

/**
 * Plans the objects of a release's manifest.
 *
 * @param current - the release that Helm upgrades; undefined where it installs
 */
export async function planObjects(
  context: ObjectContext,
  release: HelmRelease,
  current: HelmRelease | undefined,
): Promise<ObjectPlans> {
  const wanted = wantedIn(context, release);
  const before = new Map((current === undefined ? [] : wantedIn(context, current)).map((one) => [identify(one), one]));
  const looks: Look[] = [];
  const look = async (one: Wanted) => {
    const old = before.get(identify(one));
    return old === undefined ? planNew(context, release, one) : planKept(context, release, old, one);
  };
  for await (const one of mapInOrder(wanted, LOOKS_AT_ONCE, look)) looks.push(one);
  for (const one of wanted) before.delete(identify(one));
  for await (const one of mapInOrder(before.values(), LOOKS_AT_ONCE, (old) => planGone(context, old))) looks.push(one);
  return {
    objects: looks.flatMap(({ planned }) => planned ?? []),
    refused: looks.flatMap(({ refused }) => refused ?? []),
  };
}

function wantedIn({ kinds }: ObjectContext, release: HelmRelease): Wanted[] {
  const findKind = (apiVersion: string, kind: string) => kinds.find(apiVersion, kind)?.kind;
  return splitManifest(release.manifest ?? '')
    .flatMap(({ text }) => objectsIn(text, release.namespace ?? '', { findKind }))
    .map((object) => ({ object, found: kinds.find(object.apiVersion, object.kind) }));
}

/** As Helm tells objects apart: by group and kind, whatever the version. */
function identify({ object: { apiVersion, kind, metadata } }: Wanted): string {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return `${group}/${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

async function planNew(context: ObjectContext, release: HelmRelease, { object, found }: Wanted): Promise<Look> {
  const { kinds, explain, givenCrds } = context;
  if (found === undefined) kinds.miss(object.apiVersion, object.kind, titleOf(release));
  const live = await findLive(context, { object, found });
  const isGiven = object.kind === 'CustomResourceDefinition' && givenCrds.has(object.metadata.name);
  const foreign = live === undefined || isGiven ? [] : foreignMarks(live, release);
  const change: Change = live === undefined ? 'create' : foreign.length === 0 ? 'update' : 'keep';
  if (found?.kind !== undefined && change === 'create') noteCreated(context, release, object, found.kind);
  else if (found?.kind !== undefined) explain.preflight.note(object, found.kind, change);
  if (live === undefined) return { planned: describe(object, 'create') };
  if (foreign.length === 0) {
    return { planned: describe(object, 'update', { message: 'It exists, and Helm takes it over.' }) };
  }
  const message = 'It exists, and Helm refuses to take it over.';
  return { planned: describe(object, 'keep', { message }), refused: `${nameOf(object)}: ${foreign.join(', ')}` };
}

function planKept(
  { explain, kinds }: ObjectContext,
  release: HelmRelease,
  { object: old }: Wanted,
  { object, found }: Wanted,
): Look {
  if (found === undefined) kinds.miss(object.apiVersion, object.kind, titleOf(release));
  const diff = explain.differ.objects(old, object);
  // Helm sends also those that are equal.
  if (found?.kind !== undefined) explain.preflight.note(object, found.kind, 'update');
  return diff === '' ? {} : { planned: describe(object, 'update', { diff }) };
}

/** Notes an object that Helm creates. What Helm 4 applies server-side, it has to be allowed to patch, too. */
export function noteCreated(
  { explain: { preflight }, helmMajor }: Pick<ObjectContext, 'explain' | 'helmMajor'>,
  release: HelmRelease,
  object: KubeObject,
  kind: ResourceKind,
): void {
  preflight.note(object, kind, 'create');
  const { apiVersion, metadata } = object;
  if (helmMajor === 4 && release.apply_method === 'ssa') {
    preflight.note({ apiVersion, kind: object.kind, metadata }, kind, 'update');
  }
}

/** What is in the manifest no more, Helm deletes, unless the object itself says otherwise. */
async function planGone(context: ObjectContext, old: Wanted): Promise<Look> {
  const live = await findLive(context, old);
  if (live === undefined) return {};
  if (live.metadata.annotations?.['helm.sh/resource-policy'] === 'keep') {
    return { planned: describe(old.object, 'keep', { message: 'Its helm.sh/resource-policy is keep.' }) };
  }
  if (old.found?.kind !== undefined) context.explain.preflight.note(old.object, old.found.kind, 'delete');
  return { planned: describe(old.object, 'delete', { message: 'It is no longer in the manifest.' }) };
}

/** What the cluster has under the name of an object; what may not be looked at is left to what else is found out. */
async function findLive({ cluster, hasNamespace, signal }: ObjectContext, { object, found }: Wanted) {
  if (found?.isServed !== true || found.kind === undefined) return undefined;
  const { namespace } = object.metadata;
  if (namespace !== undefined && !(await hasNamespace(namespace))) return undefined;
  try {
    return await findObject(cluster, pathOf(found.kind, object), signal);
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return undefined;
    throw error;
  }
}

function describe(
  { apiVersion, kind, metadata: { namespace, name } }: KubeObject,
  change: Change,
  more: Pick<PlannedObject, 'diff' | 'message'> = {},
): PlannedObject {
  return { apiVersion, kind, namespace, name, change, ...more };
}

function titleOf({ namespace, name }: HelmRelease): string {
  return `${namespace}/${name}`;
}

function nameOf({ kind, metadata: { namespace, name } }: KubeObject): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}
