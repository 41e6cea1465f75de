import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import type { WantedCrd } from '../crds/restore.ts';
import type { PlanProblem } from '../plan/plan.ts';
import { isMap, mapsIn } from '../values.ts';
import type { ReleaseFacts } from './release-facts.ts';

/** A kind that the target serves, or will once the import has brought what defines it. */
export interface PlannedKindOf {
  readonly isServed: boolean;
  /** Undefined where only its name is known, as of what an extension server will serve. */
  readonly kind?: ResourceKind | undefined;
}

/** What is known of kinds at the target, and which are missed there. */
export interface KindFinder {
  /** Undefined for one that the target does not serve, then or now. */
  find(apiVersion: string, kind: string): PlannedKindOf | undefined;
  /** Notes that something has an object of a kind that is not found. */
  miss(apiVersion: string, kind: string, where: string): void;
  problems(): PlanProblem[];
}

const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];

/**
 * Looks kinds up at the target and among what the import brings.
 *
 * @param crds - those that are applied before the releases
 * @param replace - whether those that exist are changed
 * @param facts - of all releases: they bring CRDs and APIs too
 */
export function createKindFinder(
  discovery: Discovery,
  crds: readonly WantedCrd[],
  replace: boolean,
  facts: readonly ReleaseFacts[],
): KindFinder {
  const brought = new Map<string, ResourceKind>();
  for (const { object } of crds)
    for (const kind of kindsOf(object)) brought.set(`${kind.apiVersion}/${kind.kind}`, kind);
  const missed = new Map<string, { apiVersion: string; kind: string; by: Set<string> }>();

  const find = (apiVersion: string, kind: string): PlannedKindOf | undefined => {
    const served = discovery.findKind(apiVersion, kind);
    if (served !== undefined) return { isServed: true, kind: served };
    const [version = '', group = ''] = apiVersion.split('/').reverse();
    const other = discovery.kinds.find((one) => one.group === group && one.kind === kind);
    const coming = brought.get(`${apiVersion}/${kind}`);
    // A CRD that exists stays as it is, with the versions that it has.
    if (coming !== undefined && (replace || other === undefined)) return { isServed: false, kind: coming };
    if (other !== undefined) return undefined;
    const name = facts.map(({ crds: names }) => names.get(`${group}/${kind}`)).find((one) => one !== undefined);
    if (name !== undefined) return { isServed: false, kind: makeKind(group, version, kind, name.split('.')[0] ?? '') };
    return facts.some(({ apis }) => apis.has(apiVersion)) ? { isServed: false } : undefined;
  };

  return {
    find,
    miss(apiVersion, kind, where) {
      const key = `${apiVersion}/${kind}`;
      const one = missed.get(key) ?? { apiVersion, kind, by: new Set() };
      missed.set(key, one);
      one.by.add(where);
    },
    problems: () =>
      [...missed.values()].map(({ apiVersion, kind, by }) => describeMissed(discovery, apiVersion, kind, by)),
  };
}

function describeMissed({ kinds, stale }: Discovery, apiVersion: string, kind: string, by: Set<string>): PlanProblem {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const other = kinds.find((one) => one.kind === kind && one.group === group);
  const hint = stale.includes(apiVersion)
    ? 'The extension server behind this API does not answer: see kubectl get apiservices.'
    : other === undefined
      ? 'Install its CustomResourceDefinition or API service at the target first.'
      : `The target serves this kind as ${other.apiVersion}: upgrade the release at the source to that version.`;
  const message = `The target serves no ${kind} of ${apiVersion}, which ${[...by].join(', ')} ${by.size === 1 ? 'has' : 'have'}.`;
  return { kind: 'not-served', message, hint };
}

/** The kinds that a CRD defines, one a version. */
function kindsOf({ spec }: WantedCrd['object']): ResourceKind[] {
  if (!isMap(spec) || !isMap(spec.names)) return [];
  const { group, names, scope } = spec;
  const { kind, plural } = names;
  if (typeof group !== 'string' || typeof kind !== 'string' || typeof plural !== 'string') return [];
  return mapsIn(spec.versions)
    .filter(({ served }) => served === true)
    .map(({ name }) => makeKind(group, String(name), kind, plural, scope !== 'Cluster'));
}

function makeKind(group: string, version: string, kind: string, plural: string, namespaced = true): ResourceKind {
  return {
    ...{ group, version, apiVersion: `${group}/${version}`, kind, plural, namespaced },
    ...{ singular: kind.toLowerCase(), shortNames: [], verbs: VERBS, versions: [version] },
  };
}
