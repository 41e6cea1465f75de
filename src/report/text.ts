import { styleText } from 'node:util';
import type { RunResult } from '../modes/run.ts';
import { renderPlanText } from '../plan/render-text.ts';
import { oneLine, printable } from './printable.ts';
import { type Table, viewOf } from './view.ts';

type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';
/** Colours text, or leaves it. */
export type Paint = (colour: Colour, text: string) => string;

/** Colours with the terminal's escapes, or not at all. */
export function createPaint(colours: boolean): Paint {
  return (colour, text) => (colours ? styleText(colour, text, { validateStream: false }) : text);
}

const COLOUR_OF: Readonly<Record<string, Colour>> = {
  failed: 'red',
  unfinished: 'yellow',
  skipped: 'yellow',
  created: 'green',
  updated: 'green',
};

/** A result as lines of a terminal, ending in a line break. */
export function renderText(result: RunResult, paint: Paint): string {
  if (result.summary.mode === 'plan') return renderPlanText(result.summary.plan, paint);
  const view = viewOf(result);
  const width = Math.max(0, ...view.facts.map(([label]) => label.length));
  const lines = [
    paint(view.good ? 'bold' : 'red', oneLine(view.headline)),
    ...view.facts.map(([label, value]) => `  ${paint('dim', label.padEnd(width))}  ${oneLine(value)}`),
    ...view.tables.flatMap((table) => ['', ...tableLines(table, paint)]),
    ...view.failures.flatMap(({ title, words }) => [
      '',
      paint('red', oneLine(title)),
      ...printable(words)
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line}`),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Aligned columns, two spaces apart, headings in capitals as kubectl and helm print them. */
export function tableLines(table: Table, paint: Paint): string[] {
  const rows = [table.columns.map((column) => column.toUpperCase()), ...table.rows.map((row) => row.map(oneLine))];
  const widths = table.columns.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return rows.map((row, number) =>
    row
      .map((cell, index) => {
        const padded = index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0);
        const colour = number === 0 ? 'bold' : COLOUR_OF[cell];
        return colour === undefined ? padded : paint(colour, padded);
      })
      .join('  '),
  );
}
