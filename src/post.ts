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
}

/** Runs the step's clean-up in this process. */
export async function post(): Promise<void> {
  await cleanUp({
    env: process.env,
    temporaryParent: process.env.RUNNER_TEMP || tmpdir(),
    info: (message) => process.stdout.write(`${message}\n`),
    // There is nearly always nothing to do, and then nothing is loaded.
    warn: async (message) => (await (await import('./action.ts')).loadToolkit()).warning(message),
  });
}

/**
 * Removes what `main` could not remove because it was killed: its temporary folder, with kubeconfigs in it. Touches
 * nothing that `main` did not make, and says what it did. Never fails the job: the step's result stands.
 */
export async function cleanUp({ env, temporaryParent, info, warn }: PostHost): Promise<void> {
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
