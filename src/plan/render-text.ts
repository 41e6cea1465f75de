import type { Paint } from '../report/text.ts';
import type { Change, Plan, PlannedObject, PlannedRelease } from './plan.ts';
import { diffLines, kindOfLine } from './render-diff.ts';
import {
  CHANGES,
  closingLine,
  countOf,
  describeConflict,
  describeRelease,
  describeTally,
  describeWaits,
  factsOf,
  gravityOf,
  groupByKind,
  headlineOf,
  type KindGroup,
  nameOf,
  PROBLEM_WORDS,
  SYMBOLS,
  sortByChange,
  tallyOfItems,
  visible,
  visibleLine,
} from './render-facts.ts';

export interface PlanTextOptions {
  /** Every object and every line, however many. */
  readonly full?: boolean | undefined;
  /** How many lines of one diff are shown; 400 unless told. */
  readonly maxLines?: number | undefined;
}

/** Of a kind with more changed objects only the names are shown. */
const MOST_WITH_DETAILS = 200;
/** Of a kind with more changed objects the rest is only counted. */
const MOST_NAMES = 1000;
const MOST_LINES = 400;

/** A plan as lines of a terminal, ending in a line break: what a person must decide on stands last. */
export function renderPlanText(plan: Plan, paint: Paint, options: PlanTextOptions = {}): string {
  const facts = factsOf(plan);
  const width = Math.max(...facts.map(([label]) => label.length));
  const most = options.full === true ? Number.POSITIVE_INFINITY : (options.maxLines ?? MOST_LINES);
  const write: Writing = { paint, most, full: options.full === true };
  const groups = groupByKind(plan);
  const lines = [
    paint(gravityOf(plan) === 'problems' ? 'red' : 'bold', visibleLine(headlineOf(plan))),
    ...facts.map(([label, value]) => `  ${paint('dim', label.padEnd(width))}  ${visibleLine(value)}`),
    ...section(
      'Releases',
      sortByChange(plan.releases).flatMap((release) => releaseLines(plan, release, write)),
      paint,
    ),
    ...groups
      .filter((group) => !isUnchanged(group))
      .flatMap((group) => ['', paint('bold', visibleLine(groupTitle(group))), ...groupLines(group, write)]),
    ...section(
      'Unchanged',
      groups.filter(isUnchanged).map((group) => unchangedLine(group, paint)),
      paint,
    ),
    ...problemLines(plan, paint),
    '',
    paint('bold', closingLine(plan)),
    `plan-id: ${visibleLine(plan.id)}`,
  ];
  return `${lines.join('\n')}\n`;
}

interface Writing {
  readonly paint: Paint;
  /** Lines of one diff. */
  readonly most: number;
  readonly full: boolean;
}

function isUnchanged({ tally, objects }: KindGroup): boolean {
  return objects.length === 0 && CHANGES.every((change) => change === 'unchanged' || tally[change] === 0);
}

function section(title: string, lines: readonly string[], paint: Paint): string[] {
  return lines.length === 0 ? [] : ['', paint('bold', title), ...lines];
}

function releaseLines(plan: Plan, release: PlannedRelease, write: Writing): string[] {
  const hooks = release.hooks.length === 0 ? [] : ['hooks that run:', ...release.hooks.map((hook) => `  ${hook}`)];
  const body = [...messageLines(release.message), ...describeWaits(plan.edges, release), ...hooks].map((line) =>
    visible(line),
  );
  const objects = sortByChange(release.objects).flatMap((object) =>
    objectLines(object, `${object.kind} ${nameOf(object)}`, write, true),
  );
  return [
    changeLine(release.change, describeRelease(release), write.paint),
    ...indent(body, 6),
    ...indent(release.values === '' ? [] : ['values:', ...indent(diffBlock(release.values, write), 2)], 6),
    ...indent(objects.length === 0 ? [] : ['manifest:', ...objects], 6),
  ];
}

function groupTitle({ apiVersion, kind, tally }: KindGroup): string {
  return `${kind} (${apiVersion}): ${describeTally(tally)}`;
}

function groupLines({ objects }: KindGroup, write: Writing): string[] {
  const names = objects.length > MOST_WITH_DETAILS && !write.full;
  const shown = names ? objects.slice(0, MOST_NAMES) : objects;
  const lines = shown.flatMap((object) => objectLines(object, nameOf(object), write, !names));
  const rest = objects.slice(shown.length);
  if (rest.length === 0) return lines;
  return [...lines, `      … and ${rest.length} more: ${describeTally(tallyOfItems(rest))}`];
}

function objectLines(object: PlannedObject, name: string, write: Writing, details: boolean): string[] {
  const head = changeLine(object.change, name, write.paint);
  if (!details) return [head];
  return [
    head,
    ...indent(messageLines(object.message), 6),
    ...indent(
      (object.conflicts ?? []).map((conflict) => write.paint('yellow', visibleLine(describeConflict(conflict)))),
      6,
    ),
    ...indent(object.diff === undefined ? [] : diffBlock(object.diff, write), 6),
  ];
}

function unchangedLine({ apiVersion, kind, tally }: KindGroup, paint: Paint): string {
  return changeLine('unchanged', `${kind} (${apiVersion}): ${tally.unchanged}`, paint);
}

function changeLine(change: Change, text: string, paint: Paint): string {
  const line = `  ${SYMBOLS[change].padStart(3)} ${visibleLine(text)}`;
  switch (change) {
    case 'create':
      return paint('green', line);
    case 'update':
    case 'keep':
      return paint('yellow', line);
    case 'recreate':
    case 'delete':
      return paint('red', line);
    case 'unchanged':
      return paint('dim', line);
  }
}

function diffBlock(diff: string, { paint, most }: Writing): string[] {
  const lines = diffLines(diff);
  const shown = lines.slice(0, most).map((line) => paintLine(line, paint));
  return lines.length > most ? [...shown, paint('dim', `… ${countOf(lines.length - most, 'line')} more`)] : shown;
}

function paintLine(line: string, paint: Paint): string {
  switch (kindOfLine(line)) {
    case 'added':
      return paint('green', line);
    case 'removed':
      return paint('red', line);
    case 'hunk':
      return paint('dim', line);
    case 'same':
      return line;
  }
}

function problemLines({ problems }: Plan, paint: Paint): string[] {
  return problems.flatMap(({ kind, message, hint }, index) => [
    '',
    paint('red', `Problem ${index + 1} of ${problems.length}: ${PROBLEM_WORDS[kind]}`),
    ...indent(
      messageLines(message).map((line) => paint('red', line)),
      2,
    ),
    ...indent(
      messageLines(hint).map((line, number) => (number === 0 ? `Hint: ${line}` : line)),
      2,
    ),
  ]);
}

function messageLines(message: string | undefined): string[] {
  return message === undefined ? [] : visible(message).trimEnd().split('\n');
}

function indent(lines: readonly string[], columns: number): string[] {
  return lines.map((line) => (line === '' ? '' : `${' '.repeat(columns)}${line}`));
}
