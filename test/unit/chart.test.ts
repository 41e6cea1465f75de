import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chartInputs, notValues, renderChartReadme, renderSchema, renderValues } from '../../scripts/chart-docs.ts';
import { modesOf } from '../../src/inputs/schema.ts';
import { defaultOf, infoOf, inputNames, isInputName } from '../../src/inputs/table.ts';
import { parseInputs } from '../../src/inputs.ts';
import { version } from '../../src/version.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(resolve(root, file), 'utf8');
const inChart = (file: string) => read(`charts/transship/${file}`);
const values = parse(inChart('values.yaml'));
const schema = JSON.parse(inChart('values.schema.json'));
const ADVICE = 'Run: node scripts/generate-docs.ts';

/** The modes that the chart runs. */
const modes = ['watch', 'export'] as const;

describe('the inputs are values of the chart under the same names', () => {
  it('each input of its modes is a value, or has a reason not to be', () => {
    const all = inputNames.filter((name) => modes.some((mode) => modesOf(name).includes(mode)));
    expect([...chartInputs, ...Object.keys(notValues)].sort()).toEqual([...all].sort());
    expect(chartInputs.filter((name) => !(name in values && name in schema.properties))).toEqual([]);
    expect(Object.keys(notValues).filter((name) => name in values)).toEqual([]);
  });

  it('no secret is a value: Helm stores values', () => {
    expect(chartInputs.filter((name) => infoOf(name).secret)).toEqual([]);
  });

  it('each becomes a flag', () => {
    const [, listed = ''] = /\$inputs := list\n([^}]*?)\s-}}/.exec(inChart('templates/_args.tpl')) ?? [];
    expect([...listed.matchAll(/"([a-z0-9-]+)"/g)].map(([, name]) => name).sort()).toEqual([...chartInputs].sort());
  });

  it('those that are false unless given are flags only when true', () => {
    const [, listed = ''] = /\$isFalseUnlessGiven := list ([^}]*?)\s-}}/.exec(inChart('templates/_args.tpl')) ?? [];
    const booleans = chartInputs.filter((name) => infoOf(name).placeholder === undefined);
    const named = [...listed.matchAll(/"([a-z0-9-]+)"/g)].map(([, name]) => name);
    const falseByDefault = booleans.filter((name) => defaultOf(name, 'watch') === 'false');
    expect(named.sort()).toEqual(falseByDefault.sort());
  });

  it('which are for one of the modes only is checked in the chart', () => {
    const [, deployment = ''] = /\$deploymentOnly := list ([^}]*?)\s-}}/.exec(inChart('templates/_check.tpl')) ?? [];
    const [, cronJob = ''] = /\$cronJobOnly := list ([^}]*?)\s-}}/.exec(inChart('templates/_check.tpl')) ?? [];
    const names = (text: string) => [...text.matchAll(/"([a-z0-9-]+)"/g)].map(([, name]) => name ?? '').sort();
    const without = (mode: (typeof modes)[number]) =>
      chartInputs.filter((name) => !modesOf(name).includes(mode)).sort();
    expect(names(deployment)).toEqual(without('export'));
    expect(names(cronJob)).toEqual(without('watch'));
  });

  it('none has a value of its own', () => {
    const given = chartInputs.filter(
      (name) => !['', '[]', 'false'].includes(values[name] === '' ? '' : JSON.stringify(values[name])),
    );
    expect(given).toEqual([]);
  });

  it('values.yaml, the schema and the README say what the table of inputs says', () => {
    expect(inChart('values.yaml'), ADVICE).toBe(renderValues(inChart('values.yaml')));
    expect(inChart('values.schema.json'), ADVICE).toBe(renderSchema(inChart('values.schema.json')));
    const readme = renderChartReadme(inChart('README.md'), inChart('values.yaml'), inChart('values.schema.json'));
    expect(inChart('README.md'), ADVICE).toBe(readme);
  });
});

describe('values.schema.json', () => {
  it('describes every value, and no other', () => {
    expect(Object.keys(schema.properties).sort()).toEqual([...Object.keys(values), 'enabled', 'global'].sort());
    for (const [name, { properties }] of Object.entries<{ properties?: object }>(schema.properties)) {
      if (properties === undefined) continue;
      expect(Object.keys(properties).sort(), name).toEqual(Object.keys(values[name]).sort());
    }
  });

  it.each([
    ['cluster-resources', { include: 'resources' }],
    ['compression', {}],
    ['layout', {}],
    ['s3-sse', {}],
    ['running-vms', { include: 'vms', mode: 'export' }],
    ['vm-links', { include: 'vms', mode: 'export' }],
    ['format', { mode: 'export' }],
  ])('allows for %s the words that the program takes', (name, more) => {
    const words: string[] = schema.properties[name].enum.filter((word: string) => word !== '');
    const attempt = (word: string) => () =>
      parseInputs({ mode: 'watch', path: 's3://bucket', ...more, [name]: word }, 'cli');
    for (const word of words) expect(attempt(word)).not.toThrow();
    const refusal = errorOf(attempt('neither'));
    const [, told = ''] = /Give (.*?)\./.exec(refusal) ?? [];
    expect(told.split(/, | or /)).toEqual(words);
  });

  it.each([
    ['retention', 'last=7,daily=7, weekly=4', true],
    ['retention', 'age=90d', true],
    ['retention', 'last=x', false],
    ['retention', 'latest=7', false],
    ['interval', '1h30m', true],
    ['interval', '7d', true],
    ['interval', 'daily', false],
    ['push-retry', '30s', true],
    ['push-retry', '30', false],
    ['s3-endpoint', 'https://minio.example:9000', true],
    ['s3-endpoint', 'https://user:secret@minio.example', false],
    ['s3-region', 'eu-central-1', true],
    ['s3-region', 'EU', false],
    ['path', 's3://bucket/prefix', true],
    ['path', 's3://B', false],
    ['history', 'all', true],
    ['history', '0', false],
    ['concurrency', '8', true],
    ['concurrency', '0', false],
  ])('judges %s "%s" as the program does', (name, text, isAllowed) => {
    if (!isInputName(name)) throw new Error(`${name} is no input`);
    expect(new RegExp(schema.properties[name].pattern).test(text)).toBe(isAllowed);
    const attempt = () => parseInputs({ mode: 'watch', path: 's3://bucket', [name]: text }, 'cli');
    if (isAllowed) expect(attempt).not.toThrow();
    else expect(attempt).toThrow(`${name}:`);
  });
});

describe('what is released together', () => {
  const dockerfile = read('Dockerfile');

  it('the chart has the version of the program', () => {
    expect(parse(inChart('Chart.yaml'))).toMatchObject({ name: 'transship', version, appVersion: version });
  });

  it('the image has the Helm that the tests run with', () => {
    const [, helm] = /helm\.sh\/helm\/v4 (v\S+)/.exec(read('test/cluster/tools/helm4/go.mod')) ?? [];
    expect(/^ARG HELM_VERSION=(.*)$/m.exec(dockerfile)?.[1]).toBe(helm);
    expect([...read('.github/workflows/image.yml').matchAll(/^ {10}version: (v.*)$/gm)].map(([, one]) => one)).toEqual([
      helm,
      helm,
    ]);
  });

  it('the image is run by a user whom a number tells from root, as the chart says', () => {
    expect(/^USER (.*)$/m.exec(dockerfile)?.[1]).toBe('65532:65532');
    expect(values.podSecurityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532 });
  });

  it('all that the image is made of gets past .dockerignore', () => {
    const passing = read('.dockerignore')
      .split('\n')
      .flatMap((line) => /^!(.*)$/.exec(line)?.[1] ?? []);
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names = '']) =>
      names.split(' '),
    );
    expect(copied.sort()).toEqual(passing.sort());
  });
});

function errorOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    return String(error);
  }
  throw new Error('It should have been refused');
}
