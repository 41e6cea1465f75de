// Writes what src/inputs/ says of the inputs that are values of the chart into charts/transship; run by generate-docs.ts.
// test/unit/chart.test.ts fails when they differ.
import { parse } from 'yaml';
import { modesOf } from '../src/inputs/schema.ts';
import { describeDefault, type InputName, infoOf, inputNames } from '../src/inputs/table.ts';
import { replaceBetween } from './replace-between.ts';

/** Inputs of the modes that the chart runs which are no values, and why. */
export const notValues: Readonly<Partial<Record<InputName, string>>> = {
  mode: 'follows from schedule',
  backend: 'follows from path',
  's3-sse-customer-key': 'is secret: a key of existingSecret',
  'retention-days': 'is for artifacts',
  'allow-plaintext': 'is for artifacts',
  manager: 'is the release itself',
  listen: 'is the port that the probes ask',
  kubeconfig: 'is that of the pod',
  context: 'is that of the pod',
  'github-token': 'is for workflows',
  summary: 'is for workflows',
};

/** The inputs that are values, in the order of all documents. */
export const chartInputs = inputNames.filter(
  (name) => modesOf(name).some((mode) => mode === 'watch' || mode === 'export') && notValues[name] === undefined,
);

/** `values.yaml` with its inputs up to date. */
export function renderValues(current: string): string {
  const given = parse(current) ?? {};
  const both = chartInputs.filter((name) => modesOf(name).includes('watch') && modesOf(name).includes('export'));
  const text = [
    section('Of both the Deployment and the CronJob.', both),
    section(
      'Of the Deployment only.',
      chartInputs.filter((name) => !modesOf(name).includes('export')),
    ),
    section(
      'Of the CronJob only.',
      chartInputs.filter((name) => !modesOf(name).includes('watch')),
    ),
  ].join('');
  return replaceBetween(current, '# generated: inputs', '# end of generated', text);

  function section(title: string, names: readonly InputName[]): string {
    return `\n## ${title}\n\n${names.map((name) => `${comment(name)}${name}: ${emptyOf(name, given[name])}\n`).join('')}`;
  }
}

/** `values.schema.json` with the descriptions of inputs up to date. */
export function renderSchema(current: string): string {
  return chartInputs.reduce((text, name) => {
    const place = new RegExp(`^( {4}"${name}": \\{\\n {6}"description": )"(?:[^"\\\\]|\\\\.)*"`, 'm');
    if (!place.test(text)) throw new Error(`values.schema.json has no ${name} that begins with its description.`);
    return text.replace(place, (_found, before) => `${before}${JSON.stringify(infoOf(name).description)}`);
  }, current);
}

/** The chart's `README.md` with its table of values up to date. */
export function renderChartReadme(current: string, values: string, schema: string): string {
  const rows = rowsOf(JSON.parse(schema).properties, parse(values), '');
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  const table = [['Value', 'Default', 'What it is'], ['---', '---', '---'], ...rows].map(line).join('');
  return replaceBetween(current, '<!-- generated: values -->', '<!-- end of values -->', table);
}

/** A value that has nothing of its own in values.yaml has no row: Helm or another chart gives it. */
function rowsOf(
  properties: Readonly<Record<string, Property>>,
  values: Readonly<Record<string, unknown>>,
  prefix: string,
) {
  return Object.entries(properties).flatMap(([name, { description, properties: inner }]): string[][] => {
    const value = values[name];
    if (value === undefined) return [];
    if (inner !== undefined) return rowsOf(inner, Object(value), `${prefix}${name}.`);
    return [[`\`${prefix}${name}\``, defaultOf(`${prefix}${name}`, value), description]];
  });
}

interface Property {
  readonly description: string;
  readonly properties?: Readonly<Record<string, Property>>;
}

function defaultOf(name: string, value: unknown): string {
  const input = chartInputs.find((one) => one === name);
  if (input !== undefined) return ownDefault(input);
  const text = JSON.stringify(value);
  if (['""', '[]', '{}', '0'].includes(text)) return '';
  return text.length > 60 ? 'see values.yaml' : `\`${typeof value === 'string' ? value : text}\``;
}

/** What Transship takes when the value is empty. */
function ownDefault(name: InputName): string {
  if (name === 'namespace') return 'the namespace of the release';
  if (name === 'path') return 'none: it has to be named';
  const isOfWatch = modesOf(name).includes('watch');
  return describeDefault(name, isOfWatch ? 'watch' : 'export') ?? '';
}

const COLUMNS = 120;

function comment(name: InputName): string {
  const words = ownDefault(name).replaceAll('`', '');
  const text = `${infoOf(name).description}${words === '' || words === 'false' ? '' : ` Default: ${words}.`}`;
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && `${last} ${word}`.length <= COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(last === undefined ? `# ${word}` : `#   ${word}`);
  }
  return `${lines.join('\n')}\n`;
}

function emptyOf(name: InputName, given: unknown): string {
  if (given !== undefined) return JSON.stringify(given);
  if (infoOf(name).list) return '[]';
  return infoOf(name).placeholder === undefined && name !== 's3-path-style' ? 'false' : '""';
}
