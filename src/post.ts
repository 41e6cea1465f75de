import { lstat, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname } from 'node:path';
import { isOwnFolder, removeTemporaryDirectory, STATE } from './door.ts';
import { messageOf } from './errors.ts';

/** What the clean-up runs with; passed in by tests. */
export interface PostHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly temporaryParent: string;
  info(message: string): void;
  warn(message: string): Promise<void>;
  /** Takes away what the run with this label has left in clusters; returns what that was. */
  cleanUpClusters(run: string): Promise<readonly string[]>;
}

/** Runs the step's clean-up in this process. */
export async function post(): Promise<void> {
  await cleanUp({
    env: process.env,
    temporaryParent: process.env.RUNNER_TEMP || tmpdir(),
    info: (message) => process.stdout.write(`${message}\n`),
    // There is nearly always nothing to do, and then nothing is loaded.
    warn: async (message) => (await (await import('./action.ts')).loadToolkit()).warning(message),
    cleanUpClusters: async (run) => (await import('./post-clusters.ts')).cleanUpClusters(run, process.env),
  });
}

/**
 * Removes what `main` could not remove because it was killed: its temporary folder, with kubeconfigs in it, and what it made
 * in clusters for a while. Touches nothing that `main` did not make, and says what it did. Never fails the job: the step's
 * result stands.
 */
export async function cleanUp(host: PostHost): Promise<void> {
  await cleanUpFolder(host);
  const run = host.env[`STATE_${STATE.run}`];
  if (!run) return;
  try {
    const done = await host.cleanUpClusters(run);
    host.info(
      done.length === 0
        ? 'Nothing to clean up in the cluster.'
        : `Cleaned up in the cluster what an interrupted run had left:\n${done.join('\n')}`,
    );
  } catch (error) {
    await host.warn(`Not everything could be cleaned up in the cluster: ${messageOf(error)}`);
  }
}

async function cleanUpFolder({ env, temporaryParent, info, warn }: PostHost): Promise<void> {
  const folder = env[`STATE_${STATE.temporaryDirectory}`];
  if (!folder) {
    info('Nothing to clean up: no temporary folder was made.');
    return;
  }
  try {
    if ((await lstat(folder).catch(ignoreMissing)) === undefined) {
      info('Nothing to clean up: the temporary folder is already gone.');
    } else if (
      !isOwnFolder(basename(folder)) ||
      (await realpath(dirname(folder))) !== (await realpath(temporaryParent))
    ) {
      await warn(`${folder} was left alone: it is not a folder that Transship makes in ${temporaryParent}.`);
    } else {
      removeTemporaryDirectory(folder);
      info(`Removed ${folder}, which an interrupted run had left behind.`);
    }
  } catch (error) {
    await warn(`${folder} could not be removed: ${messageOf(error)}. It may hold a kubeconfig: remove it by hand.`);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
