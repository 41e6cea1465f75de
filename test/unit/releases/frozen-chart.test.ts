import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { freezeChart } from '../../../src/releases/frozen-chart.ts';
import type { HelmRelease } from '../../../src/releases/helm-release.ts';

const configMap = (name: string, rest = ''): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n${rest}`;
const hookText = (name: string): string =>
  `apiVersion: v1\nkind: Job\nmetadata:\n  name: ${name}\n  annotations: { helm.sh/hook: pre-install }\n`;
const stored = (source: string, content: string): string => `---\n# Source: ${source}\n${content}\n`;

function release(parts: Partial<HelmRelease>): HelmRelease {
  const chart = { metadata: { name: 'web', version: '1.2.3' }, values: {} };
  return { name: 'web', namespace: 'shop', version: 3, info: {}, chart, ...parts };
}

function file(parts: Partial<HelmRelease>, path: string, helmMajor: 3 | 4 = 4): string | undefined {
  return freezeChart(release(parts), helmMajor).files.get(path);
}

/** What a YAML file of a frozen chart holds: it is written as JSON. */
function parsed(parts: Partial<HelmRelease>, path: string): unknown {
  return JSON.parse(file(parts, path) ?? 'null');
}

/** What Helm makes of a template that holds nothing but text, and of the texts that were escaped in it. */
function render(template: string): string {
  return template.replaceAll('{{"{{"}}', '{{').replaceAll('<no <no value>value>', '<no value>');
}

describe('freezeChart', () => {
  it('files each document and hook under the path it was rendered from', () => {
    const { files, differences } = freezeChart(
      release({
        manifest:
          stored('web/templates/a.yaml', configMap('a')) +
          stored('web/charts/db/charts/base/templates/x/b.yml', configMap('b')),
        hooks: [{ name: 'h', path: 'web/charts/db/templates/hook.yaml', manifest: hookText('h') }],
      }),
      4,
    );
    expect([...files.keys()].sort()).toEqual([
      'Chart.yaml',
      'charts/db/Chart.yaml',
      'charts/db/charts/base/Chart.yaml',
      'charts/db/charts/base/templates/x/b.yml',
      'charts/db/charts/base/values.yaml',
      'charts/db/templates/hook.yaml',
      'charts/db/values.yaml',
      'templates/a.yaml',
      'values.yaml',
    ]);
    expect(files.get('templates/a.yaml')).toBe(configMap('a'));
    expect(files.get('charts/db/templates/hook.yaml')).toBe(hookText('h'));
    expect(JSON.parse(files.get('charts/db/Chart.yaml') ?? '')).toEqual({
      apiVersion: 'v2',
      name: 'db',
      version: '0.0.0',
    });
    expect(differences).toEqual([]);
  });

  it('puts the documents and hooks of one template into one file', () => {
    const path = 'web/templates/all.yaml';
    const manifest =
      stored(path, configMap('a')) + stored('web/templates/b.yaml', configMap('b')) + stored(path, 'kind: X');
    const hooks = [{ name: 'h', path, manifest: hookText('h') }];
    expect(file({ manifest, hooks }, 'templates/all.yaml')).toBe(`${configMap('a')}---\n${hookText('h')}---\nkind: X`);
  });

  it('puts the document without a last line break at the end, where Helm 4 leaves it so', () => {
    const path = 'web/templates/all.yaml';
    const parts = { manifest: stored(path, 'kind: ConfigMap') + stored(path, 'kind: Deployment\n') };
    expect(file(parts, 'templates/all.yaml')).toBe('kind: Deployment\n---\nkind: ConfigMap');
    expect(freezeChart(release(parts), 4).differences).toEqual([]);
  });

  it('keeps the metadata without what would stop Helm', () => {
    const metadata = {
      apiVersion: 'v1',
      name: 'web',
      version: '1.2.3+build',
      appVersion: '7',
      type: 'library',
      deprecated: true,
      kubeVersion: '<1.20',
      dependencies: [{ name: 'db', version: '1', repository: '' }],
      maintainers: [null, { name: 'Ann' }],
      annotations: { a: 'b' },
    };
    const chart = { metadata };
    expect(parsed({ chart }, 'Chart.yaml')).toEqual({
      apiVersion: 'v2',
      name: 'web',
      version: '1.2.3+build',
      appVersion: '7',
      maintainers: [{ name: 'Ann' }],
      annotations: { a: 'b' },
    });
  });

  it('adds annotations to the chart', () => {
    const { files } = freezeChart(release({}), 4, { annotations: { 'example.com/mark': 'x' } });
    expect(JSON.parse(files.get('Chart.yaml') ?? '')).toMatchObject({ annotations: { 'example.com/mark': 'x' } });
  });

  it('puts every template of a large release into a subchart, which Helm does not store', () => {
    const manifest = `${stored('web/templates/a.yaml', configMap('a'))}${stored('web/charts/db/templates/b.yaml', configMap('b'))}`;
    const { files } = freezeChart(release({ manifest, config: { db: { size: 1 } } }), 4, { nested: true });
    expect([...files.keys()]).toEqual([
      'Chart.yaml',
      'values.yaml',
      'charts/transship-frozen/Chart.yaml',
      'charts/transship-frozen/values.yaml',
      'charts/transship-frozen/charts/db/Chart.yaml',
      'charts/transship-frozen/charts/db/values.yaml',
      'charts/transship-frozen/templates/a.yaml',
      'charts/transship-frozen/charts/db/templates/b.yaml',
    ]);
  });

  it('gives a chart without metadata the name of the release, and a version Helm accepts', () => {
    expect(parsed({ chart: null }, 'Chart.yaml')).toMatchObject({ name: 'web', version: '0.0.0' });
    const chart = { metadata: { name: '../web', version: 'not a version' } };
    expect(parsed({ chart }, 'Chart.yaml')).toMatchObject({ name: 'web', version: '0.0.0' });
  });

  it('takes over no schema and no CRDs', () => {
    const chart = {
      metadata: { name: 'web', version: '1.0.0' },
      schema: 'e30=',
      files: [{ name: 'crds/x.yaml', data: '' }],
    };
    expect([...freezeChart(release({ chart }), 4).files.keys()]).toEqual(['Chart.yaml', 'values.yaml']);
  });

  it('hands over the stored values for --values, and none where there are none', () => {
    expect(freezeChart(release({ config: { a: { b: [1, null, 'x'] } } }), 4).values).toBe('{"a":{"b":[1,null,"x"]}}\n');
    expect(freezeChart(release({ config: {} }), 4).values).toBeUndefined();
    expect(freezeChart(release({ config: null }), 4).values).toBeUndefined();
  });

  it('escapes what a YAML file may not hold or would take for a line break', () => {
    const { values } = freezeChart(release({ config: { a: '\u007f\u0085\u2028\ufeff é 😀' } }), 4);
    expect(values).toBe('{"a":"\\u007f\\u0085\\u2028\\ufeff é 😀"}\n');
  });

  it('gives each stub its table in the values, in place of what Helm would refuse there', () => {
    const manifest =
      stored('web/charts/db/templates/a.yaml', configMap('a')) +
      stored('web/charts/db/charts/base/templates/a.yaml', configMap('b'));
    const chart = { metadata: { name: 'web', version: '1.0.0' }, values: { db: 'text', other: 1 } };
    expect(parsed({ manifest, chart }, 'values.yaml')).toEqual({ db: { base: {} }, other: 1 });
    expect(parsed({ manifest, chart }, 'charts/db/values.yaml')).toEqual({ base: {} });
  });

  it('moves the documents of a subchart out of the way of a value that stands for its table', () => {
    const manifest = stored('web/charts/db/templates/a.yaml', configMap('a'));
    const { files, differences } = freezeChart(release({ manifest, config: { db: false } }), 4);
    expect([...files.keys()]).toEqual(['Chart.yaml', 'values.yaml', 'templates/frozen-00000.yaml']);
    expect(differences).toEqual(['web/charts/db/templates/a.yaml has another path']);
  });

  it('files documents that have no template of their own by number', () => {
    const paths = [
      'generated-by-postrender-0.yaml',
      'other/templates/a.yaml',
      'web/crds/a.yaml',
      'web/templates/_a.yaml',
      'web/templates/NOTES.txt',
      'web/charts/_db/templates/a.yaml',
      'web/charts/db.tgz/templates/a.yaml',
      'web/charts/db/templates/a.prov',
      'web/templates/a\\b.yaml',
    ];
    const manifest = `${configMap('first')}\n${paths.map((path) => stored(path, configMap('x'))).join('')}`;
    const { files } = freezeChart(release({ manifest }), 4);
    const numbered = Array.from({ length: 10 }, (_, index) => `templates/frozen-0000${index}.yaml`);
    expect([...files.keys()]).toEqual(['Chart.yaml', 'values.yaml', ...numbered]);
  });

  it.each(['web/templates/../../../etc/x.yaml', '/etc/x.yaml', 'web//x.yaml', 'web/./templates/x.yaml'])(
    'refuses the path %s',
    (path) => {
      const freeze = (): unknown => freezeChart(release({ manifest: stored(path, configMap('a')) }), 4);
      expect(freeze).toThrow(TransshipError);
      expect(freeze).toThrow(
        `Revision 3 of release shop/web can't be installed as it is stored: it names the template "${path}", which is no path inside a chart.`,
      );
    },
  );

  it('refuses what Helm would take for a hook, or not for one, against the record', () => {
    const manifest = stored('web/templates/a.yaml', hookText('a'));
    expect(() => freezeChart(release({ manifest }), 4)).toThrow(
      "web/templates/a.yaml in its manifest has a hook's annotation, so Helm would run it",
    );
    const hooks = [{ name: 'a', path: 'web/templates/a.yaml', manifest: configMap('a') }];
    expect(() => freezeChart(release({ hooks }), 4)).toThrow(
      'its hook web/templates/a.yaml has no helm.sh/hook annotation',
    );
  });

  it('takes a text about hooks and the item of a list for what they are', () => {
    const text = configMap('a', 'data:\n  a: "helm.sh/hook: pre-install"\n');
    const list = `apiVersion: v1\nkind: List\nitems:\n- ${hookText('x').replaceAll('\n', '\n  ')}`;
    const manifest = stored('web/templates/a.yaml', text) + stored('web/templates/b.yaml', list);
    expect(freezeChart(release({ manifest }), 4).differences).toEqual([]);
  });

  it('writes the notes as they were rendered', () => {
    expect(file({ info: { notes: '\n {{ x }} <no value>\n' } }, 'templates/NOTES.txt')).toBe(
      '\n {{"{{"}} x }} <no <no value>value>\n',
    );
    expect(file({ info: { notes: '' } }, 'templates/NOTES.txt')).toBeUndefined();
  });

  it('closes a document with a comment where Helm would change a value at its end', () => {
    const path = 'web/templates/a.yaml';
    const kept = configMap('a', 'data:\n  a: |+\n    x\n\n');
    expect(file({ manifest: stored(path, kept) }, 'templates/a.yaml', 4)).toBe(kept);
    expect(file({ manifest: stored(path, kept) }, 'templates/a.yaml', 3)).toBe(`${kept}\n#`);
    const spaced = configMap('a', 'data:\n  a: |-\n    x  ');
    expect(file({ manifest: stored(path, spaced) }, 'templates/a.yaml', 3)).toBe(`${spaced}\n#`);
    const hook = `${hookText('a')}data: |+\n  x\n\n`;
    expect(file({ hooks: [{ name: 'a', path, manifest: hook }] }, 'templates/a.yaml', 3)).toBe(`${hook}#`);
  });

  it('leaves a document alone whose end Helm 3 may trim', () => {
    const path = 'web/templates/a.yaml';
    const { files, differences } = freezeChart(release({ manifest: stored(path, `${configMap('a')}\n`) }), 3);
    expect(files.get('templates/a.yaml')).toBe(`${configMap('a')}\n`);
    expect(differences).toEqual(['1 of templates/a.yaml end in other white space']);
  });

  it('restores the two separators that Helm 3 took for a document that starts with one', () => {
    const path = 'web/templates/a.yaml';
    const manifest =
      stored(path, 'kind: A') + stored(path, '---\nkind: B') + stored('web/templates/b.yaml', '---\nkind: C');
    expect(file({ manifest }, 'templates/a.yaml', 3)).toBe('kind: A\n---\n---\nkind: B');
    expect(file({ manifest }, 'templates/b.yaml', 3)).toBe('---\n---\nkind: C');
  });

  it('keeps the indentation of a document that a post-renderer made', () => {
    const manifest = '---\n  kind: A\n  metadata: {}\n';
    expect(file({ manifest }, 'templates/frozen-00000.yaml')).toBe('#\n  kind: A\n  metadata: {}');
  });

  it('writes a document that is too large for one file as parts, none of which cuts a character', () => {
    const text = `# ${'😀'.repeat(1_200_000)}\nkind: A`;
    const { files } = freezeChart(release({ manifest: stored('web/templates/a.yaml', text) }), 3);
    const calls = (files.get('templates/a.yaml') ?? '').split('}}{{');
    const parts = calls.map((call) => files.get(/"web\/(.*)"/.exec(call)?.[1] ?? '') ?? '');
    expect(parts).toHaveLength(3);
    expect(parts.every((part) => part.isWellFormed() && Buffer.byteLength(part) < 5 * 1024 * 1024)).toBe(true);
    expect(parts.join('')).toBe(text);
  });

  it('keeps any text through the escapes', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '{{',
      '{{-',
      '-}}',
      '"',
      '`',
      '<no value>',
      '<no ',
      'value>',
      '\\',
      'é',
      ' ',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 30 }), (fragments) => {
        const notes = `x${fragments.join('')}`;
        const template = file({ info: { notes } }, 'templates/NOTES.txt') ?? '';
        expect(render(template)).toBe(notes);
        expect(template.replaceAll('{{"{{"}}', '').includes('{{')).toBe(false);
      }),
    );
  });
});
