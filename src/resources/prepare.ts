import { type Decisions, standingOf } from './decide.ts';
import { reportDecisions, reportScans, reportUnused } from './notes.ts';
import { waveOf } from './order.ts';
import { findProblems, joinProblems } from './problems.ts';
import { idOf, keyOf } from './resource.ts';
import { readGroup, type ScannedGroup } from './scan.ts';
import { type PrepareOptions, surveyResources } from './survey.ts';
import type { ReadWanted, ResourceFiles } from './wanted.ts';
import type { ImportWork, WorkFile, WorkObject } from './work.ts';

export type { ResourceChoice } from './choice.ts';
export { type Explain, planResources, type ResourcePlan } from './plan-resources.ts';
export type { PrepareOptions } from './survey.ts';
export type { ResourceFiles } from './wanted.ts';

/**
 * Finds out all that an import of resources has to do, and changes nothing. Every List file is read once and compared with
 * what the target has under the same names; memory stays flat.
 *
 * @throws TransshipError `INPUT` for a choice that finds nothing, `FORBIDDEN`, `NOT_SERVED`, `IMMUTABLE`,
 *   `RESOURCE_EXISTS`: each names all that stands in the way
 */
export async function prepareResources(files: ResourceFiles, options: PrepareOptions): Promise<ImportWork> {
  const survey = await surveyResources(files, options);
  const { scans, groups, decisions, owners, namespaces, filter, read } = survey;
  reportScans(scans, options.reporter);
  const problem = joinProblems(findProblems(survey, options).map(({ error }) => error));
  if (problem !== undefined) throw problem;
  reportDecisions(decisions, options.reporter);
  reportUnused(filter, options.reporter);

  const work = new Map(groups.flatMap((group) => workFileOf(group, decisions)));
  return {
    files: [...work.keys()],
    namespaces,
    owners,
    objects: (file) => readWork(file, work.get(file), decisions, read),
  };
}

async function* readWork(
  { path }: WorkFile,
  group: ScannedGroup | undefined,
  { of }: Decisions,
  read: ReadWanted,
): AsyncGenerator<WorkObject> {
  const decided = group && of.get(group);
  if (group === undefined || decided === undefined) throw new Error(`${path} is no file of this import.`);
  for await (const { object, position } of readGroup(group, read)) {
    if (decided.dropped.has(position)) continue;
    const standing = standingOf(decided, position);
    yield { object, key: keyOf(idOf(object)), standing, recreate: decided.recreated.has(position) };
  }
}

function workFileOf(group: ScannedGroup, { of }: Decisions): [WorkFile, ScannedGroup][] {
  const { path, kind, isCustom, namespace } = group;
  const count = group.count - (of.get(group)?.dropped.size ?? 0);
  return count === 0 ? [] : [[{ path, kind, isCustom, namespace, wave: waveOf(kind, isCustom), count }, group]];
}
