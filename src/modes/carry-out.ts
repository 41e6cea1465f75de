import { writeMarkers } from '../environment/marker.ts';
import { prune } from '../environment/prune.ts';
import { TransshipError } from '../errors.ts';
import { runProgram } from '../exec.ts';
import { countOutcomes, hasChanges, type Outputs } from '../outputs.ts';
import { explainChanges, planIdOf } from '../plan/id.ts';
import { prepareRestore } from '../releases/restore.ts';
import type { ReleaseResult, ResourceResult } from '../report/results.ts';
import { describeUndone } from '../report/view.ts';
import { prepareResources } from '../resources/prepare.ts';
import { restoreResources } from '../resources/restore.ts';
import type { ImportWork } from '../resources/work.ts';
import { createUndo, type RollBackResult, type Undo } from '../undo/undo.ts';
import type { PreparedVms } from './import-vms.ts';
import {
  type Importing,
  originOf,
  REQUESTS_AT_ONCE,
  releaseOptions,
  resourceOptions,
  restoresStatus,
} from './importing.ts';
import { bindingOf } from './make-plan.ts';
import { findPruned, namePruned, type Pruned, statesOfPruned } from './pruning.ts';

type Results = Pick<Outputs, 'releases' | 'resources' | 'vms' | 'failures'>;

/** What an import came to. */
export interface CarriedOut {
  readonly outputs: Results & Pick<Outputs, 'counts' | 'changed'>;
  /** Of an atomic import that failed. */
  readonly undone: RollBackResult | undefined;
  readonly failed: boolean;
}

/** Finds the plan that an import is to carry out; undefined where it can't be found any more. */
export type ReadPlan = (id: string) => Promise<Buffer | undefined>;

/**
 * Checks all that can be checked, of releases and of resources, before anything changes. Then what releases may need comes
 * before them, and what may need releases (workloads, custom resources, webhooks) after; last of all goes what is pruned.
 *
 * @throws TransshipError before anything has changed
 */
export async function carryOut(importing: Importing, readPlan: ReadPlan): Promise<CarriedOut> {
  const { inputs, context, cluster, helm } = importing;
  if (!inputs.atomic) return importAll(importing, readPlan, undefined);
  const { env, temporaryDirectory } = context;
  const undo = createUndo({
    ...{ cluster, helm, runProgram, env },
    directory: temporaryDirectory,
    timeout: inputs.timeout,
    noHooks: inputs['no-hooks'],
  });
  try {
    return await importAll(importing, readPlan, undo);
  } finally {
    await undo.close();
  }
}

async function importAll(importing: Importing, readPlan: ReadPlan, undo: Undo | undefined): Promise<CarriedOut> {
  const vms = await importing.vms?.(importing);
  try {
    return await bringAll(importing, readPlan, undo, vms);
  } finally {
    await vms?.close();
  }
}

async function bringAll(
  importing: Importing,
  readPlan: ReadPlan,
  undo: Undo | undefined,
  vms: PreparedVms | undefined,
): Promise<CarriedOut> {
  const { inputs, context, cluster, discovery, content, environment, spool, helm } = importing;
  const { reporter, signal } = context;
  const releases = helm === undefined ? undefined : await prepareRestore(spool, releaseOptions(importing, helm, undo));
  const work = content.resources
    ? await prepareResources(spool, resourceOptions(importing, releases?.crds ?? new Set()))
    : undefined;
  vms?.refuse();
  const pruned = await findPruned(importing);
  if (inputs.mode === 'import' && inputs['plan-id'] !== undefined) await vms?.plan();
  if (inputs.mode === 'import' && inputs['plan-id'] !== undefined) {
    await checkPlan(importing, inputs['plan-id'], pruned, readPlan);
  }
  importing.guarding.tell(reporter);
  for (const line of importing.transforms.unused()) reporter.warn(`${line} matched nothing.`, 'Unused transform');
  const resources =
    work &&
    restoreResources(work, {
      ...{ cluster, discovery, environment, undo, reporter, signal },
      restoreStatus: restoresStatus(importing),
      timeout: inputs.timeout,
      concurrency: REQUESTS_AT_ONCE,
    });

  // From here on the cluster changes.
  let results: Results;
  try {
    await releases?.applyCrds();
    await resources?.before();
    await mark(importing, work, [], undo);
    const installed = await releases?.install();
    await mark(importing, work, installed ?? [], undo);
    await resources?.after();
    const machines = signal.aborted ? undefined : await vms?.bring(undo);
    results = { releases: installed, ...resources?.result(), vms: machines };
    if (!isFailed(results) && !signal.aborted) results = await pruneAll(importing, pruned, results, undo);
  } catch (error) {
    if (undo === undefined || signal.aborted) throw error;
    throw await explainUndone(error, await undo.rollBack(reporter));
  }
  const failed = isFailed(results) || signal.aborted;
  const undone = failed && !signal.aborted ? await undo?.rollBack(reporter) : undefined;
  if (failed && signal.aborted && undo !== undefined) {
    reporter.warn('The run was cancelled: nothing was taken back. Run it again to go on.', 'Not atomic');
  }
  const shown = undone === undefined ? results : asUndone(results, undone);
  const counts = countOutcomes(shown.releases ?? [], shown.resources, shown.vms);
  return { outputs: { ...shown, counts, changed: hasChanges(counts) || counts.failed > 0 }, undone, failed };
}

/** @throws TransshipError `PLAN_CHANGED` naming what is not as the plan has it */
async function checkPlan(importing: Importing, id: string, pruned: Pruned, readPlan: ReadPlan): Promise<void> {
  const { binding, key } = await bindingOf(importing, statesOfPruned(pruned));
  // Its first part is the time, which it is made with.
  if (planIdOf(id, binding, key) === id) return;
  const saved = await readPlan(id).catch(() => undefined);
  const changes =
    saved === undefined
      ? ['What it was can not be told: the saved plan is not there. It is kept beside the snapshots, in plans/.']
      : explainChanges(saved, binding, key);
  throw new TransshipError(
    'PLAN_CHANGED',
    `Plan ${id} does not hold any more, and nothing was changed:${changes.map((line) => `\n- ${line}`).join('')}`,
    { hint: 'Make a new plan and look at it; to carry it out, give its plan-id and the same inputs.' },
  );
}

/** Leaves word in each namespace that exists by now of what was brought there. */
async function mark(
  { environment, inputs, context, cluster, snapshot }: Importing,
  work: ImportWork | undefined,
  installed: readonly ReleaseResult[],
  undo: Undo | undefined,
): Promise<void> {
  if (environment === undefined || context.signal.aborted) return;
  const namespaces = new Set([
    ...(work?.files ?? []).flatMap(({ namespace }) => namespace ?? []),
    ...installed
      .filter(({ outcome }) => outcome !== 'failed' && outcome !== 'skipped')
      .map(({ namespace }) => namespace),
  ]);
  const what = { snapshot: snapshot.id, origin: originOf(snapshot), ttl: inputs.ttl, now: new Date() };
  await writeMarkers(cluster, environment, [...namespaces].sort(), what, undo);
}

async function pruneAll(
  { cluster, helm, inputs, context, environment }: Importing,
  pruned: Pruned,
  results: Results,
  undo: Undo | undefined,
): Promise<Results> {
  if (environment === undefined || pruned.objects.length + pruned.releases.length === 0) return results;
  const { reporter, signal, env, temporaryDirectory } = context;
  reporter.info(`Pruning ${namePruned(pruned).length}: ${namePruned(pruned).slice(0, 20).join(', ')}.`);
  const done = await prune(pruned, {
    ...{ cluster, environment, helm, runProgram, env, temporaryDirectory, undo, reporter, signal },
    timeout: inputs.timeout,
    noHooks: inputs['no-hooks'],
    concurrency: REQUESTS_AT_ONCE,
  });
  return {
    releases: results.releases === undefined ? undefined : [...results.releases, ...done.releases],
    resources: results.resources === undefined ? undefined : addRows(results.resources, done.resources),
    vms: results.vms,
    failures: [...(results.failures ?? []), ...done.failures],
  };
}

function addRows(rows: readonly ResourceResult[], more: readonly ResourceResult[]): ResourceResult[] {
  const byKind = new Map(rows.map((row) => [`${row.apiVersion}/${row.kind}`, row]));
  for (const row of more) {
    const key = `${row.apiVersion}/${row.kind}`;
    const same = byKind.get(key);
    byKind.set(
      key,
      same === undefined
        ? row
        : {
            ...same,
            deleted: same.deleted + row.deleted,
            failed: same.failed + row.failed,
            skipped: same.skipped + row.skipped,
          },
    );
  }
  return [...byKind.values()];
}

function isFailed({ releases = [], resources = [], vms = [] }: Results): boolean {
  const wanted = releases.filter(({ leftOut }) => leftOut !== true);
  const counts = countOutcomes(wanted, resources, vms);
  // A release of which nothing runs at the source may be left out beside one that runs at the target.
  return counts.failed > 0 || counts.skipped > 0;
}

/** What was done is undone: nothing counts as created any more but what could not be taken back. */
function asUndone(results: Results, { failures }: RollBackResult): Results {
  return {
    releases: results.releases?.map((release) =>
      release.outcome === 'created' || release.outcome === 'updated' || release.outcome === 'deleted'
        ? { ...release, outcome: 'skipped', message: TAKEN_BACK }
        : release,
    ),
    vms: results.vms?.map((vm) => (vm.outcome === 'created' ? { ...vm, outcome: 'skipped', message: TAKEN_BACK } : vm)),
    resources: results.resources?.map((row) => ({
      ...row,
      created: 0,
      updated: 0,
      deleted: 0,
      skipped: row.skipped + row.created + row.updated + row.deleted,
    })),
    failures: [...(results.failures ?? []), ...failures],
  };
}

const TAKEN_BACK = 'Taken back: the import failed, and atomic was set.';

async function explainUndone(error: unknown, undone: RollBackResult): Promise<unknown> {
  if (!(error instanceof TransshipError)) return error;
  const left = undone.failures.map(({ object, message }) => `\n- ${object}: ${message}`).join('');
  const told = `${error.message}\nTaken back: ${describeUndone(undone)}.${left === '' ? '' : `\nThese could not be taken back:${left}`}`;
  return new TransshipError(error.code, told, { hint: error.hint, cause: error });
}
