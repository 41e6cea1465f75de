import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createTransforms } from '../src/transforms/create-transforms.ts';
import type { Bed } from './bed.ts';
import type { Filled } from './fill-objects.ts';
import { type BenchRow, measurePairs, median, rowOfLimit, rowOfPairs } from './measure.ts';
import { measureBundle, runBundle } from './process.ts';
import { type ArchiveRequests, writeRequestsOf } from './requests-of-archive.ts';
import { archiveIn, discoverOf, exportArguments, measureImport, newFolder } from './resources.ts';
import { bundleScript } from './scripts.ts';

const PLAN_PAIRS = 5;
const IMPORT_PAIRS = 3;
const LIMIT_MB = 250;
/** A part of an import's time. */
const MOST_OF_IMPORT = 0.05;
/** An import reads what it brings twice: to compare it, and to write it. */
const READS = 2;
/** In the Ingresses, images and addresses of every application. */
const TEXT = { from: 'example.com', to: 'example.org' };

/** A plan of what the cluster has already against bare dry runs of the same, and what replacing text costs an import. */
export async function benchPlan(bed: Bed): Promise<BenchRow[]> {
  const filled = await bed.objects();
  const snapshots = await newFolder(bed);
  await runBundle(exportArguments(snapshots), { env: bed.env(filled.cluster) });
  const requests = await writeRequestsOf(
    await archiveIn(snapshots),
    await discoverOf(filled.cluster),
    await newFolder(bed),
  );
  return [
    ...(await planFigures(bed, filled, snapshots, requests)),
    ...(await textFigures(bed, filled, snapshots, requests)),
  ];
}

async function planFigures(
  bed: Bed,
  { cluster, objects }: Filled,
  snapshots: string,
  requests: ArchiveRequests,
): Promise<BenchRow[]> {
  const applyRaw = await bundleScript(bed, 'apply-raw');
  const peaks: number[] = [];
  const ours = async () => {
    const args = ['plan', '--path', snapshots, '--output', 'json'];
    const { total, peak, stdout } = await measureBundle(args, { env: bed.env(cluster), output: true });
    const { changed, counts }: { changed: boolean; counts: { unchanged: number } } = JSON.parse(stdout);
    // A fast plan of half the objects would be no figure, nor one of others.
    if (changed || counts.unchanged < objects) {
      throw new Error(`The plan should find ${objects} objects unchanged; it says ${JSON.stringify(counts)}.`);
    }
    peaks.push(peak);
    return total;
  };
  const theirs = async () => {
    const { total, stdout } = await applyRaw(
      cluster,
      { BENCH_FILES: JSON.stringify(requests.files) },
      { output: true },
    );
    bed.note(`Applied raw, as dry runs: ${stdout}`);
    return total;
  };
  const pairs = await measurePairs(PLAN_PAIRS, ours, theirs, (pair) => {
    const [plan, raw, peak] = [pair.ours, pair.theirs, peaks.at(-1)].map((value) => value?.toFixed(0));
    bed.note(`plan ${plan} ms and ${peak} MB at most, raw dry-run applies ${raw} ms`);
  });
  return [
    rowOfPairs('plan of 13,000 unchanged objects, against raw dry-run applies', 'ms', pairs, { atMost: 1.4 }),
    rowOfLimit('peak memory of that plan', 'MB', median(peaks), LIMIT_MB),
  ];
}

async function textFigures(
  bed: Bed,
  { objects }: Filled,
  snapshots: string,
  requests: ArchiveRequests,
): Promise<BenchRow[]> {
  const replace = ['--replace-text', `${TEXT.from}=${TEXT.to}`];
  const replacing = async () => (await measureImport(bed, snapshots, objects, replace)).total;
  const plain = async () => (await measureImport(bed, snapshots, objects)).total;
  const pairs = await measurePairs(IMPORT_PAIRS, replacing, plain, (pair) => {
    bed.note(`import with text replaced ${pair.ours.toFixed(0)} ms, without ${pair.theirs.toFixed(0)} ms`);
  });
  // Two imports differ by more than what is measured here: the transforms by themselves have the target.
  const transforming = READS * (await transformTime(bed, requests));
  const limit = MOST_OF_IMPORT * median(pairs.map(({ theirs }) => theirs));
  return [
    rowOfPairs('import of 13,000 objects with text replaced, against without', 'ms', pairs),
    rowOfLimit('  of it, the time of the replacing itself, against 5 %', 'ms', transforming, limit),
  ];
}

/** Milliseconds to transform all objects once. */
async function transformTime(bed: Bed, { files }: ArchiveRequests): Promise<number> {
  const transforms = await createTransforms({
    ...{ namespaceMap: {}, storageClassMap: {}, imageMap: {} },
    replaceText: { [TEXT.from]: TEXT.to },
  });
  let time = 0;
  let changed = 0;
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      const json = line.slice(line.indexOf('\t') + 1);
      const object = JSON.parse(json);
      const begin = performance.now();
      const transformed = transforms.apply(object);
      time += performance.now() - begin;
      if (JSON.stringify(transformed) !== json) changed++;
    }
  }
  if (changed === 0) throw new Error(`No object has the text ${TEXT.from}.`);
  bed.note(`Replacing text in ${changed} objects took ${time.toFixed(0)} ms`);
  return time;
}
