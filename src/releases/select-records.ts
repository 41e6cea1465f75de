import type { Driver } from './record.ts';

/** What a choice among records looks at. */
interface Selectable {
  readonly driver: Driver;
  readonly namespace: string;
  readonly release: string;
  readonly objectName: string;
}

/**
 * Chooses among the records of each release, holding back one release at a time. The stream must be sorted by
 * namespace and object name; then everything of a release stands between the first and the last name that starts with
 * `sh.helm.release.v1.<release>.v`. (Names of a release `a.v2` start so too and stand among those of a release `a`, so
 * more than one can be held.)
 *
 * @param choose - gets all records of one release of one driver, and gives those to keep
 */
export async function* selectByRelease<T extends Selectable>(
  records: AsyncIterable<T>,
  choose: (records: readonly T[]) => readonly T[],
): AsyncGenerator<T> {
  const held = new Map<string, { namespace: string; prefix: string; records: T[] }>();
  for await (const record of records) {
    for (const [key, group] of held) {
      if (group.namespace === record.namespace && record.objectName.startsWith(group.prefix)) continue;
      held.delete(key);
      yield* choose(group.records);
    }
    const { driver, namespace, release } = record;
    const key = `${driver}/${namespace}/${release}`;
    const group = held.get(key) ?? { namespace, prefix: `sh.helm.release.v1.${release}.v`, records: [] };
    group.records.push(record);
    held.set(key, group);
  }
  for (const group of held.values()) yield* choose(group.records);
}
