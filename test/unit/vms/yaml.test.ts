import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readYaml, writeYaml } from '../../../src/vms/yaml.ts';

/** Texts that some reader of YAML takes for something else. */
const TRICKY = [
  'yes|no|on|off|y|N|true|null|~|=|<<|0o17|0x1F|017|1_000|12:30:45|1e3|.5|.inf|.nan|2026-01-05|---|- a|a: b|a #b',
  '#cloud-config\n|a\r\nb|a  \nb\n\n|x\n  \n| lead\nb|a\tb\n\tc\n|a\u0085b|a\u2028b|\ufeffx|a\u0007|😀\nb|"\n\'|...\n|{a|[b|%c|@d|`e',
].flatMap((line) => line.split('|'));

describe('an object written as YAML', () => {
  test('has its keys sorted and its scripts readable, as kubectl shows it', async () => {
    const text = await writeYaml({
      kind: 'VirtualMachine',
      apiVersion: 'kubevirt.io/v1',
      spec: {
        volumes: [{ name: 'init', cloudInitNoCloud: { userData: '#cloud-config\nusers: [ada]\n' } }],
        running: false,
      },
    });
    expect(text).toBe(
      [
        'apiVersion: kubevirt.io/v1',
        'kind: VirtualMachine',
        'spec:',
        '  running: false',
        '  volumes:',
        '  - cloudInitNoCloud:',
        '      userData: |',
        '        #cloud-config',
        '        users: [ada]',
        '    name: init',
        '',
      ].join('\n'),
    );
  });

  test.each([...TRICKY, ''])('keeps %j for readers of YAML 1.1 and 1.2', async (text) => {
    const value = { key: text, [`k${text}`]: 'value', list: [text, { [text]: 1 }] };
    const written = await writeYaml(value);
    expect(await readYaml(written)).toStrictEqual(value);
    expect(parse(written, { version: '1.1' })).toStrictEqual(value);
  });

  test('comes back as it was, whatever it is', async () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...TRICKY), fc.stringMatching(/^[ -~\n\t]*$/));
    const json = fc.letrec((tie) => ({
      value: fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), tie('list'), tie('map')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      map: fc.dictionary(
        text.filter((key) => key !== '__proto__'),
        tie('value'),
        { maxKeys: 4 },
      ),
    }));
    await fc.assert(
      fc.asyncProperty(json.map, async (value) => {
        expect(await readYaml(await writeYaml(value))).toEqual({ ...(value as object) });
      }),
      { numRuns: 100 },
    );
  });

  test('keeps every digit of a number', async () => {
    const written = await writeYaml({ big: JSON.rawJSON('9223372036854775807'), small: 7, half: 0.5 });
    expect(written).toBe('big: 9223372036854775807\nhalf: 0.5\nsmall: 7\n');
    expect(JSON.stringify(await readYaml(written))).toBe('{"big":9223372036854775807,"half":0.5,"small":7}');
  });
});

describe('YAML that is none', () => {
  test.each([
    ['a: [1', /^Flow sequence in block collection/],
    ['a: 1\na: 2', /^Map keys must be unique/],
    ['a: 1\n---\nb: 2', /^Source contains multiple documents/],
  ])('%j is refused in one line', async (text, reason) => {
    await expect(readYaml(text)).rejects.toThrow(reason);
    await expect(readYaml(text)).rejects.not.toThrow(/\n/);
  });
});
