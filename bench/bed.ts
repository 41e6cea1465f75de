import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { startCluster, type TestCluster } from '../test/cluster/cluster.ts';
import { ensureTools } from '../test/cluster/tools.ts';
import { fillWithReleases } from './fill.ts';
import { type Filled, fillWithObjects, SMALL } from './fill-objects.ts';
import { runTimed } from './process.ts';

/** The right to do everything, by token: a stand-in in front of the API server can pass it on. */
export const ADMIN = { user: 'bench', groups: ['system:masters'], token: 'bench-token' } as const;

/** What all figures of one run share; clusters start when a figure asks for them. */
export interface Bed {
  /** A folder that is removed at the end. */
  readonly folder: string;
  readonly helm: string;
  readonly kubectl: string;
  /** A cluster with 200 releases of five revisions each, and 10,000 other objects. */
  source(): Promise<TestCluster>;
  /** A cluster that was empty at first. */
  target(): Promise<TestCluster>;
  /** A cluster with 13,000 objects of two dozen kinds. */
  objects(): Promise<Filled>;
  /** Starts one more cluster, which ends with its use. */
  withCluster<T>(name: string, use: (cluster: TestCluster) => Promise<T>): Promise<T>;
  /** What points transship, helm and kubectl at a cluster, with the bed's helm first on PATH. */
  env(cluster: TestCluster): Record<string, string>;
  note(message: string): void;
  /** What measured, in a line. */
  machine(): Promise<string>;
  close(): Promise<void>;
}

/** Makes the tools ready; starts nothing yet. */
export async function prepareBed(note: (message: string) => void): Promise<Bed> {
  const tools = await ensureTools(['helm4', 'kubectl']);
  const folder = await mkdtemp(join(tmpdir(), 'transship-bench-'));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  await symlink(tools.helm4, join(bin, 'helm'));
  const clusters: TestCluster[] = [];
  const start = async (name: string) => {
    note(`Starting the cluster ${name}`);
    const cluster = await startCluster({ name, tokens: [ADMIN] });
    clusters.push(cluster);
    return cluster;
  };
  const bed: Bed = {
    folder,
    helm: tools.helm4,
    kubectl: tools.kubectl,
    source: once(async () => {
      const cluster = await start('source');
      await fillWithReleases(bed, cluster);
      return cluster;
    }),
    target: once(() => start('target')),
    objects: once(async () => fillWithObjects(bed, await start('objects'), SMALL)),
    async withCluster(name, use) {
      const cluster = await startCluster({ name });
      try {
        return await use(cluster);
      } finally {
        await cluster.stop();
      }
    },
    env: (cluster) => ({
      ...cluster.env,
      PATH: `${bin}${delimiter}${process.env.PATH}`,
      HELM_CACHE_HOME: join(folder, 'helm-cache'),
      HELM_CONFIG_HOME: join(folder, 'helm-config'),
      HELM_DATA_HOME: join(folder, 'helm-data'),
    }),
    note,
    async machine() {
      const helm = await runTimed(tools.helm4, ['version', '--template', '{{.Version}}'], { output: true });
      const kubectl = await runTimed(tools.kubectl, ['version', '--client', '-o', 'json'], { output: true });
      const [, kubectlVersion] = /"gitVersion": "(.*?)"/.exec(kubectl.stdout) ?? [];
      const cores = cpus();
      const hardware = `${cores.length} cores (${cores[0]?.model}), ${Math.round(totalmem() / 1e9)} GB`;
      return `${hardware}, Node ${process.version}, Helm ${helm.stdout}, kubectl ${kubectlVersion}`;
    },
    async close() {
      await Promise.all(clusters.map((cluster) => cluster.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
  return bed;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
