import { openCluster } from '../cluster/connect.ts';
import { discover } from '../cluster/discovery.ts';
import { messageOf } from '../errors.ts';
import type { ExportInputs, PromoteInputs } from '../inputs.ts';
import { cleanUpExports } from '../vms/clean-up.ts';
import { cleanUpClones } from '../vms/clone-clean-up.ts';
import { openTarget } from './importing.ts';
import type { RunContext } from './run.ts';

/**
 * Takes away what a run that was killed has left in clusters: exports of virtual machines with their tokens, snapshots; and
 * starts again what was stopped.
 *
 * @returns what was done, by path
 * @throws TransshipError naming what is left
 */
export async function cleanUpVms(inputs: ExportInputs | PromoteInputs, context: RunContext): Promise<string[]> {
  const { kubeconfig, context: kubeContext } = inputs;
  const { temporaryDirectory, reporter, env, run } = context;
  const options = { kubeconfig, context: kubeContext, concurrency: 4, temporaryDirectory, reporter, env };
  const done: string[] = [];
  const problems: unknown[] = [];
  const attempt = async (work: () => Promise<readonly string[]>) => {
    try {
      done.push(...(await work()));
    } catch (error) {
      problems.push(error);
    }
  };
  await attempt(async () => {
    const cluster = await openCluster(options);
    try {
      const namespaces = namespacesOf(inputs, cluster.namespace);
      return await cleanUpExports(cluster, await discover(cluster), run, { namespaces, reporter });
    } finally {
      await cluster.close();
    }
  });
  if (inputs.mode === 'promote' && inputs.storage === undefined) {
    await attempt(async () => {
      const cluster = await openTarget(inputs, context);
      try {
        return await cleanUpClones(cluster, await discover(cluster), run, { reporter });
      } finally {
        await cluster.close();
      }
    });
  }
  const [first, ...others] = problems;
  for (const other of others) reporter.warn(messageOf(other), 'Left behind');
  if (first !== undefined) throw first;
  return done;
}

/** Those that were named; undefined for all, where patterns may match any. */
function namespacesOf(inputs: ExportInputs | PromoteInputs, current: string): readonly string[] | undefined {
  const named = inputs.namespace ?? [current];
  const others = [...(inputs.vms ?? []), ...(inputs['vm-snapshots'] ?? []), ...(inputs.pvcs ?? [])].flatMap((one) =>
    one.includes('/') ? [one.slice(0, one.indexOf('/'))] : [],
  );
  const all = [...new Set([...named, ...others])];
  return all.some((name) => /[*?]/.test(name)) ? undefined : all;
}
