import type { Cluster } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { parseExactly } from '../json.ts';
import { forEachOf } from '../streams.ts';
import { isMap } from '../values.ts';
import { isUnfinished } from './frozen-mark.ts';
import { highest } from './history.ts';
import type { PreparedRelease } from './prepare.ts';
import { readRecordAt } from './put-records.ts';
import type { ReleaseRecord } from './record.ts';
import { chooseExisting, digestOf, type TargetRelease } from './target-releases.ts';

/** A release of the target that already is what the import would make of it. */
export interface Unchanged {
  /** The release at the target. */
  readonly existing: TargetRelease;
  /** The revision that runs there. */
  readonly revision: number;
  readonly status: string;
}

const RELEASES_AT_ONCE = 4;

/**
 * Finds the releases that need no work: every record at the target is the original, or, with `replace`, what was last
 * deployed there is what the record that runs has. Only releases that exist at the target are read again for it.
 *
 * @returns by the key of the prepared release
 */
export async function findUnchanged(
  cluster: Cluster,
  releases: readonly PreparedRelease[],
  existing: readonly TargetRelease[],
  { replace, signal }: { readonly replace: boolean; readonly signal?: AbortSignal | undefined },
): Promise<Map<string, Unchanged>> {
  const unchanged = new Map<string, Unchanged>();
  await forEachOf(releases, RELEASES_AT_ONCE, async (release) => {
    const { namespace, name, bundle, row } = release;
    const target = chooseExisting(existing, { namespace, name, driver: bundle.driver });
    if (target === undefined || isUnfinished(target.revisions)) return;
    if (target.driver === bundle.driver && (await hasAllRecords(release, target))) {
      unchanged.set(release.key, { existing: target, revision: row.revision, status: row.status });
    } else if (replace) {
      const newest = highest(target.revisions);
      if (newest?.status !== 'deployed' || !(await isDeployed(cluster, release, target, newest.revision, signal)))
        return;
      unchanged.set(release.key, { existing: target, revision: newest.revision, status: newest.status });
    }
  });
  return unchanged;
}

/** Whether the target has the records that the import would put there, all of them and no others. */
async function hasAllRecords({ bundle, load }: PreparedRelease, target: TargetRelease): Promise<boolean> {
  if (target.revisions.length !== bundle.revisions.length) return false;
  for (const revision of bundle.revisions) {
    const there = target.revisions.find((one) => one.revision === revision.revision);
    if (there === undefined || there.frozen !== undefined) return false;
    const original = await load(revision);
    if (there.status !== original.status || there.digest !== digestOf(original.json)) return false;
  }
  return true;
}

/** Whether what the target has deployed has the chart, values, manifest and hooks of the record that would be. */
async function isDeployed(
  cluster: Cluster,
  { namespace, name, bundle, load }: PreparedRelease,
  { driver }: TargetRelease,
  revision: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (bundle.running === undefined) return false;
  try {
    const deployed = await readRecordAt(cluster, { driver, namespace, name }, revision, signal);
    return deployed !== undefined && contentDigest(deployed) === contentDigest(await load(bundle.running));
  } catch (error) {
    // What Helm makes of a record that can't be read is for Helm to say.
    if (error instanceof TransshipError && error.code === 'RECORD_INVALID') return false;
    throw error;
  }
}

/** Equal for records that Helm would make the same release of, whatever their revision, times and order of keys. */
export function contentDigest({ json }: ReleaseRecord): string {
  const release: unknown = parseExactly(json);
  if (!isMap(release)) return '';
  const hooks = Array.isArray(release.hooks) ? release.hooks : [];
  const content = {
    chart: release.chart,
    config: release.config ?? {},
    manifest: release.manifest ?? '',
    hooks: hooks.map((hook) => (isMap(hook) ? { ...hook, last_run: undefined } : hook)),
  };
  return digestOf(JSON.stringify(content, sortKeys));
}

function sortKeys(_key: string, value: unknown): unknown {
  if (!isMap(value) || JSON.isRawJSON(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, value[key]]),
  );
}
