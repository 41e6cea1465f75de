import { tmpdir } from 'node:os';
import { text as readAll } from 'node:stream/consumers';
import { isatty } from 'node:tty';
import { type Request, readArguments } from './cli/arguments.ts';
import { createConfirm, type Keyboard } from './cli/confirm.ts';
import {
  describeError,
  discardTemporaryDirectory,
  formatError,
  listenForCancel,
  makeTemporaryDirectory,
  newRun,
  type RunMode,
  reasonOf,
  removeTemporaryDirectory,
  runAnyMode,
  type SignalSource,
} from './door.ts';
import { TransshipError } from './errors.ts';
import type { Problem } from './inputs/rules.ts';
import { findKubeconfigSecrets, isIdentityText, isKubeconfigText } from './inputs/secrets.ts';
import { modeNames, parseInputs, type RawInputs } from './inputs.ts';
import { formatOutputsJson } from './outputs.ts';
import { createJsonReporter } from './report/json-reporter.ts';
import { createTerminalReporter, type Terminal } from './report/terminal-reporter.ts';
import { createPaint, type Paint, renderText } from './report/text.ts';
import { failureOf, tellsChanges, viewOf } from './report/view.ts';
import { version } from './version.ts';

/** What the command line runs with; all of it passed in by tests. */
export interface CliHost {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readStdin(): Promise<string>;
  /** Where a person may answer. */
  readonly keyboard?: Keyboard | undefined;
  readonly signals: SignalSource;
  readonly temporaryParent: string;
  readonly runMode: RunMode;
  readonly clock: () => number;
  /** Ends the process at once. */
  exit(status: number): void;
}

type RunRequest = Extract<Request, { kind: 'run' }>;
type CliReporter = ReturnType<typeof createTerminalReporter>;

const DONE = 0;
const FAILED = 1;
const WRONG_INPUT = 2;
const CHANGES = 3;

/** Runs the command line of this process. */
export async function main(): Promise<void> {
  // `transship list --output json | head -1` closes the pipe early: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.exitCode = await runCli({
    args: process.argv.slice(2),
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    readStdin: () => readAll(process.stdin),
    keyboard: { isTTY: isatty(0), open: () => process.stdin },
    signals: process,
    temporaryParent: tmpdir(),
    runMode: runAnyMode,
    clock: () => performance.now(),
    exit: (status) => process.exit(status),
  });
}

/** Runs one command line. Never throws; returns the exit status: 0 done, 1 failed, 2 wrong input, 3 changes in a plan. */
export async function runCli(host: CliHost): Promise<number> {
  const request = readArguments(host.args, Math.min(host.stdout.columns ?? 100, 120));
  if (request.kind === 'help') {
    host.stdout.write(request.text);
    return DONE;
  }
  if (request.kind === 'version') {
    host.stdout.write(`${version}\n`);
    return DONE;
  }
  return runRequest(request, host);
}

async function runRequest(request: RunRequest, host: CliHost): Promise<number> {
  const { env, stderr, stdout } = host;
  const paint = createPaint(stderr.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb');
  const reporter = createReporter(request, host, paint);
  let folder: string | undefined;
  const cancel = listenForCancel(host.signals, () => {
    if (folder !== undefined) removeTemporaryDirectory(folder);
    host.exit(FAILED);
  });
  try {
    const { raw, problems } = await completeInputs(request, host, reporter);
    const inputs = parseInputs(raw, 'cli', problems);
    folder = await makeTemporaryDirectory(host.temporaryParent);
    const { signal } = cancel;
    const confirm = createConfirm(host.keyboard, stderr, signal, () => reporter.end());
    const context = { reporter, signal, env, temporaryDirectory: folder, run: newRun(), confirm, version };
    const result = await host.runMode(inputs, context);
    reporter.end();
    if (request.logFormat === 'text') stderr.write(renderText(result, paint));
    else if (!result.failed) reporter.info(viewOf(result).headline);
    if (request.output === 'json') stdout.write(formatOutputsJson(result.outputs));
    if (result.failed) throw failureOf(result);
    return tellsChanges(result) ? CHANGES : DONE;
  } catch (error) {
    const reason = reasonOf(error, cancel.signal);
    reporter.error(formatError(describeError(reason)));
    if (!(reason instanceof TransshipError) || reason.code !== 'INPUT') return FAILED;
    reporter.info(helpHint(request.raw.mode));
    return WRONG_INPUT;
  } finally {
    cancel.stop();
    reporter.end();
    discardTemporaryDirectory(folder, reporter);
  }
}

/** What is told goes to standard error, for people or for what collects logs. */
function createReporter({ logFormat, verbose }: RunRequest, { stderr, clock }: CliHost, paint: Paint): CliReporter {
  return logFormat === 'text'
    ? createTerminalReporter(stderr, paint, { verbose, clock })
    : { ...createJsonReporter(stderr, { verbose, now: () => new Date() }), end() {} };
}

function helpHint(mode: string | undefined): string {
  return modeNames.some((name) => name === mode) ? `See transship ${mode} --help.` : 'See transship --help.';
}

/** Adds what comes from elsewhere than the arguments, and masks what is secret. */
async function completeInputs(
  request: RunRequest,
  host: CliHost,
  reporter: CliReporter,
): Promise<{ readonly raw: RawInputs; readonly problems: readonly Problem[] }> {
  const { kubeconfig, ...raw } = request.raw;
  const problems = [...request.problems, ...findTexts(raw)];
  const customerKey = host.env.TRANSSHIP_S3_SSE_CUSTOMER_KEY;
  if (customerKey && (raw.backend === 's3' || raw.path?.startsWith('s3://'))) {
    reporter.mask(customerKey);
    raw['s3-sse-customer-key'] = customerKey;
  }
  const token = host.env.GITHUB_TOKEN || host.env.GH_TOKEN;
  if (token) {
    reporter.mask(token);
    raw['github-token'] = token;
  }
  if (kubeconfig === undefined) return { raw, problems };
  if (kubeconfig !== '-' && isKubeconfigText(kubeconfig)) {
    problems.push({
      input: 'kubeconfig',
      message:
        'was given as text. Give a file, or - to read it from standard input: other processes can read a command line.',
    });
    return { raw, problems };
  }
  const value = kubeconfig === '-' ? await host.readStdin() : kubeconfig;
  for (const secret of await findKubeconfigSecrets(value)) reporter.mask(secret);
  return { raw: { ...raw, kubeconfig: value }, problems };
}

/** What is secret and must not stand on a command line, though the input may hold it. */
function findTexts(raw: RawInputs): Problem[] {
  const message = 'was given as text. Give a file: other processes can read a command line.';
  const { identity, 'target-kubeconfig': target } = raw;
  return [
    ...(identity !== undefined && isIdentityText(identity) ? [{ input: 'identity', message }] : []),
    ...(target !== undefined && isKubeconfigText(target) ? [{ input: 'target-kubeconfig', message }] : []),
  ];
}
