import { TransshipError } from '../errors.ts';
import type { ReleaseResult } from '../report/results.ts';
import { installMark, isUnfinished, upgradeMark } from './frozen-mark.ts';
import { highest } from './history.ts';
import { type HelmContext, runFrozen } from './install-release.ts';
import type { PreparedRelease } from './prepare.ts';
import { ensureNamespace, putRecords, readNewestRecord, replaceRecord } from './put-records.ts';
import type { Driver, ReleaseRecord } from './record.ts';
import { withStatus } from './record-edits.ts';
import { replacedRecord } from './replaced-record.ts';
import type { TargetRelease } from './target-releases.ts';

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
  const { bundle, namespace, name, row } = release;
  const { cluster, signal, reporter } = context;
  if (bundle.running === undefined) {
    if (existing !== undefined) {
      return { ...row, outcome: 'skipped', message: 'Nothing of it runs at the source; the target keeps its own.' };
    }
    await ensureNamespace(cluster, namespace, signal);
    await putRecords(cluster, { driver: bundle.driver, namespace, name }, bundle.revisions, release.load, [], signal);
    return { ...row, outcome: 'created', message: 'Only its history: nothing of it runs at the source.' };
  }

  const record = await release.load(bundle.running);
  const driver = existing?.driver ?? bundle.driver;
  const target = { driver, namespace, name };
  if (existing !== undefined && !isUnfinished(existing.revisions)) {
    const way = highest(existing.revisions)?.status === 'uninstalled' ? 'reuse' : 'upgrade';
    reporter.progress(`Upgrading ${namespace}/${name}`);
    await runFrozen(context, record, driver, way, upgradeMark(record));
    const replaced = replacedRecord(await readNewestRecord(cluster, target, signal), record, origin);
    await replaceRecord(cluster, replaced, signal);
    return { ...row, revision: replaced.revision, revisions: 1, status: replaced.status, outcome: 'updated' };
  }
  reporter.progress(`Installing ${namespace}/${name}`);
  await install(context, record, target, existing);
  const written = await readNewestRecord(cluster, target, signal);
  const frozen = new Set([...(existing?.revisions ?? []).map(({ revision }) => revision), written.revision]);
  await putRecords(cluster, target, bundle.revisions, release.load, [...frozen], signal);
  return { ...row, outcome: 'created' };
}

/** Installs a new release, or goes on where an import of it was cut short. */
async function install(
  context: HelmContext,
  record: ReleaseRecord,
  target: { readonly driver: Driver; readonly namespace: string; readonly name: string },
  leftBehind: TargetRelease | undefined,
): Promise<void> {
  const mark = installMark(record);
  const newest = leftBehind?.revisions.filter(({ frozen }) => frozen !== undefined);
  const last = highest(newest ?? []);
  if (last === undefined) return runFrozen(context, record, target.driver, 'install', mark);
  // Helm was done, hooks and all; only the records were not all in place.
  if (last.status === 'deployed' && last.frozen === mark) return;
  if (last.status.startsWith('pending-')) {
    // The helm that was at work was killed with the import, and would keep every other one out.
    const written = await readNewestRecord(context.cluster, target, context.signal);
    await replaceRecord(context.cluster, withStatus(written, 'failed'), context.signal);
  }
  const way = last.status === 'deployed' ? 'upgrade' : 'reuse';
  return runFrozen(context, record, target.driver, way, mark);
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
