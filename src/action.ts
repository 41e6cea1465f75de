import {
  describeError,
  discardTemporaryDirectory,
  formatError,
  keepWarnings,
  listenForCancel,
  makesTemporaryObjects,
  makeTemporaryDirectory,
  newRun,
  type RunMode,
  reasonOf,
  runAnyMode,
  type SignalSource,
  STATE,
} from './door.ts';
import { messageOf } from './errors.ts';
import { findNearest } from './inputs/nearest.ts';
import { findSecrets } from './inputs/secrets.ts';
import { infoOf, inputNames } from './inputs/table.ts';
import { type Inputs, parseInputs, type RawInputs } from './inputs.ts';
import type { RunResult } from './modes/run.ts';
import { formatOutputs } from './outputs.ts';
import { createActionReporter, type RunnerLog } from './report/action-reporter.ts';
import type { Reporter } from './report/reporter.ts';
import { renderFailureSummary, renderSummary } from './report/summary.ts';
import { createPaint, renderText } from './report/text.ts';
import { failureOf, tellsChanges, viewOf, type Warning } from './report/view.ts';
import { version } from './version.ts';

/** What the runner offers to a step. */
export interface Toolkit extends RunnerLog {
  startGroup(name: string): void;
  endGroup(): void;
  setOutput(name: string, value: string): void;
  saveState(name: string, value: string): void;
  /** Marks the step as failed and shows the message as an annotation. */
  setFailed(message: string): void;
  writeSummary(markdown: string): Promise<void>;
}

/** What the step runs with; all of it passed in by tests. */
export interface ActionHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolkit: Toolkit;
  readonly signals: SignalSource;
  /** Where temporary folders may be made. */
  readonly temporaryParent: string;
  readonly runMode: RunMode;
  readonly clock: () => number;
}

/** Runs the step's main part in this process. */
export async function main(): Promise<void> {
  // Before anything is loaded: a log that starts at once shows what is slow.
  process.stdout.write(`Transship ${version}\n`);
  const [toolkit, { tmpdir }] = await Promise.all([loadToolkit(), import('node:os')]);
  await runAction({
    env: process.env,
    toolkit,
    signals: process,
    temporaryParent: process.env.RUNNER_TEMP || tmpdir(),
    runMode: runAnyMode,
    clock: () => performance.now(),
  });
}

/** Wraps `@actions/core`, loaded here for the first time. */
export async function loadToolkit(): Promise<Toolkit> {
  const core = await import('@actions/core');
  const { info, debug, warning, error, setSecret, startGroup, endGroup, setOutput, saveState, setFailed } = core;
  return {
    ...{ info, debug, warning, error, setSecret, startGroup, endGroup, setOutput, saveState, setFailed },
    writeSummary: async (markdown) => {
      await core.summary.addRaw(markdown).write();
    },
  };
}

/** Runs one step: inputs in, outputs, summary and annotations out. Never throws: what goes wrong fails the step. */
export async function runAction(host: ActionHost): Promise<void> {
  const { toolkit } = host;
  const base = createActionReporter(toolkit, host.clock);
  const { reporter, warnings } = keepWarnings(base);
  const cancel = listenForCancel(host.signals);
  let temporaryDirectory: string | undefined;
  let failure: string | undefined;
  let isSaved = false;
  try {
    toolkit.saveState(STATE.isPost, 'true');
    const raw = readInputs(host.env);
    await maskSecrets(raw, reporter);
    const inputs = parseInputs(raw, 'action');
    temporaryDirectory = await makeTemporaryDirectory(host.temporaryParent);
    toolkit.saveState(STATE.temporaryDirectory, temporaryDirectory);
    const run = newRun();
    isSaved = makesTemporaryObjects(inputs);
    if (isSaved) toolkit.saveState(STATE.run, run);
    const env = withoutInputs(host.env);
    const context = { reporter, signal: cancel.signal, env, temporaryDirectory, run, version };
    const result = await runReported(inputs, context, host, warnings);
    if (result.failed) throw failureOf(result);
    if (tellsChanges(result)) failure = 'The plan has changes, and exit-code was asked for.';
  } catch (error) {
    failure = formatError(describeError(reasonOf(error, cancel.signal)));
  } finally {
    cancel.stop();
    // A run that came to its end has cleaned up itself.
    if (isSaved) toolkit.saveState(STATE.run, '');
    discardTemporaryDirectory(temporaryDirectory, reporter);
  }
  base.end();
  if (failure !== undefined) toolkit.setFailed(failure);
}

/** Runs the mode and writes its outputs and summary, those of a failed run too. */
async function runReported(
  inputs: Inputs,
  context: Parameters<RunMode>[1],
  host: ActionHost,
  warnings: readonly Warning[],
): Promise<RunResult> {
  const { toolkit } = host;
  let result: RunResult;
  toolkit.startGroup(`transship ${inputs.mode}`);
  try {
    result = await host.runMode(inputs, context);
  } catch (error) {
    toolkit.endGroup();
    const message = formatError(describeError(reasonOf(error, context.signal)));
    await writeSummary(inputs, renderFailureSummary(inputs.mode, message, warnings), host, context.reporter);
    throw error;
  }
  toolkit.endGroup();
  for (const [name, value] of formatOutputs(result.outputs)) toolkit.setOutput(name, value);
  context.reporter.info(renderText(result, createPaint(false)));
  const failures = viewOf(result).failures.filter(({ skipped }) => !skipped);
  for (const { title, words } of failures.slice(0, MOST_ANNOTATIONS)) context.reporter.error(words, title);
  await writeSummary(inputs, renderSummary(result, warnings), host, context.reporter);
  return result;
}

/** GitHub shows ten of a step; the text before them names all. */
const MOST_ANNOTATIONS = 50;

/** A summary that cannot be written takes nothing away from the run. */
async function writeSummary(inputs: Inputs, markdown: string, host: ActionHost, reporter: Reporter): Promise<void> {
  if (!inputs.summary) return;
  try {
    await host.toolkit.writeSummary(markdown);
  } catch (error) {
    reporter.warn(`The job summary could not be written: ${messageOf(error)}`);
  }
}

/**
 * The inputs that the workflow gave, as the runner passes them: `INPUT_` and the name in capitals. It passes an empty
 * text for every input that the workflow leaves out. It also passes names that action.yml does not have: those that
 * look like a mistyped input are kept, so that they are refused; others may be anyone's variables.
 */
export function readInputs(env: Readonly<Record<string, string | undefined>>): RawInputs {
  const raw: Record<string, string> = {};
  for (const [variable, value] of Object.entries(env)) {
    const name = /^INPUT_(.+)$/i.exec(variable)?.[1]?.toLowerCase();
    const text = value?.trim();
    if (name !== undefined && text && findNearest(name, inputNames) !== undefined) raw[name] = text;
  }
  return raw;
}

/** The environment as programs started by a mode may see it: without the inputs, of which some are secret. */
function withoutInputs(env: ActionHost['env']): ActionHost['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('INPUT_')));
}

async function maskSecrets(raw: RawInputs, reporter: Reporter): Promise<void> {
  for (const name of inputNames) {
    const value = raw[name];
    if (value === undefined || !infoOf(name).secret) continue;
    const secrets = await findSecrets(name, value);
    for (const secret of secrets) reporter.mask(secret);
  }
}
