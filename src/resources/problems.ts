import type { Discovery } from '../cluster/discovery.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import { TransshipError } from '../errors.ts';
import type { PlanProblem, ProblemKind } from '../plan/plan.ts';
import type { Refused } from './plan-refusal.ts';
import { groupOf, nameObject, type ObjectId } from './resource.ts';
import { isRecreatable } from './rules.ts';
import { type Difference, joinTallies, type KindTally, type Scan } from './scan.ts';
import type { PrepareOptions, Survey } from './survey.ts';

const OBJECTS_TOLD = 50;

/** Something that stops an import. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly error: TransshipError;
}

/** All that stops an import, the most basic first. */
export function findProblems(
  { scans, merged, decisions: { by } }: Pick<Survey, 'scans' | 'merged' | 'decisions'>,
  { cluster: { context }, discovery, origin, recreate }: PrepareOptions,
): Problem[] {
  const unserved = joinTallies(scans.map((scan) => scan.unserved));
  const misfits = scans.flatMap((scan) => scan.misfits);
  const unlisted = scans.flatMap(({ forbidden }) => forbidden);
  const found: readonly [ProblemKind, TransshipError | undefined][] = [
    ['forbidden', forbiddenLists(unlisted, context)],
    ['other', collisions(merged.collisions)],
    ['not-served', notServed(unserved, misfits, discovery, context)],
    ['immutable', immutable(by.get('immutable') ?? [], origin, context, recreate)],
    ['exists', existing(by.get('exists') ?? [], origin, context)],
  ];
  return found.flatMap(([kind, error]) => (error === undefined ? [] : [{ kind, error }]));
}

/** An object that the server would refuse. */
export interface RefusedObject {
  readonly id: ObjectId;
  readonly refused: Refused;
}

/** What the server would not have, tried in dry runs. */
export function refusals(objects: readonly RefusedObject[], context: string): PlanProblem[] {
  const linesOf = (kind: Refused['kind']) =>
    objects
      .filter(({ refused }) => refused.kind === kind)
      .map(({ id, refused }) => `${nameObject(id)}: ${refused.message}`);
  const [refused, quota] = [linesOf('refused'), linesOf('quota')];
  const problems: PlanProblem[] = [];
  if (refused.length > 0) {
    problems.push({
      kind: 'refused',
      message: `${context} would refuse ${refused.length === 1 ? 'this' : 'these'}:${list(refused)}`,
      hint: 'Change them at the source or with transforms, or leave them out with exclude: KIND/NAME or NAMESPACE/KIND/NAME.',
    });
  }
  if (quota.length > 0) {
    problems.push({
      kind: 'quota',
      message: `Quotas and limits of ${context} would refuse ${quota.length === 1 ? 'this' : 'these'}:${list(quota)}`,
      hint: 'Raise them at the target, or leave objects out with exclude.',
    });
  }
  return problems;
}

/** One error of several; the code is the first one's. Undefined for none. */
export function joinProblems(problems: readonly TransshipError[]): TransshipError | undefined {
  const [first, ...others] = problems;
  if (first === undefined || others.length === 0) return first;
  const hints = problems.map(({ hint }) => hint).filter((hint) => hint !== undefined);
  return new TransshipError(first.code, problems.map(({ message }) => message).join('\n'), {
    hint: [...new Set(hints)].join(' '),
  });
}

/** What may not be listed at the target, so that nothing can be compared. */
export function forbiddenLists(forbidden: Scan['forbidden'], context: string): TransshipError | undefined {
  if (forbidden.length === 0) return undefined;
  const places = Map.groupBy(forbidden, ({ namespace }) => namespace);
  const lines = [...places].map(([namespace, kinds]) => {
    const names = [...new Set(kinds.map(({ kind }) => resourceName(kind.plural, kind.group)))].sort();
    return `${namespace === undefined ? 'of the cluster' : `in namespace ${namespace}`}: ${names.join(', ')}`;
  });
  return new TransshipError(
    'FORBIDDEN',
    `What ${context} has can't be compared with the snapshot, for these may not be listed there:${list(lines)}`,
    { hint: 'Grant the verbs get, list, create and patch on them, or leave them out with exclude.' },
  );
}

/** What the target does not serve, and what does not fit into the version that it serves instead. */
export function notServed(
  unserved: readonly KindTally[],
  misfits: Scan['misfits'],
  { stale }: Discovery,
  context: string,
): TransshipError | undefined {
  if (unserved.length + misfits.length === 0) return undefined;
  const kinds = unserved.map(({ recorded, kind, count, names }) => {
    const down = stale.find((one) => groupOf(one) === groupOf(recorded));
    const why =
      down === undefined
        ? isBuiltInGroup(groupOf(recorded))
          ? 'the API was removed or is not enabled there'
          : 'its CustomResourceDefinition or API service is missing there'
        : `the API service of ${down} does not answer there`;
    const more = count > names.length ? ` and ${count - names.length} more` : '';
    return `${kind} of ${recorded} (${why}): ${count} ${count === 1 ? 'object' : 'objects'}: ${names.join(', ')}${more}`;
  });
  const unfit = misfits.map(({ id, fields, to }) => `${nameObject(id)} does not fit into ${to}: ${fields}`);
  const excludes = unserved.slice(0, 3).map(({ recorded, kind }) => resourceName(kind, groupOf(recorded)));
  return new TransshipError('NOT_SERVED', `${context} can't take these:${list([...kinds, ...unfit])}`, {
    hint:
      excludes.length === 0
        ? 'Leave those objects out with exclude: KIND/NAME, or bring them into that version at the source.'
        : `Install what serves them (the CRD, the operator, the API service), or leave them out with exclude: ${excludes.join(', ')}.`,
  });
}

/** What the target has otherwise, and nobody has allowed to change. */
export function existing(
  differences: readonly Difference[],
  origin: string,
  context: string,
): TransshipError | undefined {
  if (differences.length === 0) return undefined;
  const lines = differences.map(({ id, fields }) => `${nameObject(id)}${inBrackets(fields)}`);
  const what =
    lines.length === 1
      ? `An object exists in ${context} and differs`
      : `${lines.length} objects exist in ${context} and differ`;
  return new TransshipError('RESOURCE_EXISTS', `${what} from ${origin}:${list(lines)}`, {
    hint: 'Set replace to change them, or leave them out with exclude: KIND, KIND/NAME or NAMESPACE/KIND/NAME.',
  });
}

/** What the server does not let be changed, and that may not be deleted and created either. */
export function immutable(
  differences: readonly Difference[],
  origin: string,
  context: string,
  recreate: boolean,
): TransshipError | undefined {
  if (differences.length === 0) return undefined;
  const lines = differences.map(
    (difference) => `${nameObject(difference.id)}${inBrackets(difference.fields)}${whyNot(difference)}`,
  );
  const helps = !recreate && differences.some(({ id }) => isRecreatable(id.group, id.kind));
  return new TransshipError(
    'IMMUTABLE',
    `${context} does not let these be changed to what ${origin} has, for fields of theirs are immutable:${list(lines)}`,
    {
      hint: helps
        ? 'Set recreate: true beside replace to have them deleted and created, or leave them out with exclude.'
        : 'Leave them out with exclude, or change or delete them yourself.',
    },
  );
}

/** What two namespaces of the source bring to the same place. */
export function collisions(found: ReadonlyMap<string, readonly string[]>): TransshipError | undefined {
  if (found.size === 0) return undefined;
  const lines = [...found].map(([title, from]) => `${title}: from ${from.join(' and ')}`);
  return new TransshipError('INPUT', `namespace-map brings objects of one name to the same place:${list(lines)}`, {
    hint: 'Map the namespaces to different ones, or leave one of each out with exclude: NAMESPACE/KIND/NAME.',
  });
}

/** Lines below one another, the first fifty. */
export function list(lines: readonly string[], most = OBJECTS_TOLD): string {
  const more = lines.length > most ? [`and ${lines.length - most} more`] : [];
  return [...lines.slice(0, most), ...more].map((line) => `\n- ${line}`).join('');
}

function whyNot({ id, unfit }: Difference): string {
  if (!isRecreatable(id.group, id.kind)) return `; it is never deleted, for what it holds would be lost`;
  return unfit === undefined ? '' : `; created anew it would be refused too: ${unfit}`;
}

function inBrackets(fields: readonly string[]): string {
  return fields.length === 0 ? '' : ` (${fields.join(', ')})`;
}

function resourceName(name: string, group: string): string {
  return group === '' ? name : `${name}.${group}`;
}
