import type { KubeObject } from '../cluster/cluster.ts';
import { matcherOf } from '../selection/name-patterns.ts';
import { isMap } from '../values.ts';
import type { MetadataSpec } from './spec.ts';

/** Sets and removes labels or annotations of an object, in place; says whether anything changed. */
export function createMetadataSetter(
  field: 'labels' | 'annotations',
  { set, remove, templates }: MetadataSpec,
): (object: KubeObject) => boolean {
  const isRemoved = remove.map(matcherOf);
  const entries = Object.entries(set);

  const change = (metadata: Record<string, unknown>): boolean => {
    const given = metadata[field];
    const before = isMap(given) ? given : {};
    const gone = Object.keys(before).filter((key) => isRemoved.some((matches) => matches(key)));
    const changed = entries.filter(([key, value]) => before[key] !== value);
    const lost = gone.filter((key) => !Object.hasOwn(set, key));
    if (lost.length === 0 && changed.length === 0) return false;
    const after: Record<string, unknown> = { ...before, ...set };
    for (const key of lost) delete after[key];
    if (Object.keys(after).length > 0) metadata[field] = after;
    else delete metadata[field];
    return true;
  };
  return (object) => {
    let changed = change(object.metadata);
    if (!templates) return changed;
    for (const template of findPodTemplates(object)) {
      if (!isMap(template.metadata)) template.metadata = {};
      if (isMap(template.metadata)) changed = change(template.metadata) || changed;
    }
    return changed;
  };
}

/** What pods are made from: a `template` that has containers, at any depth. */
function findPodTemplates(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap(findPodTemplates);
  if (!isMap(value)) return [];
  const { template } = value;
  const own = isMap(template) && isMap(template.spec) && Array.isArray(template.spec.containers) ? [template] : [];
  return [...own, ...Object.values(value).flatMap(findPodTemplates)];
}
