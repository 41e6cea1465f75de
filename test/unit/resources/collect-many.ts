// Exports many ConfigMaps of a cluster in memory as an archive; prints how many and what it took.
import { tmpdir } from 'node:os';
import { writeArchive } from '../../../src/archive/write.ts';
import type { Cluster } from '../../../src/cluster/cluster.ts';
import { discover } from '../../../src/cluster/discovery.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { collectResources } from '../../../src/resources/collect.ts';
import { sent, sourceCluster } from './source-cluster.ts';

const count = Number(process.argv[2]);
const PAGE = 200;

/** As text, as it comes from a server. */
function pageText(first: number): string {
  const items = Array.from({ length: Math.min(PAGE, count - first) }, (_, index) =>
    sent(`v1 ConfigMap team-${Math.floor((first + index) / 500)}/c-${first + index}`, {
      data: Object.fromEntries(Array.from({ length: 20 }, (_, key) => [`key-${key}`, `${index}`.padEnd(80, '.')])),
    }),
  );
  return JSON.stringify(items);
}

const empty = sourceCluster({ objects: [] });
const cluster: Cluster = {
  ...empty,
  async *listPages(path, options) {
    if (!path.endsWith('/configmaps')) return yield* empty.listPages(path, options);
    for (let first = 0; first < count; first += PAGE) {
      await new Promise((resolve) => setImmediate(resolve));
      yield JSON.parse(pageText(first));
    }
  },
};

const collection = collectResources(cluster, {
  discovery: await discover(cluster),
  namespaces: ['*'],
  clusterResources: 'needed',
  strict: true,
  restoreStatus: [],
  concurrency: 8,
  temporaryDirectory: tmpdir(),
  alsoReleases: false,
  reporter: silentReporter,
});
for await (const _ of writeArchive(collection.entries, { compression: 'none', mtime: new Date(0) }).bytes);
const exported = collection.result().resources.reduce((sum, row) => sum + row.exported, 0);
// In KiB: https://nodejs.org/docs/latest-v24.x/api/process.html#processresourceusage
console.log(JSON.stringify({ exported, peak: process.resourceUsage().maxRSS * 1024 }));
