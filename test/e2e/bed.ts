import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { startCluster } from '../cluster/cluster.ts';
import { ensureTools } from '../cluster/tools.ts';
import type { Tools } from './fixtures.ts';
import { helmEnvironment } from './helm.ts';

export type RunningCluster = Awaited<ReturnType<typeof startCluster>>;

/** Real programs, real clusters and a folder, all gone after `close`. */
export interface Bed {
  readonly tools: Tools;
  readonly scratch: string;
  /** @param users - with a token each, and no rights */
  start(name: string, users?: readonly string[]): Promise<RunningCluster>;
  /** The environment of a user of that cluster who has the given Helm, or none, on PATH. */
  environment(cluster: { kubeconfig: string }, helm: 'helm3' | 'helm4' | 'none'): Record<string, string>;
  close(): Promise<void>;
}

export async function prepareBed(): Promise<Bed> {
  const { helm4, helm3, kubectl } = await ensureTools(['helm4', 'helm3', 'kubectl']);
  const scratch = await mkdtemp(join(tmpdir(), 'transship-e2e-'));
  const clusters: RunningCluster[] = [];
  for (const [name, program] of Object.entries({ helm3, helm4 })) {
    await mkdir(join(scratch, 'path', name), { recursive: true });
    await symlink(program, join(scratch, 'path', name, 'helm'));
  }
  await mkdir(join(scratch, 'path', 'none'));

  return {
    tools: { helm4, helm3, kubectl },
    scratch,
    async start(name, users = []) {
      const cluster = await startCluster({ name, tokens: users.map((user) => ({ user })) });
      clusters.push(cluster);
      return cluster;
    },
    environment(cluster, helm) {
      // Only Helm, node and a shell's own tools: what the machine has installed plays no part.
      const path = [join(scratch, 'path', helm), dirname(process.execPath), '/usr/bin', '/bin'];
      return { ...helmEnvironment(scratch, cluster.kubeconfig), PATH: path.join(delimiter) };
    },
    async close() {
      await Promise.all(clusters.map((cluster) => cluster.stop()));
      await rm(scratch, { recursive: true, force: true });
    },
  };
}
