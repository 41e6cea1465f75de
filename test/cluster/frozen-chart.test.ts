import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freezeChart } from '../../src/releases/frozen-chart.ts';
import { readHeads, splitManifest } from '../../src/releases/manifest.ts';
import { packChart } from '../../src/releases/pack-chart.ts';
import { decodeRecord, type HelmHook, type HelmRelease, parseRelease } from '../../src/releases/record.ts';
import { capture } from '../e2e/run-command.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { ensureTools } from './tools.ts';

const MAJORS = [3, 4] as const;
type Major = (typeof MAJORS)[number];
const ACROSS = [
  { from: 3, to: 4 },
  { from: 4, to: 3 },
] as const;

const configMap = (name: string, rest: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n${rest}`;
const hook = (name: string, event: string, rest = ''): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  annotations:\n    helm.sh/hook: ${event}\n${rest}`;

/** A chart of everything that could go wrong on the way through a template. */
const CHART: Readonly<Record<string, string>> = {
  'Chart.yaml': `apiVersion: v2
name: traps
version: 1.2.3-rc.1+build.5
appVersion: "7"
kubeVersion: ">=1.20.0-0"
deprecated: true
maintainers: [{ name: Ann, email: ann@example.com }]
dependencies:
  - { name: sub, version: 0.1.0, alias: first, condition: first.enabled }
  - { name: sub, version: 0.1.0, alias: second }
  - { name: sub, version: 0.1.0, alias: third, condition: third.enabled }
`,
  'values.yaml':
    'first: { enabled: true, text: one }\nsecond: { text: two }\nthird: { enabled: false }\nglobal: { a: 1 }\n',
  'values.schema.json': '{"type":"object","required":["given"]}',
  'templates/_helpers.tpl': '{{ define "traps.name" }}{{ .Release.Name }}{{ end }}',
  'templates/NOTES.txt': '\n Read {{ "{{ this }}" }}   \n\n',
  'templates/random.yaml': configMap('random', 'data:\n  a: "{{ randAlphaNum 20 }}"\n  b: "{{ now | unixEpoch }}"\n'),
  'templates/escapes.yaml': configMap(
    'escapes',
    'data:\n  a: |\n    {{ "{{" }} .x | quote }} {{ "{{-" }} y -}} {{ "{{{" }} `"z"` }}} {{ "{{/*" }} c */}}\n    ---\n    # Source: none\n  b: \'{{ "{" }}{}\'\n',
  ),
  'templates/no-value.yaml': configMap('no-value', 'data:\n  a: "<no {{ "<" }}no value>value>"\n'),
  'templates/several.yml': `${configMap('several-1', 'data:\n  a: |+\n    kept\n\n\n---   \n')}${hook('several-2', 'pre-install,post-upgrade', '    helm.sh/hook-weight: "-3"\n    helm.sh/hook-delete-policy: hook-succeeded\ndata:\n  a: |+\n    kept\n\n')}---\n# only a comment\n---\n\n---\n${configMap('several-3', 'data: { a: "1" }')}`,
  'templates/kinds.yaml': `apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: "{{ .Release.Name }}-{{ .Release.Namespace }}" }\nrules: []\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: { name: account }\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: secret }\nstringData: { a: b }`,
  'templates/crlf.yaml': configMap('crlf', 'data:\n  a: |\n    one\n    two\n').replaceAll('\n', '\r\n'),
  'templates/unended.yaml': configMap('unended', 'data:\n  a: |-\n    one  '),
  'templates/keeps.yaml': configMap('keeps', 'data:\n  a: |+\n    one\n\n\n'),
  'templates/json.json': '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"json"},"data":{"a":"{{ "{{" }}"}}',
  'templates/joined.yaml': `{{ range list 1 2 }}\n---{{ if true }}apiVersion: v1{{ end }}\nkind: ConfigMap\nmetadata:\n  name: joined-{{ . }}\n{{ end }}`,
  'templates/a b/ünï?.yaml': configMap('odd-path', ''),
  'templates/.hidden.yaml': configMap('hidden', ''),
  'templates/charts/not/templates/x.yaml': configMap('not-a-subchart', ''),
  'templates/empty.yaml': '{{ if false }}x{{ end }}\n---\n\n',
  'templates/tests/test.yaml': hook('tested', 'test'),
  'templates/bom.yaml': `{{ "\\ufeff" }}${hook('bom', 'post-install')}`,
  'charts/sub/Chart.yaml':
    'apiVersion: v2\nname: sub\nversion: 0.1.0\ndependencies: [{ name: deep, version: 1.0.0 }]\n',
  'charts/sub/values.yaml': 'text: none\ndeep: { x: 1 }\n',
  'charts/sub/templates/NOTES.txt': 'notes of a subchart',
  'charts/sub/templates/config.yaml': configMap(
    '{{ .Chart.Name }}-config',
    'data:\n  a: {{ .Values.text }}\n  sum: {{ sha256sum .Values.text }}\n',
  ),
  'charts/sub/templates/hook.yaml': hook('{{ .Chart.Name }}-hook', 'post-install'),
  'charts/sub/charts/deep/Chart.yaml': 'apiVersion: v1\nname: deep\nversion: "1.0"\n',
  'charts/sub/charts/deep/templates/config.yaml': configMap('{{ .Chart.Name }}-{{ randAlpha 8 | lower }}', ''),
};
const VALUES = 'given: { a: [1, 2.5, null, "x"], big: 12345678901234567890 }\nsecond: null\nfirst: { deep: null }\n';

describe('a frozen chart', () => {
  let cluster: TestCluster;
  let helm: Record<Major, string>;
  let folder: string;
  let count = 0;
  const originals = new Map<Major, { release: HelmRelease; data: Record<string, unknown> }>();

  beforeAll(async () => {
    const tools = await ensureTools(['helm3', 'helm4']);
    helm = { 3: tools.helm3, 4: tools.helm4 };
    folder = await mkdtemp(join(tmpdir(), 'transship-frozen-'));
    cluster = await startCluster({ name: 'frozen' });
    // An archive, since Helm does not load templates/.hidden.yaml from a folder.
    const chart = join(folder, 'traps.tgz');
    await writeFile(chart, await packChart(new Map(Object.entries(CHART))));
    const values = join(folder, 'values.yaml');
    await writeFile(values, VALUES);
    for (const major of MAJORS) originals.set(major, await install(major, chart, values));
  }, 1_800_000);

  afterAll(async () => {
    await cluster?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  /** Installs a chart as release `traps` of namespace `traps`, reads what came of it, and takes it away again. */
  async function install(major: Major, chart: string, values?: string, more: readonly string[] = []) {
    const run = (...args: string[]): Promise<string> => capture(helm[major], args, { env: cluster.env });
    const valuesArgs = values === undefined ? [] : ['--values', values];
    await run('install', 'traps', chart, '-n', 'traps', '--create-namespace', ...valuesArgs, ...more);
    const get = async (what: string, ...args: string[]) =>
      JSON.parse(await cluster.kubectl(['get', what, '-n', 'traps', '-o', 'json', ...args]));
    const release = parseRelease(await decodeRecord(await get('secret', 'sh.helm.release.v1.traps.v1')));
    const list: { items: { metadata: { name: string }; data?: unknown }[] } = await get('configmap');
    const data = Object.fromEntries(list.items.map((item) => [item.metadata.name, item.data]));
    delete data['kube-root-ca.crt'];
    await run('uninstall', 'traps', '-n', 'traps');
    await cluster.kubectl(['delete', 'configmap', '--all', '-n', 'traps']);
    return { release, data };
  }

  async function installFrozen(release: HelmRelease, major: Major) {
    const { files, values, differences } = freezeChart(release, major);
    const base = join(folder, String(count++));
    await mkdir(base);
    await writeFile(join(base, 'chart.tgz'), await packChart(files));
    if (values !== undefined) await writeFile(join(base, 'values.yaml'), values);
    const valuesFile = values === undefined ? undefined : join(base, 'values.yaml');
    return { ...(await install(major, join(base, 'chart.tgz'), valuesFile)), differences };
  }

  function original(major: Major) {
    const found = originals.get(major);
    if (found === undefined) throw new Error(`There is no original of Helm ${major}.`);
    return found;
  }

  it.each(MAJORS)('renders what Helm %i stored byte for byte: manifest, hooks, notes and values', async (major) => {
    const { release, data } = original(major);
    const frozen = await installFrozen(release, major);
    expect(frozen.release.manifest).toBe(release.manifest);
    expect(hooksOf(frozen.release)).toEqual(hooksOf(release));
    expect(frozen.release.info.notes).toBe(release.info.notes);
    expect(frozen.release.config).toEqual(release.config);
    expect(frozen.data).toEqual(data);
    expect(frozen.differences).toEqual([]);
  });

  it.each(ACROSS)('makes the same objects of a record of Helm $from with Helm $to', async ({ from, to }) => {
    const { release, data } = original(from);
    const frozen = await installFrozen(release, to);
    expect(frozen.data).toEqual(data);
    expect(frozen.release.info.notes).toBe(release.info.notes);
    expect(namesOf(frozen.release)).toEqual(namesOf(release));
  });

  it.each(MAJORS)('takes a post-rendered manifest without sources, with Helm %i', async (major) => {
    const { release } = original(major);
    const manifest = [
      `  apiVersion: v1\n  kind: ConfigMap\n  metadata: { name: indented }\n  data: { a: "{{ b }} <no value>" }`,
      '# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: later }\ndata:\n  a: |+\n    x\n\n',
      '# Source: generated-by-postrender-0.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: generated }\n',
    ].join('\n---\n');
    const frozen = await installFrozen({ ...release, manifest, hooks: [] }, major);
    expect(frozen.data).toEqual({
      indented: { a: '{{ b }} <no value>' },
      later: { a: 'x\n\n\n' },
      generated: undefined,
    });
    expect(frozen.differences).toEqual(expect.arrayContaining(['a document without a source has another path']));
  });

  it.each(MAJORS)('renders a document larger than the files Helm %i reads', async (major) => {
    const { release } = original(major);
    const line = `    {{ ${'x'.repeat(60)} }} é😀\n`;
    const text = `data:\n  a: |\n${line.repeat(3)}`;
    const comment = `# {{ ${'é'.repeat(40)}\n`.repeat(70_000);
    const source = '# Source: traps/templates/large.yaml\n';
    const manifest = `---\n${source}${comment}${configMap('large', text)}\n`;
    const frozen = await installFrozen({ ...release, manifest, hooks: [], config: null }, major);
    expect(frozen.release.manifest?.trimEnd()).toBe(manifest.trimEnd());
    expect(frozen.data).toEqual({ large: { a: line.repeat(3).replaceAll(/^ {4}/gm, '') } });
  });

  it.each(MAJORS)('is accepted where a value stands in the way of a subchart, by Helm %i', async (major) => {
    const { release, data } = original(major);
    const values = { first: null, second: 'text', given: {} };
    for (const config of [{ first: 'text' }, { first: { deep: 1 } }, { first: { deep: null } }, { second: null }]) {
      const frozen = await installFrozen({ ...release, chart: { ...release.chart, values }, config }, major);
      expect(frozen.data).toEqual(data);
    }
  });
});

/** Hooks as stored, without when and how they ran. */
function hooksOf(release: HelmRelease): HelmHook[] {
  return (release.hooks ?? []).map((stored) => ({ ...stored, last_run: undefined }));
}

/** The kinds and names of a release's objects, and where its hooks come from. */
function namesOf({ manifest = '', hooks }: HelmRelease): string[] {
  const heads = splitManifest(manifest).flatMap(({ text }) => readHeads(text));
  const names = heads.map(({ kind, name, namespace }) => `${kind} ${namespace}/${name}`);
  return [...names, ...(hooks ?? []).map(({ path, name, weight }) => `${path} ${name} ${weight}`)].sort();
}
