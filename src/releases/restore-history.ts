import { TransshipError } from '../errors.ts';
import type { ReleaseResult } from '../report/results.ts';
import { withMark } from './frozen-mark.ts';
import { highest } from './history.ts';
import type { PreparedRelease } from './prepare.ts';
import { createRecord, ensureNamespace, putRecords, replaceRecord } from './put-records.ts';
import type { RestoreContext } from './restore-release.ts';
import type { TargetRelease } from './target-releases.ts';

/** What a row says of a release of which only records come. */
export const HISTORY_ONLY = 'Only its history: nothing of it runs at the source.';

/** Brings in the records of a release of which nothing runs. */
export async function restoreHistory(
  { cluster, environment, undo, signal }: RestoreContext,
  { bundle, namespace, name, row, load }: PreparedRelease,
  leftBehind: TargetRelease | undefined,
): Promise<ReleaseResult> {
  const newest = highest(bundle.revisions);
  if (newest === undefined) throw new TransshipError('IMPORT_FAILED', `Release ${namespace}/${name} has no records.`);
  if (leftBehind?.revisions.some(({ isOurs }) => !isOurs)) {
    throw new TransshipError(
      'IMPORT_FAILED',
      `The import of another snapshot has left ${namespace}/${name} unfinished, and in this one nothing of it runs.`,
      { hint: `Take away what is there with helm uninstall ${name} -n ${namespace}, then import again.` },
    );
  }
  const place = { driver: bundle.driver, namespace, name };
  const present = new Set(leftBehind?.revisions.map(({ revision }) => revision));
  const first = withMark(await load(newest));
  await ensureNamespace(cluster, namespace, signal, { environment, undo });
  await (present.has(newest.revision) ? replaceRecord : createRecord)(cluster, first, signal, undo);
  const state = { present: present.add(newest.revision), last: newest.revision, undo };
  await putRecords(cluster, place, bundle.revisions, load, state, signal);
  return { ...row, outcome: 'created', message: HISTORY_ONLY };
}
