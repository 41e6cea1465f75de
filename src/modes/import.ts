import { carryOut } from './carry-out.ts';
import { openSource } from './open-source.ts';
import { planImport } from './plan.ts';
import type { RunImport } from './run.ts';
import { snapshotOutputs } from './storage.ts';

/** Brings a snapshot into the cluster. */
export const run: RunImport = (inputs, context) =>
  openSource(inputs, context, async (importing, { backend, stored }) => {
    const files = inputs['plan-files'] ?? [];
    if (inputs['dry-run']) return planImport(importing, { backend, stored, files, exitCode: false });
    const { cluster, helm, spool } = importing;
    const by = helm === undefined ? '' : ` with Helm ${helm.version}`;
    context.reporter.info(`Importing into ${cluster.context} (${cluster.server})${by}.`);
    const { outputs, undone, failed } = await carryOut(importing, (id) => backend.readPlan(id, context.signal));
    return {
      outputs: { ...snapshotOutputs(stored), digest: spool.digest, size: spool.size, ...outputs },
      summary: { mode: 'import', cluster: cluster.context, undone },
      failed,
    };
  });
