import { tmpdir } from 'node:os';
import { loadToolkit, readInputs } from './action.ts';
import { discardTemporaryDirectory, makeTemporaryDirectory } from './door.ts';
import { parseInputs } from './inputs.ts';
import { cleanUpVms } from './modes/clean-up-vms.ts';
import { createActionReporter } from './report/action-reporter.ts';
import { version } from './version.ts';

/**
 * Takes away what a run has left in clusters, with the inputs that it had: the runner gives them to the clean-up too.
 *
 * @returns what that was, by path
 * @throws TransshipError naming what is left
 */
export async function cleanUpClusters(
  run: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  const inputs = parseInputs(readInputs(env), 'action');
  if (inputs.mode !== 'export' && inputs.mode !== 'promote') return [];
  const reporter = createActionReporter(await loadToolkit(), () => performance.now());
  const temporaryDirectory = await makeTemporaryDirectory(env.RUNNER_TEMP || tmpdir());
  try {
    const { signal } = new AbortController();
    return await cleanUpVms(inputs, { reporter, signal, env, temporaryDirectory, run, version });
  } finally {
    discardTemporaryDirectory(temporaryDirectory, reporter);
  }
}
