import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';
import type { Pair } from './spec.ts';

/** https://kubernetes.io/docs/concepts/storage/persistent-volumes/#class-1 and how operators call it in their kinds. */
const CLASS_KEYS = ['storageClassName', 'storageClass', 'volume.beta.kubernetes.io/storage-class'];

/** A map of names on its way through objects. */
export interface PairMapper {
  /** Maps in place; says whether anything changed. */
  apply(object: KubeObject): boolean;
  /** Whether a document in YAML may have one of the names; false only when that is certain. */
  mayChange(text: string): boolean;
  /** Those that were met nowhere. */
  unused(): readonly Pair[];
}

/** Maps the storage classes that claims, templates of claims, volumes and custom resources name; classes keep their names. */
export function createStorageClassMapper(pairs: readonly Pair[]): PairMapper {
  const used = new Set<string>();
  const classes = new Map(pairs.map(({ from, to }) => [from, to]));

  const visit = (value: unknown): boolean => {
    let changed = false;
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object') changed = visit(item) || changed;
      return changed;
    }
    if (!isMap(value)) return false;
    for (const key of CLASS_KEYS) {
      const from = value[key];
      const to = typeof from === 'string' ? classes.get(from) : undefined;
      if (typeof from !== 'string' || to === undefined) continue;
      value[key] = to;
      used.add(from);
      changed = true;
    }
    for (const key in value) {
      const item = value[key];
      if (typeof item === 'object' && item !== null) changed = visit(item) || changed;
    }
    return changed;
  };
  return {
    apply: (object) => (object.kind === 'ConfigMap' || object.kind === 'Secret' ? false : visit(object)),
    mayChange: (text) => [...classes.keys()].some((name) => text.includes(name)),
    unused: () => pairs.filter(({ from }) => !used.has(from)),
  };
}
