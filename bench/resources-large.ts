import type { Bed } from './bed.ts';
import { fillWithObjects, LARGE, SMALL } from './fill-objects.ts';
import { type BenchRow, type Pair, rowOfPairs } from './measure.ts';
import type { Measured } from './process.ts';
import { discoverOf, listing, measureExport, measureImport } from './resources.ts';

const EXPORT_PAIRS = 3;
const PER_OBJECTS = 1000;
const TIME = { atMost: 1.1 };
const MEMORY = { atMost: 1.2 };

/** Both of Transship: an export or import of many objects, and one of a tenth of them. */
interface Sizes {
  readonly large: Measured;
  readonly small: Measured;
}

/** What ten times as many objects cost, each, against 13,000: ours against ours. */
export async function benchResourcesLarge(bed: Bed): Promise<BenchRow[]> {
  const small = await bed.objects();
  bed.note('Starting the cluster objects-large');
  // It ends before the imports, which have the machine for themselves.
  const { folders, exports, explaining } = await bed.withCluster('objects-large', async (cluster) => {
    const large = await fillWithObjects(bed, cluster, LARGE);
    const exports: Sizes[] = [];
    let folders = { large: '', small: '' };
    for (let pair = 0; pair < EXPORT_PAIRS; pair++) {
      const [ofSmall, ofLarge] = [await measureExport(bed, small.cluster), await measureExport(bed, cluster)];
      folders = { large: ofLarge.folder, small: ofSmall.folder };
      exports.push({ large: ofLarge, small: ofSmall });
      bed.note(describe('export', { large: ofLarge, small: ofSmall }));
    }
    const list = await listing(bed, await discoverOf(cluster));
    const listed = { large: (await list(cluster)).total, small: (await list(small.cluster)).total };
    const created = { large: large.creation, small: small.creation };
    return { folders, exports, explaining: { listed, created } };
  });
  bed.note('Importing them, which takes some minutes');
  const imported = {
    small: await measureImport(bed, folders.small, SMALL),
    large: await measureImport(bed, folders.large, LARGE),
  };
  bed.note(describe('import', imported));
  const times = ({ large, small }: Sizes) => perObjects({ large: large.total, small: small.total });
  const peaks = ({ large, small }: Sizes): Pair => ({ ours: large.peak, theirs: small.peak });
  const per = `per ${PER_OBJECTS}`;
  return [
    rowOfPairs(`export of 130,000 objects, ${per}, against 13,000`, 'ms', exports.map(times), TIME),
    rowOfPairs('  the same, both listed raw', 'ms', [perObjects(explaining.listed)]),
    rowOfPairs(`import of 130,000 objects, ${per}, against 13,000`, 'ms', [times(imported)], TIME),
    rowOfPairs('  the same, both created raw', 'ms', [perObjects(explaining.created)]),
    rowOfPairs('peak memory of that export, against 13,000', 'MB', exports.map(peaks), MEMORY),
    rowOfPairs('peak memory of that import, against 13,000', 'MB', [peaks(imported)], MEMORY),
  ];
}

function perObjects({ large, small }: { readonly large: number; readonly small: number }): Pair {
  return { ours: (large / LARGE) * PER_OBJECTS, theirs: (small / SMALL) * PER_OBJECTS };
}

function describe(what: string, { large, small }: Sizes): string {
  const side = ({ total, peak }: Measured) => `${(total / 1000).toFixed(1)} s and ${peak.toFixed(0)} MB`;
  return `${what} of ${LARGE} objects ${side(large)}, of ${SMALL} ${side(small)}`;
}
