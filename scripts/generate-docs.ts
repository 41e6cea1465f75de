// Writes what src/inputs/table.ts, src/inputs/schema.ts and src/outputs.ts say into action.yml, README.md and the chart,
// between markers. test/unit/surface.test.ts and chart.test.ts fail when they differ.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { modesOf } from '../src/inputs/schema.ts';
import {
  cliModes,
  describeDefault,
  type InputName,
  infoOf,
  inputNames,
  type Mode,
  modeNames,
} from '../src/inputs/table.ts';
import { outputNames, outputTable } from '../src/outputs.ts';
import { renderChartReadme, renderSchema, renderValues } from './chart-docs.ts';
import { replaceBetween } from './replace-between.ts';

/** The inputs that a workflow can give: not those of modes that it does not have. */
export const actionInputs: readonly InputName[] = inputNames.filter((name) =>
  modesOf(name).some((mode) => !cliModes.includes(mode)),
);

/** `action.yml` with its inputs and outputs up to date. */
export function renderAction(current: string): string {
  const inputs = Object.fromEntries(actionInputs.map((name) => [name, actionInput(name)]));
  const outputs = Object.fromEntries(
    outputNames.map((name) => [
      name,
      { description: `${outputTable[name].description} Of ${outputTable[name].modes.join(', ')}.` },
    ]),
  );
  const text = stringify({ inputs, outputs }, { lineWidth: 0 });
  return replaceBetween(current, '# generated: inputs and outputs', '# end of generated', text);
}

/** `README.md` with its tables of inputs and outputs up to date. */
export function renderReadme(current: string): string {
  const withInputs = replaceBetween(current, '<!-- generated: inputs -->', '<!-- end of inputs -->', inputsTable());
  return replaceBetween(withInputs, '<!-- generated: outputs -->', '<!-- end of outputs -->', outputsTable());
}

function actionInput(name: InputName): Record<string, unknown> {
  const info = infoOf(name);
  // An expression would be evaluated here too.
  const shown = info.actionDefault === undefined ? describeDefaults(name).replaceAll('`', '') : '';
  const parts = [info.description, `For ${describeModes(name)}.`, shown === '' ? '' : `Default: ${shown}.`];
  return {
    description: parts.filter((part) => part !== '').join(' '),
    required: name === 'mode',
    ...(info.actionDefault === undefined ? {} : { default: info.actionDefault }),
  };
}

function inputsTable(): string {
  const rows = inputNames.map((name) => [
    `\`${name}\``,
    describeModes(name),
    describeDefaults(name),
    infoOf(name).description,
  ]);
  return markdownTable(['Input', 'For', 'Default', 'What it is'], rows);
}

function outputsTable(): string {
  const rows = outputNames.map((name) => {
    const { modes, description, example } = outputTable[name];
    return [`\`${name}\``, modes.length === modeNames.length ? 'all' : modes.join(', '), description, `\`${example}\``];
  });
  return markdownTable(['Output', 'Of', 'What it is', 'Example'], rows);
}

function describeModes(name: InputName): string {
  const modes = modesOf(name);
  return modes.length === modeNames.length ? 'all' : modes.join(', ');
}

/** One default where the modes agree, else one a mode. */
function describeDefaults(name: InputName): string {
  const info = infoOf(name);
  if (info.actionDefault !== undefined) return `\`${info.actionDefault}\``;
  const byDefault = Map.groupBy(modesOf(name), (mode: Mode) => describeDefault(name, mode) ?? '');
  if (byDefault.size === 1) return [...byDefault.keys()].join('');
  return [...byDefault].map(([text, modes]) => `${modes.join(', ')}: ${text}`).join('; ');
}

function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return `${line(columns)}${line(columns.map(() => '---'))}${rows.map(line).join('')}`;
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname, '..');
  const read = (file: string) => readFileSync(resolve(root, file), 'utf8');
  for (const [file, render] of [
    ['action.yml', renderAction],
    ['README.md', renderReadme],
    ['charts/transship/values.yaml', renderValues],
    ['charts/transship/values.schema.json', renderSchema],
    [
      'charts/transship/README.md',
      (current: string) =>
        renderChartReadme(current, read('charts/transship/values.yaml'), read('charts/transship/values.schema.json')),
    ],
  ] as const) {
    writeFileSync(resolve(root, file), render(read(file)));
  }
}
