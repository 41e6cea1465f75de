import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import { messageOf } from '../errors.ts';
import type { Outputs } from '../outputs.ts';
import { savePlan } from '../plan/id.ts';
import type { Importing } from './importing.ts';
import { makePlan } from './make-plan.ts';
import { openSource } from './open-source.ts';
import type { RunPlan, RunResult } from './run.ts';
import { snapshotOutputs } from './storage.ts';
import { writePlanFiles } from './write-plan.ts';

/** Shows what an import would change. */
export const run: RunPlan = (inputs, context) =>
  openSource(inputs, context, (importing, { backend, stored }) =>
    planImport(importing, { backend, stored, files: inputs['plan-files'] ?? [], exitCode: inputs['exit-code'] }),
  );

/** Where a plan goes. */
export interface PlanPlaces {
  /** Where it is saved; undefined for a snapshot that is stored nowhere. */
  readonly backend?: Backend | undefined;
  readonly stored?: StoredSnapshot | undefined;
  readonly files: readonly string[];
  readonly exitCode: boolean;
}

/** Plans an import, saves the plan and reports it. */
export async function planImport(
  importing: Importing,
  { backend, stored, files, exitCode }: PlanPlaces,
): Promise<RunResult> {
  const { context, cluster, spool } = importing;
  context.reporter.info(`Planning an import into ${cluster.context} (${cluster.server}); nothing is changed.`);
  const { plan, binding, key } = await makePlan(importing);
  try {
    await backend?.writePlan(plan.id, savePlan(binding, key), context.signal);
  } catch (error) {
    if (context.signal.aborted) throw error;
    context.reporter.warn(
      `The plan could not be saved beside the snapshot: ${messageOf(error)} An import with its plan-id can tell whether something has changed since, but not what.`,
      'Plan not saved',
    );
  }
  await writePlanFiles(plan, files);
  const outputs: Outputs = {
    ...(stored === undefined ? { snapshot: importing.snapshot.id } : snapshotOutputs(stored)),
    digest: spool.digest,
    size: spool.size,
    counts: plan.counts,
    changed: plan.changed,
    'plan-id': backend === undefined ? undefined : plan.id,
    plan,
  };
  return {
    outputs,
    summary: { mode: 'plan', cluster: cluster.context, plan, exitCode },
    failed: plan.problems.length > 0,
  };
}
