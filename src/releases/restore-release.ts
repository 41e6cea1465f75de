import { ENVIRONMENT_LABEL, type Environment } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import type { ReleaseResult } from '../report/results.ts';
import type { UndoLog } from '../undo.ts';
import { bringFrozen, type Start } from './bring-frozen.ts';
import { installMark, isUnfinished, upgradeMark } from './frozen-mark.ts';
import { highest } from './history.ts';
import type { Operation } from './hook-runs.ts';
import type { Way } from './install-release.ts';
import { type SettleContext, settleHelm } from './left-by-helm.ts';
import type { PreparedRelease } from './prepare.ts';
import {
  ensureNamespace,
  putRecords,
  type RecordPlace,
  readFrozenRecord,
  readRecordObjects,
  replaceRecord,
} from './put-records.ts';
import type { ReleaseRecord } from './record.ts';
import { withEnvironment } from './record-edits.ts';
import { replacedRecord } from './replaced-record.ts';
import { restoreHistory } from './restore-history.ts';
import { findTargetReleases, type TargetRelease, type TargetRevision } from './target-releases.ts';

/** What bringing in any release takes. */
export interface RestoreContext extends SettleContext {
  /** What the import creates bears its label. */
  readonly environment?: Environment | undefined;
  /** Told of all that is done. */
  readonly undo?: UndoLog | undefined;
}

/** What a row says of a release that exists, where the snapshot has nothing to put in its place. */
export const NOTHING_RUNS = 'Nothing of it runs at the source; the target keeps its own.';

/**
 * Brings one release in: new, with its whole history; or over one that exists, which keeps its own history.
 *
 * @param existing - the target's release of that name
 * @param origin - where it comes from, for the description of a revision that replaces another
 * @throws TransshipError `HELM` in Helm's own words; what Helm left behind is then as Helm leaves it
 */
export async function restoreRelease(
  context: RestoreContext,
  prepared: PreparedRelease,
  existing: TargetRelease | undefined,
  origin: string,
): Promise<ReleaseResult> {
  const { running } = prepared.bundle;
  const isTaken = existing !== undefined && !isUnfinished(existing.revisions);
  if (isTaken) {
    if (running === undefined) return { ...prepared.row, outcome: 'skipped', message: NOTHING_RUNS };
    return replaceOne(context, prepared, await prepared.load(running), existing, origin);
  }
  const { load } = prepared;
  const release = {
    ...prepared,
    load: async (revision: Parameters<typeof load>[0]) => withEnvironment(await load(revision), context.environment),
  };
  return running === undefined
    ? restoreHistory(context, release, existing)
    : install(context, release, await load(running), existing);
}

/**
 * How Helm is to install a release of which an import that was cut short may have left something. Helm reuses only the
 * name of what has failed or was uninstalled.
 */
export function wayToInstall(revisions: readonly TargetRevision[]): Way {
  const isUsed = revisions.some(({ status }) => status === 'deployed') || highest(revisions)?.status === 'superseded';
  return newestFrozen(revisions) === undefined ? 'install' : isUsed ? 'upgrade' : 'reuse';
}

/** How Helm is to bring a release in over one that exists: one that was uninstalled leaves but its name. */
export function wayToReplace(newest: TargetRevision | undefined): Way {
  const isLeftBehind = newest?.frozen !== undefined && newest.status === 'pending-install';
  return newest?.status === 'uninstalled' || isLeftBehind ? 'reuse' : 'upgrade';
}

/** Which hooks Helm runs on a way. */
export function operationOf(way: Way): Operation {
  return way === 'upgrade' ? 'upgrade' : 'install';
}

/** The newest record that an import which was cut short has left of a frozen chart. */
export function newestFrozen(revisions: readonly TargetRevision[]): TargetRevision | undefined {
  return highest(revisions.filter(({ frozen }) => frozen !== undefined));
}

/** Installs a new release, or goes on where an import of it was cut short. */
async function install(
  context: RestoreContext,
  { bundle, namespace, name, row, load }: PreparedRelease,
  record: ReleaseRecord,
  leftBehind: TargetRelease | undefined,
): Promise<ReleaseResult> {
  const { cluster, environment, undo, signal, reporter } = context;
  const place = { driver: bundle.driver, namespace, name };
  const mark = installMark(record);
  const labels = environment && { [ENVIRONMENT_LABEL]: environment.name };
  let revisions = leftBehind?.revisions ?? [];
  const look = async (): Promise<Start> => {
    const way = wayToInstall(revisions);
    const asked = { original: record, mark, operation: operationOf(way) };
    return { way, labels, left: await settleHelm(context, place, newestFrozen(revisions), asked) };
  };
  const start = await look();
  await ensureNamespace(cluster, namespace, signal, { environment, undo });
  // Also where Helm is done: what was left unfinished is this import's as a whole.
  await undo?.installing(namespace, name);
  if (!start.left.isDone) reporter.progress(`Installing ${namespace}/${name}`);
  await bringFrozen(context, record, place, mark, start, async () => {
    revisions = await readRevisions(cluster, place, signal);
    return look();
  });
  const written = await readFrozenRecord(cluster, place, mark, signal);
  const present = new Set([...revisions.map(({ revision }) => revision), written.revision]);
  await putRecords(cluster, place, bundle.revisions, load, { present, last: written.revision }, signal);
  return { ...row, outcome: 'created' };
}

/** Upgrades a release in place, or goes on where that was cut short. */
async function replaceOne(
  context: RestoreContext,
  { bundle, namespace, name, row }: PreparedRelease,
  record: ReleaseRecord,
  existing: TargetRelease,
  origin: string,
): Promise<ReleaseResult> {
  const { cluster, undo, signal, reporter } = context;
  const place = { driver: existing.driver, namespace, name };
  const mark = upgradeMark(record);
  const before = highest(existing.revisions);
  // Also for one that is left to go on with: its hooks are those of one operation.
  const way = wayToReplace(before);
  // Helm carries labels on in an upgrade only.
  const label = way === 'upgrade' ? undefined : before?.environment;
  const labels = label === undefined ? undefined : { [ENVIRONMENT_LABEL]: label };
  const asked = { original: record, mark, operation: operationOf(way) };
  const look = async (revisions: readonly TargetRevision[]): Promise<Start> => {
    const newest = highest(revisions);
    // Whose mark it does not bear, that helm may still be at work.
    const leftBehind = newest?.frozen === undefined ? undefined : newest;
    return { way, labels, left: await settleHelm(context, place, leftBehind, asked) };
  };
  const start = await look(existing.revisions);
  if (!start.left.isDone) {
    await tellUpgrade(context, existing);
    reporter.progress(`Upgrading ${namespace}/${name}`);
  }
  const left = await bringFrozen(context, record, place, mark, start, async () =>
    look(await readRevisions(cluster, place, signal)),
  );
  const from = `${bundle.namespace}/${name} revision ${record.revision}, ${origin}`;
  const written = await readFrozenRecord(cluster, place, mark, signal);
  const replaced = replacedRecord(written, record, from, left.ran);
  // What Helm did before this import began is not its to take back.
  await replaceRecord(cluster, replaced, signal, start.left.isDone ? undo : undefined);
  return { ...row, revision: replaced.revision, revisions: 1, status: replaced.status, outcome: 'updated' };
}

/** The revisions that a release has by now. */
async function readRevisions(
  cluster: RestoreContext['cluster'],
  { driver, namespace, name }: RecordPlace,
  signal: AbortSignal | undefined,
): Promise<readonly TargetRevision[]> {
  const found = await findTargetReleases(cluster, [{ namespace, name }], signal);
  return found.find((release) => release.driver === driver)?.revisions ?? [];
}

/** What is to be gone back to is the revision that ran; one that was uninstalled, too. */
async function tellUpgrade({ cluster, undo, signal }: RestoreContext, existing: TargetRelease): Promise<void> {
  if (undo === undefined) return;
  const { namespace, name, revisions } = existing;
  const theirs = revisions.filter(({ frozen }) => frozen === undefined);
  const back = highest(theirs.filter(({ status }) => status === 'deployed')) ?? highest(theirs) ?? highest(revisions);
  const records = await readRecordObjects(cluster, existing, signal);
  await undo.upgrading(namespace, name, back?.revision ?? 0, records);
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
