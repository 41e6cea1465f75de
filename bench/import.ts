import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';
import type { Bed } from './bed.ts';
import { type BenchRow, measurePairs, rowOfPairs } from './measure.ts';
import { runBundle, runTimed } from './process.ts';

const RELEASES = 40;
const AT_ONCE = 4;
const PAIRS = 3;
const CHART = fileURLToPath(new URL('../test/fixtures/charts/many', import.meta.url));
const SOURCE = 'small';

/** An import of small releases against as many plain runs of `helm install`, each into a namespace of its own. */
export async function benchImport(bed: Bed): Promise<BenchRow[]> {
  const cluster = await bed.target();
  const env = bed.env(cluster);
  const snapshots = join(bed.folder, 'small-releases');
  await mkdir(snapshots);

  const helm = (name: string, namespace: string) =>
    runTimed(bed.helm, ['install', name, CHART, '-n', namespace, '--set', 'deployment=true'], { env });
  const install = async (namespace: string) => {
    await runTimed(bed.kubectl, ['create', 'namespace', namespace], { env });
    const names = Array.from({ length: RELEASES }, (_, index) => `small-${index}`);
    const begin = performance.now();
    await pLimit(AT_ONCE).map(names, (name) => helm(name, namespace));
    return performance.now() - begin;
  };
  // What is still starting of one run must not slow the next.
  const settle = (namespace: string) => {
    const args = ['wait', 'deployments', '--all', '-n', namespace, '--for=condition=Available', '--timeout=120s'];
    return runTimed(bed.kubectl, args, { env });
  };
  bed.note(`Installing ${RELEASES} small releases, and exporting them`);
  await install(SOURCE);
  await settle(SOURCE);
  await runBundle(['export', '--namespace', SOURCE, '--path', snapshots], { env });

  let namespaces = 0;
  const ours = async () => {
    const namespace = `imported-${namespaces++}`;
    const map = ['--namespace-map', `${SOURCE}=${namespace}`];
    const { total } = await runBundle(['import', '--path', snapshots, ...map, '--concurrency', String(AT_ONCE)], {
      env,
    });
    await settle(namespace);
    return total;
  };
  const theirs = async () => {
    const namespace = `installed-${namespaces++}`;
    const total = await install(namespace);
    await settle(namespace);
    return total;
  };
  const pairs = await measurePairs(PAIRS, ours, theirs, (pair) => {
    bed.note(`import ${(pair.ours / 1000).toFixed(1)} s, helm install ${(pair.theirs / 1000).toFixed(1)} s`);
  });
  const name = `import of ${RELEASES} releases, ${AT_ONCE} at once, against helm install`;
  return [rowOfPairs(name, 'ms', pairs, { atMost: 1.3 })];
}
