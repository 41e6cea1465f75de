import type { KubeObject } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { matcherOf, nearestNames } from '../selection/name-patterns.ts';
import { isMap, mapsIn } from '../values.ts';
import { groupOf } from './resource.ts';
import type { ResourceFilter } from './selection.ts';

/** Which of a snapshot's objects to bring in. */
export interface ResourceChoice {
  /** Names and globs, of the source; empty takes every namespace. */
  readonly namespaces: readonly string[];
  readonly selector?: string | undefined;
  readonly exclude: readonly string[];
  /** Whether releases of the same snapshot are brought in by the same choice. */
  readonly alsoReleases: boolean;
}

/** Whether a namespace of the source is chosen; undefined where all are. */
export type TakesNamespace = ((name: string) => boolean) | undefined;

/**
 * The test that name patterns stand for.
 *
 * @param there - the namespaces that the snapshot has something of
 * @throws TransshipError `INPUT` for a pattern that matches none of them, naming the nearest
 */
export function chooseNamespaces(patterns: readonly string[], there: readonly string[]): TakesNamespace {
  const matchers = patterns.map(matcherOf);
  const idle = patterns.find((_, index) => !there.some((name) => matchers[index]?.(name) === true));
  if (idle !== undefined) throw notInSnapshot(idle, there);
  const takesAll = patterns.length === 0 || patterns.some((pattern) => /^\*+$/.test(pattern));
  return takesAll ? undefined : (name) => matchers.some((matches) => matches(name));
}

function notInSnapshot(pattern: string, namespaces: readonly string[]): TransshipError {
  const nearest = nearestNames(pattern, namespaces);
  const there =
    namespaces.length === 0 ? 'It has no objects in any namespace.' : `It has objects of: ${namespaces.join(', ')}.`;
  return new TransshipError('INPUT', `namespace: "${pattern}" matches nothing in the snapshot. ${there}`, {
    hint:
      nearest.length === 0
        ? 'Name one of those, or leave namespace out to take all.'
        : `Did you mean ${nearest.join(' or ')}?`,
  });
}

/**
 * Whether an object as the snapshot has it is brought in. A selector chooses among what is in namespaces; what has none
 * is there for others, and comes unless it is of a namespace that does not.
 */
export function takesObject(
  object: KubeObject,
  plural: string,
  filter: ResourceFilter,
  takesNamespace: TakesNamespace,
): boolean {
  const { namespace } = object.metadata;
  if (namespace !== undefined) return takesNamespace?.(namespace) !== false && filter.takes(object, plural);
  return (takesNamespace === undefined || isFor(takesNamespace, object)) && !filter.excludes(object, plural);
}

function isFor(takesNamespace: (name: string) => boolean, object: KubeObject): boolean {
  const { kind, metadata } = object;
  const group = groupOf(object.apiVersion);
  if (group === '' && kind === 'Namespace') return takesNamespace(metadata.name);
  if (group === '' && kind === 'PersistentVolume') {
    const claim = isMap(object.spec) && isMap(object.spec.claimRef) ? object.spec.claimRef.namespace : undefined;
    return typeof claim !== 'string' || takesNamespace(claim);
  }
  if (group === 'rbac.authorization.k8s.io' && kind === 'ClusterRoleBinding') {
    // What is bound to users and groups of the whole cluster is not for one namespace to bring.
    return mapsIn(object.subjects)
      .map(namespaceOfSubject)
      .some((name) => name !== undefined && takesNamespace(name));
  }
  return true;
}

/** https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#user-names */
function namespaceOfSubject({ namespace, name }: Record<string, unknown>): string | undefined {
  if (typeof namespace === 'string' && namespace !== '') return namespace;
  return typeof name === 'string' ? /^system:serviceaccounts?:([^:]+)/.exec(name)?.[1] : undefined;
}
