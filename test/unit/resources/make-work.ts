import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { ResourceKind } from '../../../src/cluster/discovery.ts';
import { waveOf } from '../../../src/resources/order.ts';
import { groupOf, idOf, keyOf } from '../../../src/resources/resource.ts';
import type { ImportWork, WorkFile, WorkObject } from '../../../src/resources/work.ts';

/** An object to be brought in, and how it stands at the target: new where nothing else is said. */
export type Piece = KubeObject | Standing;

interface Standing extends Partial<Omit<WorkObject, 'object'>> {
  readonly object: KubeObject;
}

export interface WorkOptions {
  /** Kinds that a travelling CRD defines. */
  readonly custom?: readonly ResourceKind[];
  readonly namespaces?: readonly string[];
  /** Keys of owners that are at the target. */
  readonly owners?: readonly string[];
}

/** Prepared work as an import would have it: a file for each kind and namespace. Objects are copies each time. */
export function workOf(
  kinds: (apiVersion: string, kind: string) => ResourceKind | undefined,
  pieces: readonly Piece[],
  { custom = [], namespaces = [], owners = [] }: WorkOptions = {},
): ImportWork {
  const all = pieces.map((piece): WorkObject => {
    const { object, standing = 'new', recreate = false } = isStanding(piece) ? piece : { object: piece };
    return { object, key: keyOf(idOf(object)), standing, recreate };
  });
  const groups = Map.groupBy(all, ({ object: { apiVersion, kind, metadata } }) =>
    [apiVersion, kind, metadata.namespace ?? ''].join('/'),
  );
  const byFile = new Map<WorkFile, WorkObject[]>();
  for (const group of groups.values()) {
    const [first] = group;
    if (first === undefined) continue;
    const { apiVersion, kind: name, metadata } = first.object;
    const own = custom.find((one) => one.apiVersion === apiVersion && one.kind === name);
    const kind = own ?? kinds(apiVersion, name);
    if (kind === undefined) throw new Error(`There is no ${name} of ${apiVersion}.`);
    const { namespace } = metadata;
    const path = `${namespace === undefined ? '' : `${namespace}/`}${kind.plural}.json`;
    const isCustom = own !== undefined;
    byFile.set({ path, kind, isCustom, namespace, wave: waveOf(kind, isCustom), count: group.length }, group);
  }
  const keys = all.flatMap(({ object: { metadata } }) =>
    (metadata.ownerReferences ?? []).flatMap(({ apiVersion, kind, name }) =>
      [metadata.namespace, undefined].map((namespace) => keyOf({ group: groupOf(apiVersion), kind, namespace, name })),
    ),
  );
  const there = new Set([...all.map(({ key }) => key), ...owners]);
  return {
    files: [...byFile.keys()].sort((a, b) => a.wave - b.wave || (a.path < b.path ? -1 : 1)),
    namespaces,
    owners: new Set(keys.filter((key) => there.has(key))),
    async *objects(file) {
      for (const one of byFile.get(file) ?? []) yield { ...one, object: structuredClone(one.object) };
    },
  };
}

function isStanding(piece: Piece): piece is Standing {
  return !('apiVersion' in piece);
}
