import { bytesOf, code, cut, fenced, pre, takeWithin } from '../report/markdown.ts';
import type { Change, Plan, PlannedObject, PlannedRelease } from './plan.ts';
import { diffLines } from './render-diff.ts';
import {
  CHANGE_WORDS,
  CHANGES,
  closingLine,
  countOf,
  describeConflict,
  describeProblem,
  describeWaits,
  factsOf,
  gravityOf,
  headlineOf,
  nameOf,
  PROBLEM_WORDS,
  SYMBOLS,
  sortByChange,
  versionsOf,
  visible,
  visibleLine,
} from './render-facts.ts';
import { renderMermaid } from './render-mermaid.ts';

/** For headings between the parts, and for the note of what was cut. */
const RESERVED_BYTES = 2 * 1024;
const MOST_BYTES_A_PART = 32 * 1024;
const MOST_BYTES_A_FACT = 512;
const SIGNS = { good: '✅', care: '⚠️', problems: '❌' } as const;

/**
 * A plan as Markdown that GitHub accepts, for a job summary or a comment: nothing of the cluster's acts in it. What does
 * not fit is left out and counted, what needs a person's eye first going first.
 *
 * @param room - how many bytes it may have; below 8 KiB there is little to show
 */
export function renderPlanMarkdown(plan: Plan, room: number): string {
  const head = [
    `### ${SIGNS[gravityOf(plan)]} ${headlineOf(plan, (text) => name(clip(text)))}\n`,
    [...factsOf(plan), ['plan-id', plan.id] as const]
      .map(([label, value]) => `- **${label}:** ${name(clip(value))}\n`)
      .join(''),
    `**${closingLine(plan)}**\n`,
  ];
  const most = Math.min(MOST_BYTES_A_PART, Math.floor(room / 16));
  let left = room - RESERVED_BYTES - bytesOf(head);
  const missing: string[] = [];
  const take = <T>(share: number, items: readonly T[], noun: string, render: (item: T) => string): string[] => {
    const taken = takeWithin(left * share, items, render);
    left -= bytesOf(taken);
    if (taken.length < items.length) missing.push(`${taken.length} of ${items.length} ${noun}`);
    return taken;
  };

  const problems = take(1 / 2, plan.problems, 'problems', (problem) => problemBlock(problem, most));
  const releases = take(1 / 4, sortByChange(plan.releases), 'releases', releaseRow);
  const kinds = take(1 / 4, plan.kinds, 'kinds', kindRow);
  const { chart, note } = renderMermaid(plan);
  const graph = take(1 / 4, chart === undefined ? [] : [chart], 'pictures', (text) => fenced('mermaid', text));
  const parts = CHANGES.flatMap((change) => {
    const items = itemsOf(plan, change);
    const [told, bare] = partition(items, hasDetails);
    const details = take(3 / 4, told, `${CHANGE_WORDS[change]} in detail`, (item) => detailsOf(plan, item, most));
    const names = take(
      1,
      bare,
      `${CHANGE_WORDS[change]} by name`,
      (item) => `${SYMBOLS[change].padEnd(3)} ${titleOf(item)}\n`,
    );
    if (details.length + names.length === 0) return [];
    return [
      `#### ${items.length} ${CHANGE_WORDS[change]}\n`,
      ...details,
      ...(names.length === 0
        ? []
        : [folded(`${names.length} ${CHANGE_WORDS[change]}`, fenced('diff', names.join('')))]),
    ];
  });

  const sections = [
    ...head,
    problems.length > 0 ? `#### ❌ ${countOf(plan.problems.length, 'problem')}\n` : '',
    ...problems,
    table(['Change', 'Release', 'Chart, app version and revision', 'Values', 'Objects', 'Hooks'], releases),
    note === undefined ? '' : `${note}\n`,
    ...graph,
    table(['Kind', 'API version', ...CHANGES.map((change) => `\`${SYMBOLS[change]}\` ${change}`)], kinds),
    ...parts,
    missing.length > 0
      ? `Cut to what GitHub shows: ${missing.join(', ')}. The files of \`plan-files\` have all.\n`
      : '',
  ];
  return sections.filter((section) => section !== '').join('\n');
}

/** A release or an object outside of releases. */
interface Item {
  readonly change: Change;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly message?: string | undefined;
  readonly release?: PlannedRelease;
  readonly object?: PlannedObject;
}

/** Releases first. What is unchanged stands in the tables already. */
function itemsOf({ releases, objects }: Plan, change: Change): Item[] {
  if (change === 'unchanged') return [];
  const wanted = (item: { readonly change: Change }) => item.change === change;
  return [
    ...sortByChange(releases.filter(wanted)).map((release): Item => ({ ...release, release })),
    ...sortByChange(objects.filter(wanted)).map((object): Item => ({ ...object, object })),
  ];
}

function titleOf({ object, ...item }: Item): string {
  return visibleLine(object === undefined ? `Release ${nameOf(item)}` : `${object.kind} ${nameOf(object)}`);
}

function hasDetails({ release, object, message }: Item): boolean {
  return (
    release !== undefined ||
    message !== undefined ||
    (object?.diff ?? '') !== '' ||
    (object?.conflicts?.length ?? 0) > 0
  );
}

function detailsOf(plan: Plan, item: Item, most: number): string {
  const { release, object } = item;
  const body =
    release === undefined ? (object === undefined ? [] : objectBody(object, most)) : releaseBody(plan, release, most);
  // A release of many objects would else take all the room.
  const shown = takeWithin(2 * most, body, (part) => part);
  const more = body.length > shown.length ? `${body.length - shown.length} parts more\n` : '';
  return folded(`${SYMBOLS[item.change]} ${titleOf(item)}`, [...shown, more].filter((part) => part !== '').join('\n'));
}

function releaseBody(plan: Plan, release: PlannedRelease, most: number): string[] {
  const words = [
    ...versionsOf(release),
    ...(release.message === undefined ? [] : [release.message]),
    ...describeWaits(plan.edges, release),
    ...release.hooks.map((hook) => `hook that runs: ${hook}`),
  ];
  return [
    words.length === 0 ? '' : block(words.join('\n'), most),
    release.values === '' ? '' : `**Values**\n\n${diffBlock(release.values, most)}`,
    ...sortByChange(release.objects).map((object) => {
      const title = `${name(`${SYMBOLS[object.change]} ${object.kind} ${nameOf(object)}`)}\n`;
      return [title, ...objectBody(object, most)].join('\n');
    }),
  ].filter((part) => part !== '');
}

function objectBody({ message, conflicts, diff }: PlannedObject, most: number): string[] {
  const words = [...(message === undefined ? [] : [message]), ...(conflicts ?? []).map(describeConflict)];
  return [
    ...(words.length === 0 ? [] : [block(words.join('\n'), most)]),
    ...(diff === undefined || diff === '' ? [] : [diffBlock(diff, most)]),
  ];
}

function diffBlock(diff: string, most: number): string {
  return fenced('diff', cut(diffLines(diff).join('\n'), most));
}

function problemBlock(problem: Plan['problems'][number], most: number): string {
  return `**${PROBLEM_WORDS[problem.kind]}**\n\n${block(describeProblem(problem), most)}`;
}

function releaseRow(release: PlannedRelease): string {
  return tableRow([
    name(SYMBOLS[release.change]),
    name(nameOf(release)),
    name(clip(versionsOf(release).join(', '))),
    release.values === '' ? '' : 'differ',
    release.objects.length === 0 ? '' : String(release.objects.length),
    release.hooks.length === 0 ? '' : String(release.hooks.length),
  ]);
}

function kindRow(kind: Plan['kinds'][number]): string {
  return tableRow([name(kind.kind), name(kind.apiVersion), ...CHANGES.map((change) => String(kind[change] || ''))]);
}

function table(columns: readonly string[], rows: readonly string[]): string {
  return rows.length === 0 ? '' : `${tableRow(columns)}|${' --- |'.repeat(columns.length)}\n${rows.join('')}`;
}

/** Of cells that are Markdown already. */
function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

/** As code, which also keeps GitHub from mentioning people; no address in it becomes a link. */
function name(text: string): string {
  return code(visible(text)).replace(/:(?=\/\/)|(?<=www)\./gi, (character) => `&#${character.charCodeAt(0)};`);
}

function block(text: string, most: number): string {
  return pre(visible(text), most);
}

function folded(title: string, body: string): string {
  return `<details><summary>${name(title)}</summary>\n\n${body}\n</details>\n`;
}

function clip(text: string): string {
  return cut(visibleLine(text), MOST_BYTES_A_FACT);
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
