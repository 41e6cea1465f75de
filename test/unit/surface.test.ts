import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { actionInputs, renderAction, renderReadme } from '../../scripts/generate-docs.ts';
import { modesOf, schema } from '../../src/inputs/schema.ts';
import { defaultOf, infoOf, inputNames, modeNames } from '../../src/inputs/table.ts';
import { outputNames } from '../../src/outputs.ts';
import { version } from '../../src/version.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(resolve(root, file), 'utf8');
const ADVICE = 'Run: node scripts/generate-docs.ts';

describe('the inputs and outputs are the same everywhere', () => {
  it('action.yml says what the schema says', () => {
    expect(read('action.yml'), ADVICE).toBe(renderAction(read('action.yml')));
  });

  it('README says what the schema says', () => {
    expect(read('README.md'), ADVICE).toBe(renderReadme(read('README.md')));
  });

  it('the schema has every input that is described, and no other', () => {
    const known = schema.def.options.flatMap((option) => Object.keys(option.shape));
    expect([...new Set(known)].sort()).toEqual([...inputNames].sort());
  });
});

describe('action.yml', () => {
  const action = parse(read('action.yml'));

  it('declares every input and output, described', () => {
    expect(Object.keys(action.inputs)).toEqual(actionInputs);
    expect(Object.keys(action.outputs)).toEqual(outputNames);
    for (const entry of [...Object.values(action.inputs), ...Object.values(action.outputs)]) {
      expect(entry).toHaveProperty('description', expect.stringMatching(/\S{2,}.*\.$/));
    }
  });

  it('gives no default to an input that some mode refuses: the runner would pass it to every mode', () => {
    for (const name of actionInputs.filter((input) => action.inputs[input].default !== undefined)) {
      expect(modesOf(name)).toEqual(modeNames);
    }
  });

  it('requires the mode alone', () => {
    expect(actionInputs.filter((name) => action.inputs[name].required)).toEqual(['mode']);
  });

  it('runs the one bundle as main and as post on Node 24', () => {
    expect(action.runs).toEqual({ using: 'node24', main: 'dist/index.js', post: 'dist/index.js' });
  });

  it('holds no expression outside of defaults, where the runner would evaluate it', () => {
    const descriptions = [...Object.values(action.inputs), ...Object.values(action.outputs)].map((entry) =>
      JSON.stringify({ ...Object(entry), default: undefined }),
    );
    expect(descriptions.filter((text) => text.includes('$' + '{{'))).toEqual([]);
  });
});

/** Empty unless given: there is no default to speak of. */
const MAPS = ['namespace-map', 'storage-class-map', 'image-map', 'replace-text'];

it('every documented default is the one the schema uses', () => {
  for (const mode of modeNames) {
    const parsed: Record<string, unknown> = schema.parse({ mode });
    const documented = inputNames.filter((name) => modesOf(name).includes(mode) && defaultOf(name, mode) !== undefined);
    const used = Object.keys(parsed).filter((name) => !(name === 'mode' || MAPS.includes(name)));
    // `path` gets its default together with the backend.
    expect(documented.filter((name) => name !== 'path').sort(), mode).toEqual(used.sort());
  }
});

it('what help calls a list may be given more than once, and nothing else', () => {
  for (const name of inputNames) {
    expect(infoOf(name).list ?? false, name).toBe(infoOf(name).placeholder === 'list');
  }
});

it('the version is that of package.json', () => {
  expect(version).toBe(JSON.parse(read('package.json')).version);
});
