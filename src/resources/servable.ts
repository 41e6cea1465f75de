import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { type DefinedKind, type KnownKinds, kindKey, kindToCome } from './known-kinds.ts';
import { groupOf } from './resource.ts';

/** How the target takes objects of one kind and version. */
export interface Servable {
  /** In the version in which they go there. */
  readonly kind: ResourceKind;
  /** Whether its CRD travels too. */
  readonly isCustom: boolean;
  /** Whether the target serves it now. */
  readonly isServed: boolean;
  /** Whether the version is another one than the recorded. */
  readonly isRewritten: boolean;
}

export interface ServableContext {
  readonly discovery: Discovery;
  readonly known: KnownKinds;
  /** What the travelling CRDs define that this import brings in; by {@link kindKey}. */
  readonly defined: ReadonlyMap<string, DefinedKind>;
  /** CRDs that the releases of the same import bring, by name. */
  readonly otherCrds: ReadonlySet<string>;
  /** Whether CRDs of the target are changed to what travels. */
  readonly replace: boolean;
}

/** Undefined: the target serves the kind in no version, and nothing that travels will make it. */
export type Serve = (apiVersion: string, kind: string) => Servable | undefined;

/** Finds for each kind and version the one it goes to the target in; what was found is remembered. */
export function createServe(context: ServableContext): Serve {
  const found = new Map<string, Servable | undefined>();
  return (apiVersion, kind) => {
    const key = `${apiVersion}/${kind}`;
    if (!found.has(key)) found.set(key, findServable(context, apiVersion, kind));
    return found.get(key);
  };
}

function findServable(
  { discovery, known, defined, otherCrds, replace }: ServableContext,
  apiVersion: string,
  kind: string,
): Servable | undefined {
  const group = groupOf(apiVersion);
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  const names = known.find(group, kind);
  const comes = defined.get(kindKey(group, kind));
  const isOther = names !== undefined && otherCrds.has(`${names.plural}.${group}`);
  const isCustom = comes !== undefined || isOther;

  const same = discovery.findKind(apiVersion, kind);
  if (same !== undefined) return { kind: same, isCustom, isServed: true, isRewritten: false };

  const other = discovery.kinds.find((one) => one.group === group && one.kind === kind);
  // A CRD that is at the target and not replaced goes on to serve what it serves.
  if (comes?.versions.includes(version) && (replace || other === undefined)) {
    return { kind: kindToCome(comes, version, comes.versions), isCustom, isServed: false, isRewritten: false };
  }
  if (other !== undefined) {
    const atSource = known.sourceVersions(group, kind);
    const chosen = other.versions.find((one) => atSource.includes(one)) ?? other.version;
    const served = discovery.findKind(`${group === '' ? '' : `${group}/`}${chosen}`, kind) ?? other;
    return { kind: served, isCustom, isServed: true, isRewritten: true };
  }
  // A release's CRD that does not travel as a file of its own: the release will say whether it fits.
  if (isOther && comes === undefined) {
    return { kind: kindToCome(names, version, [version]), isCustom, isServed: false, isRewritten: false };
  }
  return undefined;
}
