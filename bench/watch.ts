import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Cluster, KubeObject } from '../src/cluster/cluster.ts';
import { openCluster } from '../src/cluster/connect.ts';
import { type FaultyProxy, startFaultyProxy } from '../test/cluster/faulty-proxy.ts';
import { startOnFreePorts } from '../test/cluster/ports.ts';
import { startS3, type TestS3 } from '../test/cluster/s3.ts';
import type { Bed } from './bed.ts';
import type { Filled } from './fill-objects.ts';
import { type BenchRow, median, rowOfLimit } from './measure.ts';
import { BENCH_SELECTOR } from './objects.ts';
import { BUNDLE } from './process.ts';

const SETTLE_MS = 3000;
const LATENCY_ROUNDS = 5;
const IDLE_MS = 60_000;
const LIMIT_MB = 300;
const LIMIT_CPU_PERCENT = 2;
const LIMIT_LATENCY_MS = 2000;
/** Of the bytes of a full export. */
const LIMIT_SENT_PERCENT = 5;
/** Clock ticks a second, as `getconf CLK_TCK` says on every Linux of today. */
const TICKS = 100;
const WITHIN_MS = 120_000;
const WRITES_AT_ONCE = 16;

/** The daemon beside 13,000 objects: memory, idle processor time, how soon a change is stored, and how much is sent for it. */
export async function benchWatch(bed: Bed): Promise<BenchRow[]> {
  const filled = await bed.objects();
  const s3 = await startS3();
  const proxy = await startFaultyProxy(s3.endpoint, () => undefined);
  const api = await openCluster({ kubeconfig: filled.cluster.kubeconfig, concurrency: WRITES_AT_ONCE });
  try {
    return await withDaemon(bed, filled, s3, proxy, async (daemon) => {
      const full = sentBytes(proxy);
      bed.note(`A full snapshot sent ${(full / 1e6).toFixed(1)} MB in ${daemon.files} objects`);
      const percent = (bytes: number) => (bytes / full) * 100;
      const cpu = await idlePercent(bed, daemon);
      const times: number[] = [];
      for (let round = 0; round < LATENCY_ROUNDS; round++) times.push(await changeOne(bed, api, daemon, round));
      const clustered = percent(await changeMany(bed, api, daemon, proxy, filled, 'of one namespace'));
      const spread = percent(await changeMany(bed, api, daemon, proxy, filled, 'of all namespaces'));
      return [
        rowOfLimit('peak memory of watch with 13,000 objects', 'MB', await daemon.peak(), LIMIT_MB),
        rowOfLimit('its processor time when nothing changes', '%', cpu, LIMIT_CPU_PERCENT),
        rowOfLimit('a change is in S3 so long after settle', 'ms', median(times), LIMIT_LATENCY_MS),
        rowOfLimit('bytes sent for 1 % of objects, in one namespace', '%', clustered, LIMIT_SENT_PERCENT),
        rowOfLimit('bytes sent for 1 % of objects, spread over all', '%', spread, LIMIT_SENT_PERCENT),
      ];
    });
  } finally {
    await api.close();
    await proxy.stop();
    await s3.stop();
  }
}

/** A running `transship watch`. */
interface Daemon {
  readonly pid: number;
  /** Objects that the first snapshot has in S3. */
  readonly files: number;
  /** Waits until there is a snapshot that was not there. */
  nextSnapshot(): Promise<void>;
  /** MB, the most it ever had. */
  peak(): Promise<number>;
}

async function withDaemon<T>(
  bed: Bed,
  { cluster }: Filled,
  s3: TestS3,
  proxy: FaultyProxy,
  use: (daemon: Daemon) => Promise<T>,
): Promise<T> {
  const port = await startOnFreePorts('transship-bench-port-', 1, async (guarded, [free = 0]) => {
    await guarded.end();
    return free;
  });
  const env = { ...process.env, ...bed.env(cluster), ...s3.env, AWS_ENDPOINT_URL_S3: proxy.url };
  const settings = ['--layout', 'tree', '--on-change', '--settle', `${SETTLE_MS}ms`, '--listen', `127.0.0.1:${port}`];
  const what = ['--include', 'resources', '--namespace', '*', '--cluster-resources', 'all'];
  const place = ['--path', `s3://${s3.bucket}/bench`, '--s3-path-style'];
  const begin = performance.now();
  const child = spawn(process.execPath, [BUNDLE, 'watch', ...what, ...place, ...settings], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const backups = join(s3.folder, 'buckets', s3.bucket, 'bench');
  try {
    await until(child, () => isReady(port));
    bed.note(`Ready after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    let known = await completeTrees(backups);
    const [first = ''] = known;
    return await use({
      pid: child.pid ?? 0,
      files: (await readdir(first, { recursive: true })).length,
      async nextSnapshot() {
        const before = known.length;
        await until(child, async () => {
          known = await completeTrees(backups);
          return known.length > before;
        });
      },
      peak: async () => {
        const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
        return (Number(/VmHWM:\s*(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
      },
    });
  } catch (error) {
    throw new Error(`The daemon said:\n${said.slice(-4000)}`, { cause: error });
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
}

async function until(child: ChildProcess, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WITHIN_MS;
  while (!(await isSo())) {
    if (child.exitCode !== null) throw new Error(`The daemon ended with status ${child.exitCode}.`);
    if (performance.now() > deadline) throw new Error(`It took more than ${WITHIN_MS / 1000} s.`);
    await sleep(10);
  }
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Folders of trees that are whole. */
async function completeTrees(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const cluster of await readdir(folder).catch(() => [])) {
    const trees = join(folder, cluster, 'backup');
    for (const id of await readdir(trees).catch(() => [])) {
      if (existsSync(join(trees, id, 'manifest'))) found.push(join(trees, id));
    }
  }
  return found;
}

/** Bytes of the bodies that were sent to S3 so far; copies inside it have none. */
function sentBytes({ requests }: FaultyProxy): number {
  return requests
    .filter(({ method }) => method === 'PUT' || method === 'POST')
    .reduce((sum, { headers }) => sum + Number(headers['content-length'] ?? 0), 0);
}

async function idlePercent({ note }: Bed, { pid }: Daemon): Promise<number> {
  // What the first snapshot left to collect.
  await sleep(10_000);
  const before = await processorTime(pid);
  await sleep(IDLE_MS);
  const percent = (((await processorTime(pid)) - before) / IDLE_MS) * 100;
  note(`Idle: ${percent.toFixed(2)} % of a core in ${IDLE_MS / 1000} s`);
  return percent;
}

/** Milliseconds: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, utime and stime. */
async function processorTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
}

async function changeOne({ note }: Bed, api: Cluster, daemon: Daemon, round: number): Promise<number> {
  const object = (await configMaps(api))[round];
  if (object === undefined) throw new Error('There are too few ConfigMaps.');
  const begin = performance.now();
  await change(api, object);
  await daemon.nextSnapshot();
  const after = performance.now() - begin - SETTLE_MS;
  note(`A change was in S3 ${after.toFixed(0)} ms after settle`);
  return after;
}

/** Changes 1 % of the objects, and says how many bytes were sent for that. */
async function changeMany(
  { note }: Bed,
  api: Cluster,
  daemon: Daemon,
  proxy: FaultyProxy,
  { objects }: Filled,
  where: 'of one namespace' | 'of all namespaces',
): Promise<number> {
  const wanted = Math.round(objects / 100);
  const all = await configMaps(api);
  const byNamespace = Object.values(Object.groupBy(all, ({ metadata }) => metadata.namespace ?? ''));
  const largest = byNamespace.toSorted((a = [], b = []) => b.length - a.length).flatMap((group = []) => group);
  const every = Math.floor(all.length / wanted);
  const chosen = where === 'of one namespace' ? largest.slice(0, wanted) : all.filter((_, i) => i % every === 0);
  const before = sentBytes(proxy);
  const limit = pLimit(WRITES_AT_ONCE);
  await Promise.all(chosen.slice(0, wanted).map((object) => limit(() => change(api, object))));
  await daemon.nextSnapshot();
  const sent = sentBytes(proxy) - before;
  note(`${wanted} changed ConfigMaps ${where}: ${(sent / 1e6).toFixed(2)} MB were sent`);
  return sent;
}

async function configMaps(api: Cluster): Promise<KubeObject[]> {
  const found: KubeObject[] = [];
  for await (const object of api.list('/api/v1/configmaps', { labelSelector: BENCH_SELECTOR })) found.push(object);
  return found;
}

async function change(api: Cluster, { metadata: { namespace, name } }: KubeObject): Promise<void> {
  await api.json({
    method: 'PATCH',
    path: `/api/v1/namespaces/${namespace}/configmaps/${name}`,
    contentType: 'application/merge-patch+json',
    body: { data: { changed: new Date().toISOString() } },
  });
}
