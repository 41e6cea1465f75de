import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bed } from './bed.ts';
import { exportArguments } from './export.ts';
import { type BenchRow, median, rowOfLimit } from './measure.ts';
import { measureBundle } from './process.ts';

const EXPORTS = 3;
const LIMIT_MB = 250;

/** The most memory that an export of everything needs, and the import of its archive, whole, into another cluster. */
export async function benchMemory(bed: Bed): Promise<BenchRow[]> {
  const source = await bed.source();
  const peaks: number[] = [];
  let snapshots = '';
  for (let run = 0; run < EXPORTS; run++) {
    snapshots = join(bed.folder, `memory-${run}`);
    await mkdir(snapshots);
    const { peak } = await measureBundle(exportArguments(snapshots), { env: bed.env(source) });
    peaks.push(peak);
    bed.note(`export had ${peak.toFixed(0)} MB at most`);
  }
  const target = await bed.target();
  bed.note('Importing all of it, which takes a minute or two');
  // Hooks only make Helm wait.
  const { peak, total } = await measureBundle(['import', '--path', snapshots, '--no-hooks'], { env: bed.env(target) });
  bed.note(`import had ${peak.toFixed(0)} MB at most, in ${(total / 1000).toFixed(0)} s`);
  return [
    rowOfLimit('peak memory of the export', 'MB', median(peaks), LIMIT_MB),
    rowOfLimit('peak memory of the import of its archive', 'MB', peak, LIMIT_MB),
  ];
}
