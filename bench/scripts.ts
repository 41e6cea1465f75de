import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import { directAccess } from './direct.ts';
import { runTimed, type Timed } from './process.ts';

/** Runs a script in a process of its own, as the administrator of a cluster. */
export type RunScript = (
  cluster: TestCluster,
  env?: Readonly<Record<string, string>>,
  options?: { readonly output?: boolean },
) => Promise<Timed>;

/** Bundles a script of this folder, as Transship is bundled. What it gets in its environment is up to the script. */
export async function bundleScript(
  bed: Bed,
  name: 'fetch-raw' | 'list-raw' | 'create-raw' | 'apply-raw',
): Promise<RunScript> {
  const outfile = join(bed.folder, `${name}.cjs`);
  const entry = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  await build({ entryPoints: [entry], outfile, bundle: true, minify: true, platform: 'node', format: 'cjs' });
  return (cluster, env = {}, options = {}) => {
    const access = { BENCH_ACCESS: JSON.stringify(directAccess(cluster)) };
    return runTimed(process.execPath, [outfile], { env: { ...access, ...env }, ...options });
  };
}
