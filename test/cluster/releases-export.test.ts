import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readBody } from '../../src/archive/entry.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { toDataObject } from '../../src/cluster/data-objects.ts';
import { discover } from '../../src/cluster/discovery.ts';
import { collectCrds } from '../../src/crds/collect.ts';
import { type CollectOptions, collectReleases } from '../../src/releases/collect.ts';
import { decodeRecord, recordToObject } from '../../src/releases/record.ts';
import { entryToRecord } from '../../src/releases/record-entry.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { startCluster } from './cluster.ts';
import { ensureTools } from './tools.ts';

const CHARTS = fileURLToPath(new URL('../fixtures/charts', import.meta.url));

const NOTE_TEMPLATE = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.name | default .Release.Name }}
data:
  text: {{ .Values.text | default "<a href='x'>&</a> \\u2028 é 😀" | quote }}
`;

const OPERATOR_ROLE = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .Release.Name }}-operator
rules:
- apiGroups: [gears.example.com]
  resources: [gears, gears/status]
  verbs: [get, list, watch]
`;

function crdOf(plural: string, kind: string, group: string): KubeObject {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, singular: kind.toLowerCase(), kind },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}

let folder: string;
let bed: Awaited<ReturnType<typeof startCluster>>;
let tools: Record<'helm3' | 'helm4', string>;
let cluster: Cluster;
let noteChart: string;

/** Runs the real helm; `driver` is HELM_DRIVER. */
async function helm(version: 'helm3' | 'helm4', args: readonly string[], driver = 'secret'): Promise<void> {
  const env = { ...process.env, KUBECONFIG: bed.kubeconfig, HELM_DRIVER: driver, KUBECACHEDIR: join(folder, 'cache') };
  await promisify(execFile)(tools[version], args, { env });
}

/** Runs the real helm for a revision that is meant to fail. */
async function failingHelm(args: readonly string[]): Promise<void> {
  await expect(helm('helm4', args)).rejects.toThrow();
}

async function collect(options: Partial<Omit<CollectOptions, 'reporter'>> = {}, from = cluster) {
  const collection = collectReleases(from, {
    namespaces: ['*'],
    history: 'all',
    reporter: silentReporter,
    ...options,
  });
  const entries = [];
  for await (const entry of collection.entries) entries.push(entry);
  return { entries, paths: entries.map(({ path }) => path), ...collection.result() };
}

/** The records of a namespace as the cluster has them, unpacked by other means than the code under test. */
async function storedJson(namespace: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const plural of ['secrets', 'configmaps']) {
    const list = JSON.parse(await bed.kubectl(['get', plural, '-n', namespace, '-l', 'owner=helm', '-o', 'json']));
    for (const { metadata, data } of list.items) {
      const inner = plural === 'secrets' ? Buffer.from(data.release, 'base64').toString() : data.release;
      found.set(`${plural}/${metadata.name}`, gunzipSync(Buffer.from(inner, 'base64')).toString());
    }
  }
  return found;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-export-'));
  [bed, tools] = await Promise.all([
    startCluster({ name: 'export', tokens: [{ user: 'deployer' }] }),
    ensureTools(['helm3', 'helm4']),
  ]);
  cluster = await openCluster({ kubeconfig: bed.kubeconfig });

  noteChart = join(folder, 'note');
  await mkdir(join(noteChart, 'templates'), { recursive: true });
  await writeFile(join(noteChart, 'Chart.yaml'), 'apiVersion: v2\nname: note\nversion: 0.1.0\nappVersion: "7"\n');
  await writeFile(join(noteChart, 'templates', 'note.yaml'), NOTE_TEMPLATE);
  const operatorChart = join(folder, 'operator');
  await cp(noteChart, operatorChart, { recursive: true });
  await writeFile(join(operatorChart, 'templates', 'role.yaml'), OPERATOR_ROLE);

  const crds = [crdOf('gears', 'Gear', 'gears.example.com'), crdOf('unused', 'Unused', 'unused.example.com')];
  for (const body of crds) {
    await cluster.json({ method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body });
  }
  await bed.kubectl(['create', 'namespace', 'empty']);

  const at = (namespace: string) => ['-n', namespace, '--create-namespace', '--no-hooks'];
  await helm('helm4', ['install', 'shop', join(CHARTS, 'umbrella'), ...at('team-a'), '--labels', 'team=a,tier=web']);
  await helm('helm4', ['install', 'operator', operatorChart, ...at('team-a')]);
  await helm('helm3', ['install', 'old', noteChart, ...at('team-b')]);
  await helm('helm4', ['install', 'maps', noteChart, ...at('team-b')], 'configmap');
  await helm('helm3', ['upgrade', 'maps', noteChart, ...at('team-b')], 'configmap');

  const text = (revision: number) => ['--set', `text=${revision}`];
  const keepAll = ['--history-max', '0'];
  await helm('helm4', ['install', 'long', noteChart, ...at('other'), ...text(1)]);
  for (let revision = 2; revision <= 10; revision += 1) {
    await helm('helm4', ['upgrade', 'long', noteChart, '-n', 'other', ...text(revision), ...keepAll]);
  }
  for (const revision of [11, 12]) {
    await failingHelm([
      'upgrade',
      'long',
      noteChart,
      '-n',
      'other',
      ...text(revision),
      ...keepAll,
      '--set',
      'name=Not_A_Name',
    ]);
  }
});

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('an export of a real cluster', () => {
  test('has every revision of both drivers and both Helms, each JSON byte for byte', async () => {
    const { entries } = await collect();
    const records = await Promise.all(entries.map(entryToRecord));
    for (const namespace of ['team-a', 'team-b', 'other']) {
      const expected = await storedJson(namespace);
      const exported = records
        .filter((record) => record.namespace === namespace)
        .map((record) => [`${record.driver}s/${record.objectName}`, record.json] as const);
      expect(new Map(exported)).toEqual(expected);
    }
    expect(records).toHaveLength(1 + 1 + 1 + 2 + 12);
  });

  test("keeps all labels, also the user's and Helm's times", async () => {
    const { entries } = await collect({ namespaces: ['team-a'] });
    const records = await Promise.all(entries.map(entryToRecord));
    for (const record of records) {
      const name = record.objectName;
      const live = JSON.parse(await bed.kubectl(['get', 'secret', name, '-n', 'team-a', '-o', 'json']));
      expect(record.labels).toEqual(live.metadata.labels);
    }
    expect(records.find(({ release }) => release === 'shop')?.labels).toMatchObject({ team: 'a', tier: 'web' });
  });

  test('is the same, byte for byte, from a server that knows no protobuf', async () => {
    const bytesOf = async (from: Cluster) =>
      Promise.all((await collect({}, from)).entries.map(async (entry) => [entry.path, await readBody(entry, 1e6)]));
    const jsonOnly: Cluster = {
      ...cluster,
      async *listData(path, options) {
        for await (const page of cluster.listPages(path, options)) {
          yield page.flatMap((object) => toDataObject(object) ?? []);
        }
      },
    };
    expect(await bytesOf(cluster)).toEqual(await bytesOf(jsonOnly));
  });

  test('tells of each release what runs', async () => {
    const note = { chart: 'note', chartVersion: '0.1.0', appVersion: '7', outcome: 'exported', status: 'deployed' };
    const { releases } = await collect({ namespaces: ['other', 'team-b'] });
    expect(releases).toEqual([
      { ...note, name: 'long', namespace: 'other', revision: 10, revisions: 12 },
      { ...note, name: 'maps', namespace: 'team-b', revision: 2, revisions: 2 },
      { ...note, name: 'old', namespace: 'team-b', revision: 1, revisions: 1 },
    ]);
  });

  test('can be shortened to the newest revisions and the one that runs', async () => {
    const { paths } = await collect({ namespaces: ['other'], history: 1 });
    expect(paths).toEqual(['_releases/other/long/10.json', '_releases/other/long/12.json']);
  });

  test('chooses by globs, labels and exclusion', async () => {
    const names = async (options: Partial<Omit<CollectOptions, 'reporter'>>) =>
      (await collect(options)).releases.map(({ name }) => name);
    expect(await names({ namespaces: ['team-*'] })).toEqual(['operator', 'shop', 'maps', 'old']);
    expect(await names({ selector: 'team=a' })).toEqual(['shop']);
    expect(await names({ selector: 'team notin (a)', exclude: ['o*', 'other/*'] })).toEqual(['maps']);
    expect(await names({ namespaces: ['empty'] })).toEqual([]);
  });

  test('refuses a namespace that does not exist, naming the one that was meant', async () => {
    await expect(collect({ namespaces: ['teama'] })).rejects.toMatchObject({
      code: 'INPUT',
      hint: 'Did you mean team-a or team-b?',
    });
  });

  test('gives records that the real helm reads after they were put back', async () => {
    const { entries } = await collect({ namespaces: ['team-b'] });
    await bed.kubectl(['create', 'namespace', 'copy']);
    for (const entry of entries) {
      const object = await recordToObject({ ...(await entryToRecord(entry)), namespace: 'copy' });
      const plural = object.kind === 'Secret' ? 'secrets' : 'configmaps';
      await cluster.json({ method: 'POST', path: `/api/v1/namespaces/copy/${plural}`, body: object });
    }
    expect(await storedJson('copy')).toEqual(await storedJson('team-b'));
    for (const version of ['helm3', 'helm4'] as const) {
      await helm(version, ['get', 'all', 'old', '-n', 'copy']);
      await helm(version, ['history', 'maps', '-n', 'copy'], 'configmap');
    }
    await bed.kubectl(['delete', 'secrets,configmaps', '-n', 'copy', '-l', 'owner=helm']);
  });
});

describe('the CRDs of an export', () => {
  test("are those of the chart, of its subcharts' objects and of an operator's roles; others stay", async () => {
    const { crdNeeds } = await collect();
    const { entry, names, unserved } = await collectCrds(cluster, await discover(cluster), crdNeeds, silentReporter);
    expect(names).toEqual([
      'backupplans.db.example.com',
      'databases.db.example.com',
      'gears.gears.example.com',
      'storefronts.shop.example.com',
    ]);
    expect(unserved).toEqual([]);
    const list = join(folder, 'crds.json');
    if (entry === undefined) throw new Error('no entry');
    await writeFile(list, await readBody(entry));
    await bed.kubectl(['apply', '--dry-run=server', '-f', list]);
  });
});

describe('one who has rights in a namespace only', () => {
  let theirs: Cluster;

  beforeAll(async () => {
    const rights = ['--verb=get,list', '--resource=secrets,configmaps'];
    await bed.kubectl(['create', 'role', 'records', '-n', 'team-a', ...rights]);
    await bed.kubectl(['create', 'rolebinding', 'records', '-n', 'team-a', '--role=records', '--user=deployer']);
    theirs = await openCluster({ kubeconfig: bed.kubeconfig, context: 'export-deployer' });
  });

  afterAll(async () => {
    await theirs?.close();
  });

  const collectTheirs = async (namespaces: string[]) => {
    const collection = collectReleases(theirs, { namespaces, history: 'all', reporter: silentReporter });
    for await (const _ of collection.entries);
    return collection.result();
  };

  test('exports that namespace, and is told which CRDs have to be at the target', async () => {
    const { releases, crdNeeds } = await collectTheirs(['team-a']);
    expect(releases.map(({ name }) => name)).toEqual(['operator', 'shop']);
    const warnings: string[] = [];
    const reporter = { ...silentReporter, warn: (message: string) => warnings.push(message) };
    const { entry, unreadable } = await collectCrds(theirs, await discover(theirs), crdNeeds, reporter);
    expect(entry).toBeUndefined();
    expect(unreadable).toHaveLength(4);
    expect(warnings).toEqual([expect.stringContaining(unreadable.join(', '))]);
  });

  test.each([
    ['every namespace', '*', 'name the namespaces one by one'],
    ['another namespace', 'team-b', 'Grant the verb list on secrets'],
  ])('is told how to get what is missing for %s', async (_, namespace, hint) => {
    await expect(collectTheirs([namespace])).rejects.toMatchObject({
      code: 'FORBIDDEN',
      hint: expect.stringContaining(hint),
    });
  });
});

describe('a record that was damaged in the cluster', () => {
  const name = 'sh.helm.release.v1.old.v1';
  const path = `/api/v1/namespaces/team-b/secrets/${name}`;

  test('stops the export with an error that names it, and exclude gets past it', async () => {
    const secret = await cluster.json<KubeObject>({ method: 'GET', path });
    const record = await decodeRecord({ ...secret, kind: 'Secret' });
    const packed = Buffer.from(String((secret.data as { release: string }).release), 'base64').toString();
    const cut = Buffer.from(packed.slice(0, packed.length / 2)).toString('base64');
    await cluster.json({ method: 'PUT', path, body: { ...secret, data: { release: cut } } });
    try {
      await expect(collect({ namespaces: ['team-*'] })).rejects.toMatchObject({
        code: 'RECORD_INVALID',
        message: expect.stringMatching(
          /^Secret team-b\/sh\.helm\.release\.v1\.old\.v1 is no readable Helm release record: /,
        ),
      });
      const { paths } = await collect({ namespaces: ['team-b'], exclude: ['team-b/old'] });
      expect(paths).toEqual(['_releases/team-b/maps/1.json', '_releases/team-b/maps/2.json']);
    } finally {
      const { resourceVersion: _, ...metadata } = secret.metadata;
      await cluster.json({ method: 'PUT', path, body: { ...(await recordToObject(record)), metadata } });
    }
  });
});
