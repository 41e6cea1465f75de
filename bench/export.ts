import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import { RELEASES, REVISIONS } from './fill.ts';
import { type BenchRow, measureRounds, median, type Pair, rowOfPairs } from './measure.ts';
import { runBundle, runTimed } from './process.ts';
import { bundleScript } from './scripts.ts';

const ROUNDS = 7;

/** The arguments of an export of all that a cluster has, into a folder. */
export function exportArguments(folder: string): string[] {
  return ['export', '--namespace', '*', '--path', folder];
}

/** An export of everything against fetching the same Secrets bare, and against kubectl; whole processes. */
export async function benchExport(bed: Bed): Promise<BenchRow[]> {
  const cluster = await bed.source();
  const fetchRaw = await bundleScript(bed, 'fetch-raw');
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
    raw: async () => (await fetchRaw(cluster)).total,
    bytes: async () => (await fetchRaw(cluster, { BENCH_BYTES_ONLY: '1' })).total,
    kubectl: async () => (await runTimed(bed.kubectl, kubectlArguments, { env })).total,
    empty: async () => (await runTimed(process.execPath, ['-e', '0'])).total,
  };
  await check(bed, cluster);
  for (const run of Object.values(runs)) await run();

  const rounds = await measureRounds(ROUNDS, runs, ({ ours, raw, bytes, kubectl }) => {
    const [own, parsed, unparsed, get] = [ours, raw, bytes, kubectl].map((time) => time.toFixed(0));
    bed.note(`export ${own} ms, raw fetch ${parsed} ms, of bytes only ${unparsed} ms, kubectl ${get} ms`);
  });
  const pairsWith = (name: keyof typeof runs, less = 0): Pair[] =>
    rounds.map(({ ours, [name]: theirs }) => ({ ours: ours - less, theirs: theirs - less }));
  const empty = median(rounds.map((round) => round.empty));
  return [
    rowOfPairs('export, against a raw fetch of its Secrets', 'ms', pairsWith('raw'), { atMost: 2 }),
    rowOfPairs('  the same, less an empty node process each', 'ms', pairsWith('raw', empty)),
    rowOfPairs('  the same, the fetch not parsing what it gets', 'ms', pairsWith('bytes')),
    rowOfPairs('export, against kubectl get secrets -o json', 'ms', pairsWith('kubectl'), { atMost: 1 / 3 }),
  ];
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
