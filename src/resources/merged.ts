import type { NamespaceMap } from '../transforms/namespace-map.ts';
import { keyOf, nameObject } from './resource.ts';
import type { ScannedGroup } from './scan.ts';

/**
 * Whether several namespaces of the source become one at the target: only then can two objects come to the same name.
 *
 * @param sources - those that are brought in
 */
export function findMerged(sources: readonly string[], map: NamespaceMap): (namespace: string) => boolean {
  const counts = Map.groupBy(sources, (name) => map.get(name) ?? name);
  return (namespace) => (counts.get(namespace)?.length ?? 0) > 1;
}

/** What is brought to one name more than once. */
export interface MergedObjects {
  /** What every namespace has: of those, one is enough. */
  readonly dropped: ReadonlyMap<ScannedGroup, ReadonlySet<number>>;
  /** Where one would be lost: the namespaces of the source by what they bring. */
  readonly collisions: ReadonlyMap<string, readonly string[]>;
}

/** Finds what comes to one name from several namespaces. */
export function findMergedObjects(groups: readonly ScannedGroup[]): MergedObjects {
  const members = groups.flatMap((group) => group.members.map((member) => ({ ...member, group })));
  const dropped = new Map<ScannedGroup, Set<number>>();
  const collisions = new Map<string, readonly string[]>();
  for (const same of Map.groupBy(members, ({ id }) => keyOf(id)).values()) {
    const [first] = same;
    if (first === undefined || same.length === 1) continue;
    if (!first.appears) {
      collisions.set(nameObject(first.id), same.map(({ from }) => from).sort());
      continue;
    }
    // The namespace that keeps its name has the better right.
    const place = first.id.namespace ?? first.id.name;
    const kept = same.find(({ from }) => from === place) ?? first;
    for (const { group, position } of same.filter((member) => member !== kept)) {
      const positions = dropped.get(group) ?? new Set();
      dropped.set(group, positions.add(position));
    }
  }
  return { dropped, collisions };
}
