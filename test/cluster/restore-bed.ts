import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readBody } from '../../src/archive/entry.ts';
import type { Cluster, ClusterRequest, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { discover } from '../../src/cluster/discovery.ts';
import { findObject } from '../../src/cluster/find.ts';
import { collectCrds } from '../../src/crds/collect.ts';
import { runProgram } from '../../src/exec.ts';
import type { ArchiveFiles } from '../../src/releases/bundles.ts';
import { collectReleases } from '../../src/releases/collect.ts';
import type { Explain } from '../../src/releases/explain.ts';
import type { ReleasePlan } from '../../src/releases/plan-releases.ts';
import { decodeRecord, type ReleaseRecord } from '../../src/releases/record.ts';
import { prepareRestore, type ReleaseRestore, type RestoreOptions } from '../../src/releases/restore.ts';
import { type Reporter, silentReporter } from '../../src/report/reporter.ts';
import type { ReleaseResult } from '../../src/report/results.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { ensureTools } from './tools.ts';

export type HelmVersion = 'helm3' | 'helm4';

/** The files of an archive by their paths. */
export type Snapshot = Map<string, Buffer>;

/** One of the two clusters, with the real Helm bound to it. */
export interface Side {
  readonly bed: TestCluster;
  readonly cluster: Cluster;
  /** Runs helm as its words, split at spaces, and returns what it printed. */
  helm(words: string, driver?: string, version?: HelmVersion): Promise<string>;
  /** Runs helm where it has to fail, and returns what it said. */
  helmFails(words: string): Promise<string>;
  /** The records of a release, by revision. */
  records(namespace: string, name: string, kind?: 'secrets' | 'configmaps'): Promise<Map<number, ReleaseRecord>>;
  /** One object, or undefined. */
  find(path: string): Promise<KubeObject | undefined>;
}

export interface RestoreBed {
  readonly folder: string;
  readonly source: Side;
  readonly target: Side;
  /** Writes a chart into the folder and returns its path. */
  chart(name: string, files: Record<string, string>): Promise<string>;
  /** What an export of the source yields. */
  snapshot(...namespaces: string[]): Promise<Snapshot>;
  restore(files: Snapshot, options?: RestoreChoice): Promise<ReleaseResult[]>;
  /** What `restore` with the same options would do. */
  plan(files: Snapshot, explain: Explain, options?: RestoreChoice): Promise<ReleasePlan>;
  close(): Promise<void>;
}

/** What a test asks of an import; the rest is made up. */
export interface RestoreChoice extends Partial<Omit<RestoreOptions, 'choice' | 'namespaceMap' | 'helm'>> {
  readonly helm?: HelmVersion;
  readonly map?: Record<string, string>;
  /** Only these releases. */
  readonly only?: readonly string[];
  readonly history?: number;
}

/** Starts a source and a target. */
export async function startRestoreBed(): Promise<RestoreBed> {
  const folder = await mkdtemp(join(tmpdir(), 'transship-restore-'));
  const tools = await ensureTools(['helm3', 'helm4']);
  const [source, target] = await Promise.all(['source', 'target'].map((name) => startSide(name, folder, tools)));
  if (source === undefined || target === undefined) throw new Error('There are two sides.');

  const prepare = async (files: Snapshot, choice: RestoreChoice): Promise<ReleaseRestore> => {
    const { helm = 'helm4', map = {}, only, history, ...options } = choice;
    const names = new Set([...files.keys()].filter((path) => path.startsWith('_releases/')).map(nameIn));
    const temporaryDirectory = await mkdtemp(join(folder, 'import-'));
    return prepareRestore(asArchive(files), {
      mayBeEmpty: false,
      choice: {
        namespaces: [],
        exclude: only === undefined ? [] : [...names].filter((name) => !only.includes(name)),
        history: history ?? 'all',
      },
      namespaceMap: new Map(Object.entries(map)),
      helm: { path: tools[helm], version: helm, major: helm === 'helm3' ? 3 : 4 },
      runProgram,
      cluster: target.cluster,
      env: { PATH: process.env.PATH, HOME: folder },
      temporaryDirectory,
      timeout: '30s',
      crdTimeout: 30_000,
      wait: false,
      noHooks: false,
      replace: false,
      concurrency: 4,
      origin: 'snapshot 26-01-31_12-00-00 of source',
      reporter: silentReporter,
      ...options,
    });
  };

  return {
    folder,
    source,
    target,
    async chart(name, files) {
      const path = join(folder, name);
      const all = { 'Chart.yaml': `apiVersion: v2\nname: ${name}\nversion: 0.1.0\nappVersion: "7"\n`, ...files };
      for (const [file, text] of Object.entries(all)) {
        await mkdir(dirname(join(path, file)), { recursive: true });
        await writeFile(join(path, file), text);
      }
      return path;
    },
    async snapshot(...namespaces) {
      const files = new Map<string, Buffer>();
      const options = { namespaces, history: 'all', reporter: silentReporter } as const;
      const collection = collectReleases(source.cluster, options);
      for await (const entry of collection.entries) files.set(entry.path, await readBody(entry));
      const discovery = await discover(source.cluster);
      const { crdNeeds } = collection.result();
      const { entry } = await collectCrds(source.cluster, discovery, crdNeeds, silentReporter);
      if (entry !== undefined) files.set(entry.path, await readBody(entry));
      return files;
    },
    async restore(files, options = {}) {
      const prepared = await prepare(files, options);
      await prepared.applyCrds();
      return prepared.install();
    },
    async plan(files, explain, options = {}) {
      return (await prepare(files, { ...options, planning: true })).plan(explain);
    },
    async close() {
      await Promise.all([source, target].map(({ cluster }) => cluster.close()));
      await Promise.all([source, target].map(({ bed }) => bed.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startSide(name: string, folder: string, tools: Record<HelmVersion, string>): Promise<Side> {
  const bed = await startCluster({ name, tokens: [{ user: 'deployer' }] });
  const cluster = await openCluster({ kubeconfig: bed.kubeconfig });
  const run = (words: string, driver = 'secret', version: HelmVersion = 'helm4') =>
    runProgram(tools[version], words.split(' '), {
      env: { ...bed.env, PATH: process.env.PATH ?? '', HOME: folder, HELM_DRIVER: driver },
    });
  return {
    bed,
    cluster,
    find: (path) => findObject(cluster, path),
    async helm(words, driver, version) {
      const { exitCode, stdout, stderr } = await run(words, driver, version);
      if (exitCode !== 0) throw new Error(`helm ${words}: ${stderr}`);
      return stdout;
    },
    async helmFails(words) {
      const { exitCode, stderr } = await run(words);
      if (exitCode === 0) throw new Error(`helm ${words} should have failed.`);
      return stderr;
    },
    async records(namespace, release, kind = 'secrets') {
      const found = new Map<number, ReleaseRecord>();
      const path = `/api/v1/namespaces/${namespace}/${kind}`;
      for await (const object of cluster.list(path, { labelSelector: `owner=helm,name=${release}` })) {
        const record = await decodeRecord(object);
        found.set(record.revision, record);
      }
      return new Map([...found].sort(([a], [b]) => a - b));
    },
  };
}

/** The name of the release that a record's path is of. */
function nameIn(path: string): string {
  return path.split('/')[2] ?? '';
}

function asArchive(files: Snapshot): ArchiveFiles {
  return {
    paths: () => files.keys(),
    read: async (path) => files.get(path) ?? Promise.reject(new Error(`There is no ${path}.`)),
  };
}

/** A cluster that breaks for good at the first request that matches, as when the process is killed. */
export function cutAt(cluster: Cluster, matches: (request: ClusterRequest) => boolean): Cluster {
  let isCut = false;
  return {
    ...cluster,
    json: async (request) => {
      isCut ||= matches(request);
      if (isCut) throw new Error('cut');
      return cluster.json(request);
    },
  };
}

/** A reporter that keeps what it is told, each line with its level. */
export function keepReports(): Reporter & { readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return {
    lines,
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    debug: keep('debug'),
    progress: keep('progress'),
    mask() {},
  };
}
