import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { cancelledBy } from '../errors.ts';
import type { Differ } from '../plan/diff.ts';
import type { Change, PlannedKind, PlannedObject, PlanProblem } from '../plan/plan.ts';
import type { Preflight } from '../preflight/preflight.ts';
import { type Decided, standingOf, type Verdict } from './decide.ts';
import { reportScans, reportUnused } from './notes.ts';
import { findProblems, type RefusedObject, refusals } from './problems.ts';
import { idOf, nameObject } from './resource.ts';
import { type Difference, readGroup, type ScannedGroup } from './scan.ts';
import { type PrepareOptions, type Survey, surveyResources } from './survey.ts';
import { ownersOf, type ResourceFiles } from './wanted.ts';

/** What makes a plan of what is found out. */
export interface Explain {
  readonly differ: Differ;
  /** Is told of everything that would change. */
  readonly preflight: Preflight;
}

/** What an import would do about plain objects. */
export interface ResourcePlan {
  /** All but those that are equal; by wave, file, and their order in it. */
  readonly objects: readonly PlannedObject[];
  readonly kinds: readonly PlannedKind[];
  /** What would stop the import, and what the server would refuse; rights, classes and sums of quotas are the preflight's. */
  readonly problems: readonly PlanProblem[];
  /** Namespaces that would be made, beside those that the snapshot brings. */
  readonly namespaces: readonly string[];
}

/**
 * Finds out the same as an import does before it changes anything, and shows it. What would stop the import is told with all
 * the rest. Of objects that are equal nothing is kept; of others their diffs are.
 *
 * @throws TransshipError `INPUT` for a choice that finds nothing
 * @throws ClusterError when the API server can't be asked
 */
export async function planResources(
  files: ResourceFiles,
  options: PrepareOptions & { readonly explain: Explain },
): Promise<ResourcePlan> {
  const { explain, cluster, otherCrds, reporter, signal } = options;
  const survey = await surveyResources(files, options, explain.differ);
  reportScans(survey.scans, reporter);
  reportUnused(survey.filter, reporter);
  const { by, of } = survey.decisions;
  const verdicts = new Map(
    [...by].flatMap(([verdict, all]) => all.map((one): [Difference, Verdict] => [one, verdict])),
  );
  const planGroup = createGroupPlanner(survey, verdicts, explain);
  const objects: PlannedObject[] = [];
  const refused: RefusedObject[] = [];
  const rows = new Map<string, Row>();
  // What a kind accepts is not known while its definition is still to change.
  const changing = new Set(otherCrds);
  for (const group of survey.groups) {
    if (signal?.aborted) throw cancelledBy(signal);
    const changes = changesOf(group, of.get(group), verdicts);
    count(rows, group.kind, changes);
    const isSettled = !group.isCustom || !changing.has(`${group.kind.plural}.${group.kind.group}`);
    for await (const planned of planGroup(group, changes)) {
      objects.push(planned.object);
      if (planned.refused !== undefined && isSettled) refused.push(planned.refused);
      if (planned.object.kind === 'CustomResourceDefinition' && planned.object.change !== 'keep') {
        changing.add(planned.object.name);
      }
    }
  }
  const problems = findProblems(survey, options).map(({ kind, error: { message, hint } }) => ({ kind, message, hint }));
  return {
    objects,
    kinds: [...rows.values()].sort((a, b) => compare(a.resource, b.resource) || compare(a.apiVersion, b.apiVersion)),
    problems: [...problems, ...refusals(refused, cluster.context)],
    namespaces: survey.namespaces,
  };
}

type Row = { -readonly [Field in keyof PlannedKind]: PlannedKind[Field] };

type Verdicts = ReadonlyMap<Difference, Verdict>;

/** What becomes of each object of a group, by position; nothing of one that another brings to the same place. */
type Changes = readonly (Change | undefined)[];

const CHANGE_OF: Readonly<Record<Verdict, Change>> = {
  kept: 'keep',
  left: 'keep',
  change: 'update',
  recreate: 'recreate',
  exists: 'update',
  immutable: 'update',
};

function changesOf(group: ScannedGroup, decided: Decided | undefined, verdicts: Verdicts): Changes {
  if (decided === undefined) return [];
  const different = new Map(group.different.map((one) => [one.position, one]));
  return Array.from({ length: group.count }, (_, position) => {
    if (decided.dropped.has(position)) return undefined;
    const difference = different.get(position);
    const verdict = difference && verdicts.get(difference);
    if (verdict !== undefined) return CHANGE_OF[verdict];
    const standing = standingOf(decided, position);
    return standing === 'new' ? 'create' : standing === 'equal' ? 'unchanged' : 'update';
  });
}

function count(rows: Map<string, Row>, { apiVersion, kind, plural }: ResourceKind, changes: Changes): void {
  const key = `${apiVersion}/${kind}`;
  const none = { create: 0, update: 0, recreate: 0, delete: 0, unchanged: 0, keep: 0 };
  const row = rows.get(key) ?? { apiVersion, kind, resource: plural, ...none };
  for (const change of changes) if (change !== undefined) row[change] += 1;
  rows.set(key, row);
}

interface Planned {
  readonly object: PlannedObject;
  readonly refused: RefusedObject | undefined;
}

/** Names were not kept: the few files that have something to say are read again. */
function createGroupPlanner({ read, known, owners }: Survey, verdicts: Verdicts, { preflight }: Explain) {
  return async function* planGroup(group: ScannedGroup, changes: Changes): AsyncGenerator<Planned> {
    if (changes.every((change) => change === undefined || change === 'unchanged')) return;
    const different = new Map(group.different.map((one) => [one.position, one]));
    const incomplete = new Map(group.incomplete.map((one) => [one.position, one.owners]));
    for await (const { object, position } of readGroup(group, read)) {
      const change = changes[position];
      if (change === undefined || change === 'unchanged') continue;
      if (change !== 'keep') preflight.note(object, group.kind, change);
      const id = idOf(object);
      const difference = different.get(position);
      const why = difference?.shown?.refusal ?? group.refused.get(position);
      const missing = incomplete.get(position)?.filter((key) => owners.has(key)) ?? [];
      const message =
        why?.message ??
        (difference ? explainDifference(difference, verdicts.get(difference)) : explainOther(object, missing));
      yield {
        object: {
          apiVersion: group.kind.apiVersion,
          kind: id.kind,
          namespace: id.namespace,
          name: id.name,
          change,
          diff: difference?.shown?.diff,
          conflicts: change === 'keep' ? undefined : atLeastOne(difference?.shown?.conflicts),
          message: group.isUnlisted
            ? 'Whether the target has it is not known: the kind may not be listed there.'
            : message,
        },
        refused: why && change !== 'keep' ? { id, refused: why } : undefined,
      };
    }
  };

  function explainOther(object: KubeObject, missing: readonly string[]): string | undefined {
    const named = ownersOf(object, known).filter(({ key }) => missing.includes(key));
    if (named.length === 0) return undefined;
    const names = named.map(({ owner }) => nameObject(idOf({ ...owner, metadata: { name: owner.name } })));
    return `It gets its owner back: ${names.join(', ')}.`;
  }
}

function explainDifference({ fields, unfit, shown }: Difference, verdict: Verdict | undefined): string | undefined {
  const named = fields.join(', ');
  switch (verdict) {
    case 'kept':
      return "It is the target's own answer to that name, and stays as it is.";
    case 'left':
      return 'It stays as it is; replace would change it.';
    case 'recreate':
      return `Deleted and created anew, for these can't be changed: ${named}.`;
    case 'immutable':
      return `These can't be changed: ${named}.${unfit === undefined ? '' : ` Created anew it would be refused too: ${unfit}.`}`;
    default:
      // A difference that an export would not see, such as which node port was asked for.
      return shown?.diff === '' ? `Changes ${named}.` : undefined;
  }
}

function atLeastOne<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
