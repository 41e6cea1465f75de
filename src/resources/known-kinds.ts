import type { SnapshotKind } from '../archive/snapshot.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import type { ScopeOf } from '../transforms/namespace-rules.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import { groupOf } from './resource.ts';
import type { KindNames } from './selection.ts';

/** A kind that a CRD defines. */
export interface DefinedKind extends KindNames {
  /** Of the CRD: `<plural>.<group>`. */
  readonly crd: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** The served ones. */
  readonly versions: readonly string[];
}

/** Everything known about kinds: by the source when it was exported, by travelling CRDs, by the target. */
export interface KnownKinds {
  /** Every kind an exclude pattern can name. */
  readonly all: readonly KindNames[];
  find(group: string, kind: string): KindNames | undefined;
  /** Those in which the source served a kind; empty where that is not known. */
  sourceVersions(group: string, kind: string): readonly string[];
  readonly scopeOf: ScopeOf;
}

/** The key of a kind in any version. */
export function kindKey(group: string, kind: string): string {
  return `${kind}.${group}`;
}

/** Reads what a CRD defines; undefined when it is damaged, which the server will say. */
export function readDefinedKind({ metadata, spec }: KubeObject): DefinedKind | undefined {
  if (!isMap(spec) || !isMap(spec.names)) return undefined;
  const { group } = spec;
  const { kind, plural, singular, shortNames } = spec.names;
  if (typeof group !== 'string' || typeof kind !== 'string' || typeof plural !== 'string') return undefined;
  return {
    crd: metadata.name,
    group,
    kind,
    plural,
    singular: typeof singular === 'string' ? singular : kind.toLowerCase(),
    shortNames: stringsIn(shortNames),
    namespaced: spec.scope === 'Namespaced',
    versions: mapsIn(spec.versions).flatMap(({ name, served }) =>
      typeof name === 'string' && served === true ? [name] : [],
    ),
  };
}

/** Joins what the source, travelling CRDs and the target say; of one kind the first of them counts. */
export function createKnownKinds(
  source: readonly SnapshotKind[],
  defined: readonly DefinedKind[],
  { kinds: served }: Discovery,
): KnownKinds {
  const sourceKinds = new Map(source.map((one) => [kindKey(one.group, one.kind), one]));
  const named = new Map([...served, ...defined].map((one): [string, KindNames] => [kindKey(one.group, one.kind), one]));
  const all = new Map(named);
  for (const [key, { group, kind, plural, namespaced }] of sourceKinds) {
    // A snapshot has no short names.
    const { singular, shortNames } = named.get(key) ?? {};
    all.set(key, { group, kind, plural, namespaced, ...(singular && { singular }), ...(shortNames && { shortNames }) });
  }
  const find = (group: string, kind: string) => all.get(kindKey(group, kind));
  return {
    all: [...all.values()],
    find,
    sourceVersions: (group, kind) => sourceKinds.get(kindKey(group, kind))?.versions ?? [],
    scopeOf: (apiVersion, kind) => {
      const known = find(groupOf(apiVersion), kind);
      return known && (known.namespaced ? 'Namespaced' : 'Cluster');
    },
  };
}

/** A kind as the target will serve it in one version once its CRD is there. */
export function kindToCome(names: KindNames, version: string, versions: readonly string[]): ResourceKind {
  const { group, kind, plural, singular = kind.toLowerCase(), shortNames = [], namespaced } = names;
  const apiVersion = group === '' ? version : `${group}/${version}`;
  return { group, version, apiVersion, kind, plural, singular, shortNames, namespaced, verbs: CRD_VERBS, versions };
}

/** https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ */
const CRD_VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
