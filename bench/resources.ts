import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { openCluster } from '../src/cluster/connect.ts';
import { type Discovery, discover, type ResourceKind } from '../src/cluster/discovery.ts';
import { isSkippedKind } from '../src/resources/rules.ts';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import type { Filled } from './fill-objects.ts';
import { type BenchRow, measurePairs, measureRounds, median, type Pair, rowOfLimit, rowOfPairs } from './measure.ts';
import { BENCH_SELECTOR } from './objects.ts';
import { type Measured, measureBundle, runBundle, runTimed } from './process.ts';
import { type ArchiveRequests, collectionPath, writeRequestsOf } from './requests-of-archive.ts';
import { bundleScript } from './scripts.ts';

const EXPORT_ROUNDS = 7;
const KUBECTL_PAIRS = 2;
const MEMORY_EXPORTS = 3;
const IMPORT_PAIRS = 3;
const LIMIT_MB = 200;

/** Exports and imports of 13,000 objects against bare requests for the same; whole processes. */
export async function benchResources(bed: Bed): Promise<BenchRow[]> {
  const filled = await bed.objects();
  const discovery = await discoverOf(filled.cluster);
  const snapshots = await newFolder(bed);
  await runBundle(exportArguments(snapshots), { env: bed.env(filled.cluster) });
  const requests = await writeRequestsOf(await archiveIn(snapshots), discovery, snapshots);
  // A fast export of half the objects would be no figure.
  if (requests.ofBench !== filled.objects) {
    throw new Error(`The archive has ${requests.ofBench} of the bench's ${filled.objects} objects.`);
  }
  bed.note(`The archive has ${requests.objects} objects`);
  return [
    ...(await exportTimes(bed, filled, discovery)),
    ...(await kubectlTimes(bed, filled, discovery)),
    await exportMemory(bed, filled),
    ...(await importFigures(bed, snapshots, requests)),
  ];
}

/** The arguments of an export of all objects that a cluster has, into a folder. */
export function exportArguments(folder: string): string[] {
  return ['export', '--include', 'resources', '--namespace', '*', '--cluster-resources', 'all', '--path', folder];
}

/** Exports everything into a folder of its own: two exports within a second would be one snapshot. */
export async function measureExport(bed: Bed, cluster: TestCluster): Promise<Measured & { readonly folder: string }> {
  const folder = await newFolder(bed);
  return { folder, ...(await measureBundle(exportArguments(folder), { env: bed.env(cluster) })) };
}

/**
 * Imports a folder's snapshot into a cluster of its own.
 *
 * @param objects - how many of the bench's objects there must be afterwards
 * @param more - further arguments
 */
export function measureImport(
  bed: Bed,
  folder: string,
  objects: number,
  more: readonly string[] = [],
): Promise<Measured> {
  return bed.withCluster('imported', async (cluster) => {
    const measured = await measureBundle(['import', '--path', folder, ...more], { env: bed.env(cluster) });
    const there = await countOfBench(cluster);
    if (there !== objects) throw new Error(`The import brought ${there} of the bench's ${objects} objects.`);
    return measured;
  });
}

/** What lists every kind that an export lists, each once. */
export async function listing(bed: Bed, discovery: Discovery) {
  const listRaw = await bundleScript(bed, 'list-raw');
  const BENCH_PATHS = JSON.stringify(exportedKinds(discovery).map((kind) => collectionPath(kind)));
  return (cluster: TestCluster, env: Readonly<Record<string, string>> = {}) =>
    listRaw(cluster, { BENCH_PATHS, ...env }, { output: true });
}

async function exportTimes(bed: Bed, { cluster }: Filled, discovery: Discovery): Promise<BenchRow[]> {
  const env = bed.env(cluster);
  const list = await listing(bed, discovery);
  const runs = {
    ours: async () => (await runBundle(exportArguments(await newFolder(bed)), { env })).total,
    raw: async () => (await list(cluster)).total,
    bytes: async () => (await list(cluster, { BENCH_BYTES_ONLY: '1' })).total,
  };
  bed.note(`Listed raw: ${(await list(cluster)).stdout}, ${(await list(cluster, { BENCH_BYTES_ONLY: '1' })).stdout}`);
  const rounds = await measureRounds(EXPORT_ROUNDS, runs, (round) => {
    const [ours, raw, bytes] = [round.ours, round.raw, round.bytes].map((time) => time.toFixed(0));
    bed.note(`export ${ours} ms, raw lists ${raw} ms, of bytes only ${bytes} ms`);
  });
  const pairsWith = (name: 'raw' | 'bytes') => rounds.map(({ ours, [name]: theirs }) => ({ ours, theirs }));
  return [
    rowOfPairs('export of 13,000 objects, against listing them raw', 'ms', pairsWith('raw'), { atMost: 2 }),
    rowOfPairs('  the same, the lists not parsed', 'ms', pairsWith('bytes')),
  ];
}

async function kubectlTimes(bed: Bed, { cluster }: Filled, discovery: Discovery): Promise<BenchRow[]> {
  const env = bed.env(cluster);
  const ours = async () => (await runBundle(exportArguments(await newFolder(bed)), { env })).total;
  const loop = async () => {
    const begin = performance.now();
    for (const { plural, version, group } of listableKinds(discovery)) {
      const name = group === '' ? plural : `${plural}.${version}.${group}`;
      await runTimed(bed.kubectl, ['get', name, '-A', '-o', 'json'], { env });
    }
    return performance.now() - begin;
  };
  const pairs = await measurePairs(KUBECTL_PAIRS, ours, loop, (pair) => {
    bed.note(`export ${pair.ours.toFixed(0)} ms, kubectl get of kind after kind ${pair.theirs.toFixed(0)} ms`);
  });
  return [rowOfPairs('export, against kubectl get KIND -A -o json of each', 'ms', pairs, { atMost: 0.1 })];
}

async function exportMemory(bed: Bed, { cluster }: Filled): Promise<BenchRow> {
  const peaks: number[] = [];
  for (let run = 0; run < MEMORY_EXPORTS; run++) {
    const { peak } = await measureExport(bed, cluster);
    peaks.push(peak);
    bed.note(`export had ${peak.toFixed(0)} MB at most`);
  }
  return rowOfLimit('peak memory of the export of 13,000 objects', 'MB', median(peaks), LIMIT_MB);
}

async function importFigures(bed: Bed, snapshots: string, requests: ArchiveRequests): Promise<BenchRow[]> {
  const createRaw = await bundleScript(bed, 'create-raw');
  const BENCH_FILES = JSON.stringify(requests.files);
  const peaks: number[] = [];
  const rate = (time: number) => (requests.objects / time) * 1000;
  const ours = async () => {
    const { total, peak } = await measureImport(bed, snapshots, requests.ofBench);
    peaks.push(peak);
    return rate(total);
  };
  const theirs = () =>
    bed.withCluster('created', async (cluster) => {
      const { total, stdout } = await createRaw(cluster, { BENCH_FILES }, { output: true });
      bed.note(`Created raw: ${stdout}`);
      return rate(total);
    });
  const pairs: Pair[] = await measurePairs(IMPORT_PAIRS, ours, theirs, (pair) => {
    bed.note(`import ${pair.ours.toFixed(0)} objects/s, raw ${pair.theirs.toFixed(0)}, ${peaks.at(-1)?.toFixed(0)} MB`);
  });
  return [
    rowOfPairs('import of them, against raw creates', 'objects/s', pairs, { atLeast: 0.7 }),
    rowOfLimit('peak memory of the import', 'MB', median(peaks), LIMIT_MB),
  ];
}

function listableKinds({ kinds }: Discovery): ResourceKind[] {
  return kinds.filter((kind) => kind.verbs.includes('list'));
}

/** The kinds that an export lists: others would only slow down the raw lists that it is held against. */
function exportedKinds(discovery: Discovery): ResourceKind[] {
  return listableKinds(discovery).filter((kind) => isSkippedKind(kind) === undefined);
}

export async function discoverOf({ kubeconfig }: TestCluster): Promise<Discovery> {
  const api = await openCluster({ kubeconfig });
  try {
    return await discover(api);
  } finally {
    await api.close();
  }
}

async function countOfBench({ kubeconfig }: TestCluster): Promise<number> {
  const api = await openCluster({ kubeconfig });
  try {
    let count = 0;
    for (const kind of exportedKinds(await discover(api))) {
      for await (const _ of api.list(collectionPath(kind), { labelSelector: BENCH_SELECTOR })) count++;
    }
    return count;
  } finally {
    await api.close();
  }
}

let folders = 0;

/** A folder of its own; it goes with the bed. */
export async function newFolder(bed: Bed): Promise<string> {
  const folder = join(bed.folder, `resources-${folders++}`);
  await mkdir(folder);
  return folder;
}

/** The one snapshot in a folder. */
export async function archiveIn(folder: string): Promise<string> {
  const [file, ...more] = await readdir(folder);
  if (file === undefined || more.length > 0) throw new Error(`${folder} should hold one snapshot.`);
  return join(folder, file);
}
