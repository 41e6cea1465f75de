import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { ADMIN, type Bed } from './bed.ts';
import { directAccess } from './direct.ts';
import { type BenchRow, measurePairs, median, rowOfLimit, rowOfPairs } from './measure.ts';
import { BUNDLE, runBundle, runTimed } from './process.ts';
import { startStandIn } from './stand-in.ts';

const STARTS = 15;
const EXPORTS = 9;
const MORE_MS = 60;
const FIRST_REQUEST_MS = 250;
const BUNDLE_MB = 9;

/** How soon the program says something, how soon an export asks the cluster something, and how large the bundle is. */
export async function benchStart(bed: Bed): Promise<BenchRow[]> {
  return [await firstLine(bed), await firstRequest(bed), await bundleSize()];
}

async function firstLine({ note }: Bed): Promise<BenchRow> {
  const ours = async () => (await runBundle([], { output: true })).first;
  const theirs = async () => (await runTimed(process.execPath, ['-e', '0'])).total;
  await ours();
  await theirs();
  const pairs = await measurePairs(STARTS, ours, theirs, (pair) => {
    note(`first line after ${pair.ours.toFixed(0)} ms, node -e 0 ends after ${pair.theirs.toFixed(0)} ms`);
  });
  return rowOfPairs('first line of the help, against node -e 0', 'ms', pairs, { atMostMore: MORE_MS });
}

async function firstRequest(bed: Bed): Promise<BenchRow> {
  const folder = join(bed.folder, 'stand-in');
  await mkdir(folder);
  const standIn = await startStandIn(folder, directAccess(await bed.target()), ADMIN.token);
  try {
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, standIn.kubeconfig, { mode: 0o600 });
    const times: number[] = [];
    for (let run = 0; run < EXPORTS; run++) {
      const path = join(folder, `snapshot-${run}`);
      await mkdir(path);
      const asked = standIn.nextRequest();
      const begin = performance.now();
      await runBundle(['export', '--namespace', 'default', '--path', path], { env: { KUBECONFIG: kubeconfig } });
      times.push((await asked) - begin);
      bed.note(`first request of an export after ${times.at(-1)?.toFixed(0)} ms`);
    }
    return rowOfLimit('first request of an export to the cluster', 'ms', median(times), FIRST_REQUEST_MS);
  } finally {
    await standIn.close();
  }
}

async function bundleSize(): Promise<BenchRow> {
  const dist = dirname(BUNDLE);
  let bytes = 0;
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !path.endsWith('.node')) bytes += (await stat(path)).size;
  }
  return rowOfLimit('the bundle without addons', 'MB', bytes / 1e6, BUNDLE_MB);
}
