import type { KubeObject } from '../cluster/cluster.ts';
import { discover } from '../cluster/discovery.ts';
import { CRDS_PATH } from '../crds/collect.ts';
import { parseCrds, type RestoredCrds, restoreCrds, type WantedCrd } from '../crds/restore.ts';
import type { ArchiveFiles } from './bundles.ts';
import type { RestoreOptions } from './restore.ts';

/** Those that travelled, by name. */
export async function readCrds(files: ArchiveFiles): Promise<Map<string, KubeObject>> {
  if (![...files.paths()].includes(CRDS_PATH)) return new Map();
  const crds = parseCrds(CRDS_PATH, (await files.read(CRDS_PATH)).toString('utf8'));
  return new Map(crds.map((crd) => [crd.metadata.name, crd]));
}

/** Applies the CRDs that releases need, and says which. */
export async function applyCrds(
  wanted: readonly WantedCrd[],
  { cluster, replace, crdTimeout, environment, undo, reporter, signal }: RestoreOptions,
): Promise<void> {
  if (wanted.length === 0) return;
  reporter.progress(`Applying ${wanted.length} CustomResourceDefinitions`);
  const discovery = await discover(cluster, signal);
  const options = { replace, timeout: crdTimeout, environment, undo, signal };
  const restored = await restoreCrds(cluster, discovery, wanted, options);
  for (const [what, names] of describeCrds(restored)) {
    if (names.length > 0) reporter.info(`CRDs ${what}: ${names.join(', ')}.`);
  }
}

function describeCrds({ created, updated, left }: RestoredCrds): [string, readonly string[]][] {
  return [
    ['created', created],
    ['updated', updated],
    ['that exist and were left as they are', left],
  ];
}
