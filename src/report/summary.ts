import type { RunResult } from '../modes/run.ts';
import { renderPlanMarkdown } from '../plan/render-markdown.ts';
import { bytesOf, code, html, inline, pre, row, takeWithin } from './markdown.ts';
import { type Failure, type Table, viewOf, type Warning } from './view.ts';

/** GitHub drops the whole summary of a step that writes more: 1 MiB. */
const MOST_BYTES = 1024 * 1024;
/** Room for what stands around the parts that may be cut: heading, facts, table head, the note. */
const RESERVED_BYTES = 16 * 1024;
const MOST_WARNINGS = 100;

/** The job summary of a result, as Markdown that GitHub accepts whatever the size of the run. */
export function renderSummary(result: RunResult, warnings: readonly Warning[] = []): string {
  if (result.summary.mode === 'plan') {
    const notes = takeWithin(MOST_BYTES / 8, warnings.slice(0, MOST_WARNINGS), warning);
    const listed = notes.length === 0 ? '' : `\n**Warnings**\n\n${notes.join('')}`;
    return renderPlanMarkdown(result.summary.plan, MOST_BYTES - RESERVED_BYTES - Buffer.byteLength(listed)) + listed;
  }
  const view = viewOf(result);
  const facts = view.facts.map(([label, value]) => `- **${label}:** ${code(value)}\n`).join('');
  const head = [heading(view.good, view.headline), facts];
  return assemble(head, view.failures, warnings, view.tables);
}

/** The job summary of a run that ended before it had a result. */
export function renderFailureSummary(mode: string, message: string, warnings: readonly Warning[] = []): string {
  return assemble([heading(false, `${mode} failed`), pre(message)], [], warnings, []);
}

function assemble(
  head: readonly string[],
  failures: readonly Failure[],
  warnings: readonly Warning[],
  tables: readonly Table[],
): string {
  const room = MOST_BYTES - RESERVED_BYTES;
  const shown = takeWithin(room / 2, failures, details);
  const notes = takeWithin(room / 4, warnings.slice(0, MOST_WARNINGS), warning);
  let left = room - bytesOf(shown) - bytesOf(notes);
  const cutTables = tables.map(({ columns, rows }) => {
    const taken = takeWithin(left, rows, row);
    left -= bytesOf(taken);
    return { columns, rows, taken };
  });
  const missing = [
    ...missingOf(shown, failures, 'failures'),
    ...missingOf(notes, warnings, 'warnings'),
    ...cutTables.flatMap(({ taken, rows }) => missingOf(taken, rows, 'rows')),
  ];
  const sections = [
    ...head,
    ...shown,
    notes.length > 0 ? `**Warnings**\n\n${notes.join('')}` : '',
    ...cutTables.map(({ columns, taken }) => `${row(columns)}|${' --- |'.repeat(columns.length)}\n${taken.join('')}`),
    missing.length > 0 ? `Cut to what GitHub shows: ${missing.join(', ')}. The log and the outputs have all.\n` : '',
  ];
  return sections.filter((section) => section !== '').join('\n');
}

function missingOf(shown: readonly unknown[], all: readonly unknown[], noun: string): string[] {
  return shown.length === all.length ? [] : [`${shown.length} of ${all.length} ${noun}`];
}

function heading(good: boolean, text: string): string {
  return `### ${good ? '✅' : '❌'} ${inline(text)}\n`;
}

function warning({ title, message }: Warning): string {
  return `- ${title === undefined ? '' : `**${inline(title)}:** `}${inline(message)}\n`;
}

function details({ title, words }: Failure): string {
  return `<details><summary>${html(title)}</summary>\n\n${pre(words)}\n</details>\n`;
}
