import { TransshipError } from '../errors.ts';
import type { ReleaseResult } from '../report/results.ts';
import { installMark, isUnfinished, upgradeMark, withMark } from './frozen-mark.ts';
import { highest } from './history.ts';
import { type HelmContext, runFrozen } from './install-release.ts';
import type { PreparedRelease } from './prepare.ts';
import {
  createRecord,
  ensureNamespace,
  putRecords,
  type RecordPlace,
  readFrozenRecord,
  readRecordAt,
  replaceRecord,
} from './put-records.ts';
import type { ReleaseRecord } from './record.ts';
import { withStatus } from './record-edits.ts';
import { replacedRecord } from './replaced-record.ts';
import type { TargetRelease, TargetRevision } from './target-releases.ts';

/**
 * Brings one release in: new, with its whole history; or over one that exists, which keeps its own history.
 *
 * @param existing - the target's release of that name
 * @param origin - where it comes from, for the description of a revision that replaces another
 * @throws TransshipError `HELM` in Helm's own words; what Helm left behind is then as Helm leaves it
 */
export async function restoreRelease(
  context: HelmContext,
  release: PreparedRelease,
  existing: TargetRelease | undefined,
  origin: string,
): Promise<ReleaseResult> {
  const { running } = release.bundle;
  const isTaken = existing !== undefined && !isUnfinished(existing.revisions);
  if (running === undefined) {
    const message = 'Nothing of it runs at the source; the target keeps its own.';
    return isTaken ? { ...release.row, outcome: 'skipped', message } : restoreHistory(context, release, existing);
  }
  const record = await release.load(running);
  return isTaken ? replaceOne(context, release, record, existing, origin) : install(context, release, record, existing);
}

/** Brings in the records of a release of which nothing runs. */
async function restoreHistory(
  { cluster, signal }: HelmContext,
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
  await ensureNamespace(cluster, namespace, signal);
  await (present.has(newest.revision) ? replaceRecord : createRecord)(cluster, first, signal);
  const state = { present: present.add(newest.revision), last: newest.revision };
  await putRecords(cluster, place, bundle.revisions, load, state, signal);
  return { ...row, outcome: 'created', message: 'Only its history: nothing of it runs at the source.' };
}

/** Installs a new release, or goes on where an import of it was cut short. */
async function install(
  context: HelmContext,
  { bundle, namespace, name, row, load }: PreparedRelease,
  record: ReleaseRecord,
  leftBehind: TargetRelease | undefined,
): Promise<ReleaseResult> {
  const { cluster, signal, reporter } = context;
  const place = { driver: bundle.driver, namespace, name };
  const revisions = leftBehind?.revisions ?? [];
  const mark = installMark(record);
  const last = highest(revisions.filter(({ frozen }) => frozen !== undefined));
  if (!isDone(last, mark)) {
    reporter.progress(`Installing ${namespace}/${name}`);
    await ensureNamespace(cluster, namespace, signal);
    await endPending(context, place, last);
    // Helm reuses only the name of what has failed or was uninstalled.
    const isUsed = revisions.some(({ status }) => status === 'deployed') || highest(revisions)?.status === 'superseded';
    const way = last === undefined ? 'install' : isUsed ? 'upgrade' : 'reuse';
    await runFrozen(context, record, bundle.driver, way, mark);
  }
  const written = await readFrozenRecord(cluster, place, mark, signal);
  const present = new Set([...revisions.map(({ revision }) => revision), written.revision]);
  await putRecords(cluster, place, bundle.revisions, load, { present, last: written.revision }, signal);
  return { ...row, outcome: 'created' };
}

/** Upgrades a release in place, or goes on where that was cut short. */
async function replaceOne(
  context: HelmContext,
  { bundle, namespace, name, row }: PreparedRelease,
  record: ReleaseRecord,
  existing: TargetRelease,
  origin: string,
): Promise<ReleaseResult> {
  const { cluster, signal, reporter } = context;
  const place = { driver: existing.driver, namespace, name };
  const newest = highest(existing.revisions);
  const mark = upgradeMark(record);
  if (!isDone(newest, mark)) {
    reporter.progress(`Upgrading ${namespace}/${name}`);
    // Whose mark it does not bear, that helm may still be at work.
    const leftBehind = newest?.frozen === undefined ? undefined : newest;
    await endPending(context, place, leftBehind);
    const isFree = newest?.status === 'uninstalled' || leftBehind?.status === 'pending-install';
    await runFrozen(context, record, place.driver, isFree ? 'reuse' : 'upgrade', mark);
  }
  const from = `${bundle.namespace}/${name} revision ${record.revision}, ${origin}`;
  const replaced = replacedRecord(await readFrozenRecord(cluster, place, mark, signal), record, from);
  await replaceRecord(cluster, replaced, signal);
  return { ...row, revision: replaced.revision, revisions: 1, status: replaced.status, outcome: 'updated' };
}

/** Whether Helm was done, hooks and all, and only records were not in place. */
function isDone(last: TargetRevision | undefined, mark: string): boolean {
  return last?.status === 'deployed' && last.frozen === mark;
}

/** The helm that was at work was killed with the import, and what it left would keep every other one out. */
async function endPending(
  { cluster, signal }: HelmContext,
  place: RecordPlace,
  last: TargetRevision | undefined,
): Promise<void> {
  if (last?.status.startsWith('pending-') !== true) return;
  const written = await readRecordAt(cluster, place, last.revision, signal);
  if (written?.status === last.status) await replaceRecord(cluster, withStatus(written, 'failed'), signal);
}

/**
 * Without `replace`, nothing may exist yet.
 *
 * @throws TransshipError `RELEASE_EXISTS` naming every one
 */
export function refuseExisting(existing: readonly TargetRelease[]): void {
  if (existing.length === 0) return;
  const names = existing.map(({ namespace, name, revisions }) => {
    const newest = highest(revisions);
    return `${namespace}/${name} (revision ${newest?.revision}, ${newest?.status})`;
  });
  throw new TransshipError(
    'RELEASE_EXISTS',
    `The target already has ${names.length === 1 ? 'this release' : `these ${names.length} releases`}: ${names.join(', ')}.`,
    {
      hint: 'Nothing was changed. Set replace to upgrade them in place, exclude them, or map their namespaces to others.',
    },
  );
}
