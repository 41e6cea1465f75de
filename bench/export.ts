import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import { directAccess } from './direct.ts';
import { RELEASES, REVISIONS } from './fill.ts';
import { type BenchRow, median, type Pair, rowOfPairs } from './measure.ts';
import { runBundle, runTimed } from './process.ts';

const ROUNDS = 7;

/** The arguments of an export of all that a cluster has, into a folder. */
export function exportArguments(folder: string): string[] {
  return ['export', '--namespace', '*', '--path', folder];
}

/** An export of everything against fetching the same Secrets bare, and against kubectl; whole processes. */
export async function benchExport(bed: Bed): Promise<BenchRow[]> {
  const cluster = await bed.source();
  const fetchRaw = await bundleFetchRaw(bed, cluster);
  const env = bed.env(cluster);
  const kubectlArguments = ['get', 'secrets', '-A', '-l', 'owner=helm', '-o', 'json'];
  let exports = 0;
  const runs = {
    ours: async () => {
      // Two exports within a second would be one snapshot.
      const folder = join(bed.folder, `export-${exports++}`);
      await mkdir(folder);
      return (await runBundle(exportArguments(folder), { env })).total;
    },
    raw: async () => (await fetchRaw({})).total,
    bytes: async () => (await fetchRaw({ BENCH_BYTES_ONLY: '1' })).total,
    kubectl: async () => (await runTimed(bed.kubectl, kubectlArguments, { env })).total,
    empty: async () => (await runTimed(process.execPath, ['-e', '0'])).total,
  };
  await check(bed, cluster);
  for (const run of Object.values(runs)) await run();

  const times: Record<keyof typeof runs, number[]> = { ours: [], raw: [], bytes: [], kubectl: [], empty: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const names = ['ours', 'raw', 'bytes', 'kubectl', 'empty'] as const;
    // Each time another one is first.
    for (const name of [...names.slice(round % names.length), ...names.slice(0, round % names.length)]) {
      times[name].push(await runs[name]());
    }
    const [ours, raw, bytes, kubectl] = names.map((name) => times[name].at(-1)?.toFixed(0));
    bed.note(`export ${ours} ms, raw fetch ${raw} ms, of bytes only ${bytes} ms, kubectl ${kubectl} ms`);
  }
  const pairsWith = (theirs: readonly number[], less = 0): Pair[] =>
    times.ours.map((ours, index) => ({ ours: ours - less, theirs: (theirs[index] ?? Number.NaN) - less }));
  return [
    rowOfPairs('export, against a raw fetch of its Secrets', 'ms', pairsWith(times.raw), { atMost: 2 }),
    rowOfPairs('  the same, less an empty node process each', 'ms', pairsWith(times.raw, median(times.empty))),
    rowOfPairs('  the same, the fetch not parsing what it gets', 'ms', pairsWith(times.bytes)),
    rowOfPairs('export, against kubectl get secrets -o json', 'ms', pairsWith(times.kubectl), { atMost: 1 / 3 }),
  ];
}

async function bundleFetchRaw(bed: Bed, cluster: TestCluster) {
  const outfile = join(bed.folder, 'fetch-raw.cjs');
  const entry = fileURLToPath(new URL('fetch-raw.ts', import.meta.url));
  await build({ entryPoints: [entry], outfile, bundle: true, minify: true, platform: 'node', format: 'cjs' });
  const access = { BENCH_ACCESS: JSON.stringify(directAccess(cluster)) };
  return (env: Record<string, string>) => runTimed(process.execPath, [outfile], { env: { ...access, ...env } });
}

/** A fast export of half the releases would be no figure. */
async function check(bed: Bed, cluster: TestCluster): Promise<void> {
  const folder = join(bed.folder, 'export-checked');
  await mkdir(folder);
  const args = [...exportArguments(folder), '--output', 'json'];
  const { stdout } = await runBundle(args, { env: bed.env(cluster), output: true });
  const { releases, size }: { releases: { revisions: number }[]; size: number } = JSON.parse(stdout);
  if (releases.length !== RELEASES || releases.some(({ revisions }) => revisions !== REVISIONS)) {
    throw new Error(`The export has ${releases.length} releases, and not ${RELEASES} of ${REVISIONS} revisions each.`);
  }
  bed.note(`The archive has ${(size / 1e6).toFixed(1)} MB`);
}
