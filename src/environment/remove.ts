import type { ReleaseResult } from '../report/results.ts';
import { FIRST_WAVE_AFTER_RELEASES, waveOf } from '../resources/order.ts';
import { type DeleteOptions, deleteObjects } from './delete-objects.ts';
import type { PrunableObject } from './labelled.ts';
import type { OwnRelease } from './own-releases.ts';
import type { RemovalTally } from './removal-tally.ts';
import { type UninstallOptions, uninstallReleases } from './uninstall.ts';

export type RemoveOptions = DeleteOptions & UninstallOptions;

/**
 * Removes objects and releases, the reverse of how an import brings them: what came after the releases (workloads, custom
 * resources, webhooks), while operators that are releases still run; then the releases; then what they stood on. That
 * stays where a release could not be uninstalled, for it may need it.
 */
export async function remove(
  { objects, releases }: { readonly objects: readonly PrunableObject[]; readonly releases: readonly OwnRelease[] },
  tally: RemovalTally,
  options: RemoveOptions,
): Promise<ReleaseResult[]> {
  const { after = [], before = [] } = Object.groupBy(objects, ({ kind }) =>
    waveOf(kind, false) >= FIRST_WAVE_AFTER_RELEASES ? 'after' : 'before',
  );
  await deleteObjects(after, tally, options);
  const results = await uninstallReleases(releases, options);
  const stuck = results.find(({ outcome }) => outcome === 'failed') ?? results.find((one) => one.outcome === 'skipped');
  if (stuck === undefined) {
    await deleteObjects(before, tally, options);
  } else {
    const why = `Left, for release ${stuck.namespace}/${stuck.name} could not be uninstalled and may need it.`;
    for (const object of before) tally.skipped(object, why);
  }
  return results;
}
