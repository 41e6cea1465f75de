import { printable } from '../report/printable.ts';
import type {
  Change,
  FieldConflict,
  Plan,
  PlannedEdge,
  PlannedObject,
  PlannedRelease,
  PlanProblem,
  ProblemKind,
} from './plan.ts';

/** What needs a person's eye first. */
export const CHANGES = ['delete', 'recreate', 'update', 'create', 'keep', 'unchanged'] as const satisfies Change[];

/** As Terraform and helm-diff mark them; `!` is a difference that stays. */
export const SYMBOLS: Readonly<Record<Change, string>> = {
  create: '+',
  update: '~',
  recreate: '-/+',
  delete: '-',
  unchanged: '=',
  keep: '!',
};

/** `3 <words>`. */
export const CHANGE_WORDS: Readonly<Record<Change, string>> = {
  create: 'to create',
  update: 'to update',
  recreate: 'to recreate',
  delete: 'to delete',
  unchanged: 'unchanged',
  keep: 'kept',
};

export const PROBLEM_WORDS: Readonly<Record<ProblemKind, string>> = {
  'not-served': 'a kind that the target does not serve',
  'missing-class': 'a class that does not exist',
  'missing-namespace': 'a namespace that does not exist',
  quota: 'a quota',
  forbidden: 'not allowed to this user',
  exists: 'exists already',
  immutable: 'the server refuses the change',
  refused: 'the server refuses it',
  other: 'other',
};

export type Tally = Readonly<Record<Change, number>>;

/** Releases, and objects outside of releases, by what would become of them. */
export function tallyOf({ releases, kinds }: Plan): Tally {
  const tally = tallyOfItems(releases);
  for (const change of CHANGES) {
    for (const kind of kinds) tally[change] += kind[change];
  }
  return tally;
}

export function tallyOfItems(items: readonly { readonly change: Change }[]): Record<Change, number> {
  const tally = { create: 0, update: 0, recreate: 0, delete: 0, unchanged: 0, keep: 0 };
  for (const { change } of items) tally[change]++;
  return tally;
}

/** `2 to create, 12 unchanged`: those that are not none. */
export function describeTally(tally: Tally): string {
  const parts = (['create', 'update', 'recreate', 'delete', 'unchanged', 'keep'] as const)
    .filter((change) => tally[change] > 0)
    .map((change) => `${tally[change]} ${CHANGE_WORDS[change]}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** `Plan: 3 to create, 2 to update, 1 to recreate, 0 to delete, 40 unchanged, 1 kept.` */
export function closingLine(plan: Plan): string {
  const { create, update, recreate, delete: deleted, unchanged, keep } = tallyOf(plan);
  return `Plan: ${create} to create, ${update} to update, ${recreate} to recreate, ${deleted} to delete, ${unchanged} unchanged, ${keep} kept.`;
}

const CARES: ReadonlySet<Change> = new Set(['delete', 'recreate', 'keep']);

/** How much a reader has to mind: an import would fail; it takes something away, or leaves a difference; neither. */
export function gravityOf(plan: Plan): 'problems' | 'care' | 'good' {
  if (plan.problems.length > 0) return 'problems';
  const tally = tallyOf(plan);
  const objects = [...plan.objects, ...plan.releases.flatMap((release) => release.objects)];
  const cares =
    tally.delete + tally.recreate + tally.keep > 0 ||
    objects.some(({ change, conflicts }) => CARES.has(change) || (conflicts?.length ?? 0) > 0);
  return cares ? 'care' : 'good';
}

/** @param quote - marks what was named by others, such as a context */
export function headlineOf(
  { problems, changed, snapshot, target }: Plan,
  quote: (text: string) => string = (text) => text,
): string {
  const what = `${quote(snapshot.id)} of ${quote(snapshot.cluster)}`;
  const into = quote(target.context);
  if (problems.length > 0) {
    return `An import of ${what} into ${into} would fail: ${countOf(problems.length, 'problem')}`;
  }
  if (!changed) return `No changes: ${into} already has what ${what} would bring`;
  return `What an import of ${what} would change in ${into}`;
}

/** Label and value. */
export function factsOf({ created, snapshot, target }: Plan): [string, string][] {
  return [
    ['Snapshot', snapshot.id],
    ['Location', snapshot.location],
    ['Digest', snapshot.digest],
    ['From', snapshot.cluster],
    ['Into', `${target.context} (${target.server})`],
    ['Computed', created],
  ];
}

/** `shop/web`, or the name of what has no namespace. */
export function nameOf({
  namespace,
  name,
}: {
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** A release's chart, app version and revision, each as `old → new` where it changes. */
export function versionsOf({ change, before, after, revisions }: PlannedRelease): string[] {
  const now = after ?? before;
  if (now === undefined) return [];
  const was = before ?? now;
  const chart =
    was.chart === now.chart
      ? `${now.chart} ${arrow(was.chartVersion, now.chartVersion)}`
      : arrow(`${was.chart} ${was.chartVersion}`, `${now.chart} ${now.chartVersion}`);
  const carries = change !== 'unchanged' && change !== 'delete' && change !== 'keep' && revisions > 0;
  return [
    chart,
    ...(was.appVersion === '' && now.appVersion === '' ? [] : [`app ${arrow(was.appVersion, now.appVersion)}`]),
    `revision ${arrow(String(was.revision), String(now.revision))}`,
    ...(was.status === 'deployed' && now.status === 'deployed' ? [] : [arrow(was.status, now.status)]),
    ...(carries ? [`carries ${countOf(revisions, 'revision')}`] : []),
  ];
}

/** `shop/shop: shop 1.3.0 → 1.4.0, app 2.0 → 2.1, revision 4 → 5`. */
export function describeRelease(release: PlannedRelease): string {
  const versions = versionsOf(release).join(', ');
  return versions === '' ? nameOf(release) : `${nameOf(release)}: ${versions}`;
}

function arrow(before: string, after: string): string {
  return before === after ? after : `${before || 'none'} → ${after || 'none'}`;
}

const MOST_FIELDS = 10;

/** `takes over from helm: spec.replicas`: the fields of one manager. */
export function describeConflict({ manager, fields }: FieldConflict): string {
  const more = fields.length > MOST_FIELDS ? ` and ${countOf(fields.length - MOST_FIELDS, 'field')} more` : '';
  return `takes over from ${manager}: ${fields.slice(0, MOST_FIELDS).join(', ')}${more}`;
}

/** `waits for shop/db: …`, a line for each release that goes first. */
export function describeWaits(edges: readonly PlannedEdge[], release: PlannedRelease): string[] {
  return edges.filter(({ to }) => to === nameOf(release)).map(({ from, reason }) => `waits for ${from}: ${reason}`);
}

/** Objects of one kind, and the counts of that kind. */
export interface KindGroup {
  readonly apiVersion: string;
  readonly kind: string;
  readonly tally: Tally;
  /** What needs a person's eye first, then by name. */
  readonly objects: readonly PlannedObject[];
}

/** The objects outside of releases by kind, in the plan's order of kinds. */
export function groupByKind({ kinds, objects }: Pick<Plan, 'kinds' | 'objects'>): KindGroup[] {
  const byKind = new Map<string, PlannedObject[]>();
  for (const object of objects) {
    const key = `${object.apiVersion} ${object.kind}`;
    const group = byKind.get(key);
    if (group === undefined) byKind.set(key, [object]);
    else group.push(object);
  }
  const counted = kinds.map((kind) => {
    const key = `${kind.apiVersion} ${kind.kind}`;
    const group = byKind.get(key) ?? [];
    byKind.delete(key);
    return { apiVersion: kind.apiVersion, kind: kind.kind, tally: kind, objects: sortByChange(group) };
  });
  const uncounted = [...byKind.values()].flatMap((group): KindGroup[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { apiVersion, kind } = first;
    return [{ apiVersion, kind, tally: tallyOfItems(group), objects: sortByChange(group) }];
  });
  return [...counted, ...uncounted];
}

/** What needs a person's eye first, then by namespace and name. */
export function sortByChange<T extends { change: Change; namespace?: string | undefined; name: string }>(
  items: readonly T[],
): T[] {
  return [...items].sort(
    (a, b) =>
      CHANGES.indexOf(a.change) - CHANGES.indexOf(b.change) ||
      compare(a.namespace ?? '', b.namespace ?? '') ||
      compare(a.name, b.name),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The sentences of a problem, then its hint. */
export function describeProblem({ message, hint }: PlanProblem): string {
  return hint === undefined ? message : `${message}\nHint: ${hint}`;
}

/** `1 release`, `2 releases`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/**
 * Text that shows what it is: control characters are gone, and those that turn the direction of writing, which would let
 * a line read as another to who approves it (CVE-2021-42574), are spelled out.
 */
export function visible(text: string): string {
  return printable(text).replace(
    /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** {@link visible}, on one line. */
export function visibleLine(text: string): string {
  return visible(text).replace(/\s+/g, ' ').trim();
}
