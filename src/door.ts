import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TransshipError } from './errors.ts';
import type { Inputs } from './inputs.ts';
import type { RunContext, RunResult } from './modes/run.ts';
import type { Reporter } from './report/reporter.ts';
import type { Warning } from './report/view.ts';

/** Runs one mode; the doors get it passed in. */
export type RunMode = (inputs: Inputs, context: RunContext) => Promise<RunResult>;

/** Loads the modes only when one is to be run: a start costs nothing. */
export const runAnyMode: RunMode = async (inputs, context) =>
  (await import('./modes/index.ts')).runMode(inputs, context);

/** Where signals come from: the process. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

/** The names of the state that the Action's main part leaves for its clean-up. */
export const STATE = { isPost: 'isPost', temporaryDirectory: 'temporaryDirectory', run: 'run' } as const;

/** Whether a run makes things in clusters for a while, which a kill would leave there. */
export function makesTemporaryObjects(inputs: {
  readonly mode: string;
  readonly include?: readonly string[] | undefined;
}): boolean {
  return (inputs.mode === 'export' || inputs.mode === 'promote') && inputs.include?.includes('vms') === true;
}

/** What a run labels things with that it makes for a while: a label's value that no other run has. */
export function newRun(): string {
  return randomBytes(8).toString('hex');
}

/** A name that {@link isOwnFolder} knows again. */
const FOLDER_PREFIX = 'transship-';

/** Makes an empty folder for one run, readable by this user alone. */
export function makeTemporaryDirectory(parent: string): Promise<string> {
  return mkdtemp(join(parent, FOLDER_PREFIX));
}

/** Whether a folder's name is one that {@link makeTemporaryDirectory} gives. */
export function isOwnFolder(name: string): boolean {
  return /^transship-[A-Za-z0-9]{6}$/.test(name);
}

/** Removes the folder and all in it, at once: it must also work when the process is about to end. */
export function removeTemporaryDirectory(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 2 });
}

/** Removes the folder at the end of a run; one that stays is told, and changes nothing about how the run ended. */
export function discardTemporaryDirectory(folder: string | undefined, reporter: Reporter): void {
  if (folder === undefined) return;
  try {
    removeTemporaryDirectory(folder);
  } catch (error) {
    reporter.warn(`${folder} could not be removed: ${messageOf(error)}. It may hold a kubeconfig: remove it by hand.`);
  }
}

/**
 * Turns SIGINT and SIGTERM into an abort whose reason is a TransshipError `CANCELLED`.
 *
 * @param onSecond - called when another signal comes while the run is still ending
 * @returns the signal, and how to stop listening
 */
export function listenForCancel(
  source: SignalSource,
  onSecond: () => void = () => {},
): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const listeners = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const listener = () => {
      if (controller.signal.aborted) onSecond();
      else controller.abort(new TransshipError('CANCELLED', `Cancelled by ${name}.`));
    };
    source.on(name, listener);
    return { name, listener };
  });
  return {
    signal: controller.signal,
    stop: () => {
      for (const { name, listener } of listeners) source.off(name, listener);
    },
  };
}

/** What a run really ended with: after a cancel, what broke because of it is not worth telling. */
export function reasonOf(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted && !(error instanceof TransshipError) ? signal.reason : error;
}

/** An error as its reader needs it. */
export interface Described {
  /** Message, hint and causes, a line each. */
  readonly message: string;
  readonly hint: string | undefined;
  /** The messages of the causes, nearest first, without those that the message already holds. */
  readonly causes: readonly string[];
  /** Not a failure meant for a user; `message` is then the stack. */
  readonly bug: boolean;
}

/** Splits an error into what a door prints. */
export function describeError(error: unknown): Described {
  if (!(error instanceof TransshipError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return {
      message: `This is a bug in Transship, please report it with these lines.\n${stack}`,
      hint: undefined,
      causes: causesOf(error, stack),
      bug: true,
    };
  }
  return { message: error.message, hint: error.hint, causes: causesOf(error, error.message), bug: false };
}

/** The description as lines. */
export function formatError({ message, hint, causes }: Described): string {
  return [message, ...(hint === undefined ? [] : [hint]), ...causes.map((cause) => `Caused by: ${cause}`)].join('\n');
}

/** A reporter that also keeps the warnings, for the summary. */
export function keepWarnings(reporter: Reporter): { readonly reporter: Reporter; readonly warnings: Warning[] } {
  const warnings: Warning[] = [];
  return {
    warnings,
    reporter: {
      ...reporter,
      warn: (message, title) => {
        warnings.push({ message, title });
        reporter.warn(message, title);
      },
    },
  };
}

function causesOf(error: unknown, told: string): string[] {
  const causes: string[] = [];
  const seen = new Set<unknown>([error]);
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && !seen.has(cause)) {
    seen.add(cause);
    const message = messageOf(cause);
    if (message !== '' && !told.includes(message) && !causes.includes(message)) causes.push(message);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}
