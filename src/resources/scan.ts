import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { States } from '../plan/states.ts';
import { mapInOrder } from '../streams.ts';
import type { NamespaceWarning } from '../transforms/namespace-map.ts';
import { type CompareContext, type Comparison, compareObject, type Shown } from './compare.ts';
import { type LiveMarks, readLive } from './live.ts';
import type { Refused } from './plan-refusal.ts';
import { bindObject, bindUnserved } from './plan-states.ts';
import type { TryNew } from './plan-try-new.ts';
import { findMisfit } from './probe.ts';
import { idOf, nameObject, type ObjectId } from './resource.ts';
import { appearsByItself } from './rules.ts';
import type { HasNamespace } from './target-namespaces.ts';
import { ownersOf, type ReadWanted, type Wanted } from './wanted.ts';

/** The objects of one file that are of one kind and go to one namespace; almost always all of a file. */
export interface ScannedGroup {
  readonly path: string;
  readonly kind: ResourceKind;
  readonly isCustom: boolean;
  readonly namespace: string | undefined;
  count: number;
  /** The target does not let them be listed: what it has is not known. */
  isUnlisted: boolean;
  /** The positions of those that are equal; what is neither here nor in the lists is new. */
  readonly equal: Set<number>;
  readonly different: Difference[];
  /** Those that are equal but for owners. */
  readonly incomplete: { readonly position: number; readonly owners: readonly string[] }[];
  /** Positions of what comes from another namespace too, filled in where two become one. */
  readonly members: {
    readonly position: number;
    readonly id: ObjectId;
    readonly from: string;
    readonly appears: boolean;
  }[];
  /** Only for a plan: of those that are new, why the server would not have them, by position. */
  readonly refused: Map<number, Refused>;
}

/** An object that the target has otherwise. */
export interface Difference {
  readonly position: number;
  readonly id: ObjectId;
  readonly fields: readonly string[];
  readonly refused: boolean;
  readonly unfit: string | undefined;
  /** Whether every namespace has one of its own accord. */
  readonly appears: boolean;
  readonly shown?: Shown | undefined;
}

/** Objects of one kind in one version. */
export interface KindTally {
  readonly recorded: string;
  readonly kind: string;
  count: number;
  /** The first few. */
  readonly names: string[];
}

/** What one file has to say, before anything is decided. */
export interface Scan {
  /** By kind and namespace. */
  readonly groups: Map<string, ScannedGroup>;
  /** What the target can't take, by version and kind. */
  readonly unserved: Map<string, KindTally>;
  /** What goes there in another version. */
  readonly rewritten: Map<string, KindTally & { readonly to: string }>;
  /** Of those, what does not fit into it. */
  readonly misfits: { readonly id: ObjectId; readonly fields: string; readonly to: string }[];
  readonly forbidden: { readonly kind: ResourceKind; readonly namespace: string | undefined }[];
  readonly warnings: NamespaceWarning[];
  warned: number;
  /** Named as owners, by key. */
  readonly owners: Map<string, Owner>;
  /** Names of the Namespaces among the objects. */
  readonly namespaces: string[];
}

export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
}

export interface ScanContext extends CompareContext {
  readonly read: ReadWanted;
  readonly hasNamespace: HasNamespace;
  /** Whether a namespace of the target takes the objects of several of the source. */
  readonly isMerged: (namespace: string) => boolean;
  /** How many objects of a file are compared at once. */
  readonly concurrency: number;
  /** Only for a plan: what is new is tried. */
  readonly tryNew?: TryNew | undefined;
  /** Where given, the state of each object at the target goes there. */
  readonly states?: States | undefined;
}

const NAMES_TOLD = 10;
const WARNINGS_TOLD = 20;

/** Reads one file once and compares all of it with the target. Kept is what differs; of the rest, not even names. */
export async function scanFile(path: string, context: ScanContext): Promise<Scan> {
  const scan: Scan = {
    groups: new Map(),
    unserved: new Map(),
    rewritten: new Map(),
    misfits: [],
    forbidden: [],
    warnings: [],
    warned: 0,
    owners: new Map(),
    namespaces: [],
  };
  const marks = new Map<ScannedGroup, Promise<LiveMarks>>();
  const objects = mapInOrder(placed(path, scan, context), context.concurrency, async (item) => {
    const { wanted, group } = item;
    const live = marks.get(group) ?? marksOf(group, wanted, scan, context);
    marks.set(group, live);
    const id = idOf(wanted.object);
    const mark = (await live).get(id.name);
    const comparison = await compareObject(context, wanted.object, mark);
    const misfit = await misfitOf(wanted, context);
    const isTried = comparison.is === 'new' && misfit === undefined && !group.isUnlisted;
    const refused = isTried ? await context.tryNew?.(wanted) : undefined;
    return { ...item, id, mark, comparison, misfit, refused };
  });
  for await (const { wanted, group, position, id, mark, comparison, misfit, refused } of objects) {
    note(group, position, id, comparison, wanted);
    bindObject(context.states, id, group.isUnlisted ? 'unlisted' : mark);
    if (refused !== undefined) group.refused.set(position, refused);
    if (misfit !== undefined) scan.misfits.push({ id, fields: misfit, to: group.kind.apiVersion });
    if (isNamespace(id)) scan.namespaces.push(id.name);
    const place = isNamespace(id) ? id.name : group.namespace;
    if (place !== undefined && context.isMerged(place)) {
      group.members.push({
        position,
        id,
        from: wanted.from ?? '',
        appears: isNamespace(id) || appearsByItself(wanted.object),
      });
    }
  }
  return scan;
}

interface Placed {
  readonly wanted: Wanted;
  readonly group: ScannedGroup;
  readonly position: number;
}

/** Gives each object its place, and counts what has none. */
async function* placed(path: string, scan: Scan, { read, known, states }: ScanContext): AsyncGenerator<Placed> {
  const warn = (warning: NamespaceWarning) => {
    scan.warned += 1;
    if (scan.warnings.length < WARNINGS_TOLD) scan.warnings.push(warning);
  };
  for await (const wanted of read(path, warn)) {
    const { object, recorded, servable } = wanted;
    const id = idOf(object);
    const title = nameObject(id);
    const key = `${recorded}/${object.kind}`;
    if (servable === undefined) {
      tally(scan.unserved, key, { recorded, kind: object.kind, count: 0, names: [] }, title);
      bindUnserved(states, id);
      continue;
    }
    if (servable.isRewritten) {
      const to = servable.kind.apiVersion;
      tally(scan.rewritten, key, { recorded, kind: object.kind, count: 0, names: [], to }, title);
    }
    for (const { key: ownerKey, owner } of ownersOf(object, known)) {
      const isCluster = known.scopeOf(owner.apiVersion, owner.kind) === 'Cluster';
      const namespace = isCluster ? undefined : object.metadata.namespace;
      scan.owners.set(ownerKey, { apiVersion: owner.apiVersion, kind: owner.kind, namespace, name: owner.name });
    }
    const group = groupFor(scan, path, wanted, servable.kind, servable.isCustom);
    yield { wanted, group, position: group.count++ };
  }
}

/** What tells the groups of a file apart. */
function groupKey(kind: ResourceKind, namespace: string | undefined): string {
  return `${kind.apiVersion}/${kind.kind}/${namespace ?? ''}`;
}

/** Reads the objects of a group again, in their order. */
export async function* readGroup(
  { path, kind, namespace }: ScannedGroup,
  read: ReadWanted,
): AsyncGenerator<{ readonly object: KubeObject; readonly position: number }> {
  const key = groupKey(kind, namespace);
  let position = 0;
  for await (const { object, servable } of read(path)) {
    if (servable === undefined || groupKey(servable.kind, object.metadata.namespace) !== key) continue;
    yield { object, position: position++ };
  }
}

function groupFor(scan: Scan, path: string, { object }: Wanted, kind: ResourceKind, isCustom: boolean): ScannedGroup {
  const { namespace } = object.metadata;
  const key = groupKey(kind, namespace);
  let group = scan.groups.get(key);
  if (group === undefined) {
    const lists = { equal: new Set<number>(), different: [], incomplete: [], members: [], refused: new Map() };
    group = { path, kind, isCustom, namespace, count: 0, isUnlisted: false, ...lists };
    scan.groups.set(key, group);
  }
  return group;
}

async function marksOf(group: ScannedGroup, wanted: Wanted, scan: Scan, context: ScanContext): Promise<LiveMarks> {
  const { kind, namespace } = group;
  if (wanted.servable?.isServed !== true) return new Map();
  if (namespace !== undefined && !(await context.hasNamespace(namespace))) return new Map();
  const marks = await readLive(context, kind, namespace);
  if (marks !== 'forbidden') return marks;
  scan.forbidden.push({ kind, namespace });
  group.isUnlisted = true;
  return new Map();
}

async function misfitOf({ object, servable }: Wanted, context: ScanContext): Promise<string | undefined> {
  if (servable?.isRewritten !== true) return undefined;
  const { namespace } = object.metadata;
  const place = namespace === undefined || (await context.hasNamespace(namespace)) ? namespace : 'default';
  const { cluster, signal } = context;
  return findMisfit({ cluster, kind: servable.kind, object, namespace: place, signal });
}

function note(group: ScannedGroup, position: number, id: ObjectId, comparison: Comparison, { object }: Wanted): void {
  if (comparison.is === 'equal') {
    if (comparison.missingOwners.length > 0) group.incomplete.push({ position, owners: comparison.missingOwners });
    else group.equal.add(position);
  } else if (comparison.is === 'different') {
    const { is: _is, ...difference } = comparison;
    group.different.push({ position, id, appears: appearsByItself(object), unfit: undefined, ...difference });
  }
}

function isNamespace({ group, kind }: ObjectId): boolean {
  return group === '' && kind === 'Namespace';
}

function tally<T extends KindTally>(tallies: Map<string, T>, key: string, empty: T, title: string): void {
  const found = tallies.get(key) ?? empty;
  found.count += 1;
  if (found.names.length < NAMES_TOLD) found.names.push(title);
  tallies.set(key, found);
}

/** Sums up what several files say of the same kinds, in the order of the files. */
export function joinTallies<T extends KindTally>(all: readonly ReadonlyMap<string, T>[]): T[] {
  const joined = new Map<string, T>();
  for (const [key, part] of all.flatMap((tallies) => [...tallies])) {
    const whole = joined.get(key);
    if (whole === undefined) joined.set(key, { ...part, names: [...part.names] });
    else {
      whole.count += part.count;
      whole.names.push(...part.names.slice(0, NAMES_TOLD - whole.names.length));
    }
  }
  return [...joined.values()];
}
