import { openCluster } from '../cluster/connect.ts';
import { discover } from '../cluster/discovery.ts';
import { teardown } from '../environment/teardown.ts';
import { runProgram } from '../exec.ts';
import { countOutcomes, hasChanges } from '../outputs.ts';
import { helmOf, REQUESTS_AT_ONCE } from './importing.ts';
import type { RunTeardown } from './run.ts';

/** Removes what imports with an environment have brought. */
export const run: RunTeardown = async (inputs, context) => {
  const { reporter, signal, temporaryDirectory, env } = context;
  const cluster = await openCluster({
    kubeconfig: inputs.kubeconfig,
    context: inputs.context,
    concurrency: Math.max(REQUESTS_AT_ONCE, inputs.concurrency * 2),
    ...{ temporaryDirectory, reporter, env },
  });
  try {
    const dryRun = inputs['dry-run'];
    const { environments, namespaces, releases, resources, failures } = await teardown({
      ...{ cluster, runProgram, env, temporaryDirectory, dryRun, reporter, signal },
      discovery: await discover(cluster, signal),
      name: inputs.environment,
      expired: inputs.expired,
      namespaces: inputs.namespace,
      helm: () => helmOf(inputs, context),
      noHooks: inputs['no-hooks'],
      timeout: inputs.timeout,
      concurrency: REQUESTS_AT_ONCE,
      now: new Date(),
    });
    const counts = countOutcomes(releases, resources);
    return {
      outputs: { releases, resources, failures, counts, changed: hasChanges(counts) && !dryRun },
      summary: { mode: 'teardown', cluster: cluster.context, dryRun, environments, namespaces },
      failed: counts.failed + counts.skipped > 0 || signal.aborted,
    };
  } finally {
    await cluster.close();
  }
};
