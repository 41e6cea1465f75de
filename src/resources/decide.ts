import { isKeptKind, isRecreatable } from './rules.ts';
import type { Difference, ScannedGroup } from './scan.ts';
import type { Standing } from './work.ts';

/** What may be done about what differs. */
export interface Permissions {
  readonly replace: boolean;
  readonly recreate: boolean;
}

/** What is to be done about one object that differs; of the last two, nothing may. */
export type Verdict =
  /** The target's own answer to that name stays. */
  | 'kept'
  /** A Namespace or CRD that would change with `replace`. */
  | 'left'
  | 'change'
  | 'recreate'
  | 'exists'
  | 'immutable';

/** Decides about one object that differs. */
export function judge({ id, refused, unfit, appears }: Difference, { replace, recreate }: Permissions): Verdict {
  const { group, kind } = id;
  if (isKeptKind(group, kind)) return 'kept';
  if (!replace) {
    if (isFoundation(group, kind)) return 'left';
    return appears && !refused ? 'change' : 'exists';
  }
  if (!refused) return 'change';
  return recreate && isRecreatable(group, kind) && unfit === undefined ? 'recreate' : 'immutable';
}

/** What others share and hold things in: that it exists is enough. */
function isFoundation(group: string, kind: string): boolean {
  return (
    (group === '' && kind === 'Namespace') || (group === 'apiextensions.k8s.io' && kind === 'CustomResourceDefinition')
  );
}

/** What becomes of the objects of one group, by their positions. */
export interface Decided {
  readonly standings: ReadonlyMap<number, Standing>;
  readonly equal: ReadonlySet<number>;
  readonly recreated: ReadonlySet<number>;
  /** Those that another namespace brings to the same place. */
  readonly dropped: ReadonlySet<number>;
}

/** Everything that is decided, and what each verdict was about. */
export interface Decisions {
  readonly of: ReadonlyMap<ScannedGroup, Decided>;
  readonly by: ReadonlyMap<Verdict, readonly Difference[]>;
}

/**
 * Decides about all objects of an import.
 *
 * @param owners - the keys of owners that come along or are there
 * @param dropped - what is not brought in after all
 */
export function decide(
  groups: readonly ScannedGroup[],
  permissions: Permissions,
  owners: ReadonlySet<string>,
  dropped: ReadonlyMap<ScannedGroup, ReadonlySet<number>>,
): Decisions {
  const of = new Map<ScannedGroup, Decided>();
  const by = new Map<Verdict, Difference[]>();
  for (const group of groups) {
    const standings = new Map<number, Standing>();
    const recreated = new Set<number>();
    const out = dropped.get(group) ?? new Set();
    for (const difference of group.different) {
      if (out.has(difference.position)) continue;
      const verdict = judge(difference, permissions);
      const others = by.get(verdict);
      if (others === undefined) by.set(verdict, [difference]);
      else others.push(difference);
      standings.set(difference.position, verdict === 'kept' || verdict === 'left' ? 'kept' : 'different');
      if (verdict === 'recreate') recreated.add(difference.position);
    }
    for (const { position, owners: missing } of group.incomplete) {
      // An owner that does not come is not waited for.
      standings.set(position, missing.some((key) => owners.has(key)) ? 'different' : 'equal');
    }
    of.set(group, { standings, equal: group.equal, recreated, dropped: out });
  }
  return { of, by };
}

/** The standing of one object. */
export function standingOf({ standings, equal }: Decided, position: number): Standing {
  return standings.get(position) ?? (equal.has(position) ? 'equal' : 'new');
}
