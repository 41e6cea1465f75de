import { AsyncLocalStorage } from 'node:async_hooks';
import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { StringDecoder } from 'node:string_decoder';
import { cancelledBy } from './errors.ts';

/** How to run a program. */
export interface RunProgramOptions {
  /** The whole environment; this process's own when left out. The program itself is looked up on this process's PATH. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Ends the program: SIGTERM, and SIGKILL when it is still there after some seconds. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each line as it comes, without its line break. */
  readonly onLine?: ((line: string, stream: 'stdout' | 'stderr') => void) | undefined;
}

/** What a program that ran to its end said. */
export interface ProgramResult {
  /** The exit status; 128 and the signal's number for one that a signal ended, as a shell says it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The runner kills a cancelled step after 10 s; a program gets half of it: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation */
const GRACE_MILLISECONDS = 5000;

interface Run {
  child: ChildProcess | undefined;
  onChild: (child: ChildProcess) => void;
}

// @actions/exec neither takes a signal nor shows its child. Node announces every child as it is made, in the async
// context of who makes it: https://nodejs.org/docs/latest-v24.x/api/diagnostics_channel.html (event child_process)
const runs = new AsyncLocalStorage<Run>();
let watching = false;

/**
 * Runs a program to its end, without a shell, printing nothing. A non-zero exit status is a result, not an error.
 *
 * @param command - a path, or a name on PATH
 * @throws TransshipError `CANCELLED` once the program has ended, when `signal` fired; the signal's reason if it is one
 * @throws Error when the program cannot be started, such as one that is not on PATH
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: RunProgramOptions = {},
): Promise<ProgramResult> {
  const { signal } = options;
  if (signal?.aborted) throw cancelledBy(signal, command);
  const { exec } = await import('@actions/exec');
  watchChildren();

  const stdout = createCollector((line) => options.onLine?.(line, 'stdout'));
  const stderr = createCollector((line) => options.onLine?.(line, 'stderr'));
  const stopper = createStopper();
  const run: Run = { child: undefined, onChild: stopper.attach };
  signal?.addEventListener('abort', stopper.stop, { once: true });
  // It may have fired while the library was loading.
  if (signal?.aborted) stopper.stop();
  let exitCode: number | null;
  try {
    exitCode = await runs.run(run, () =>
      // exec() splits its first argument like a command line; in quotes it stays one word.
      exec(`"${command.replaceAll('"', '\\"')}"`, [...args], {
        silent: true,
        ignoreReturnCode: true,
        ...(options.env === undefined ? {} : { env: { ...options.env } }),
        listeners: { stdout: stdout.write, stderr: stderr.write },
      }),
    );
  } finally {
    stopper.dispose();
    signal?.removeEventListener('abort', stopper.stop);
  }
  if (signal?.aborted) throw cancelledBy(signal, command);
  return { exitCode: exitCode ?? (await signalStatus(run.child)), stdout: stdout.end(), stderr: stderr.end() };
}

function watchChildren(): void {
  if (watching) return;
  watching = true;
  subscribe('child_process', (message) => {
    const run = runs.getStore();
    if (run === undefined || run.child !== undefined || !isChildMessage(message)) return;
    run.child = message.process;
    run.onChild(message.process);
  });
}

function isChildMessage(message: unknown): message is { process: ChildProcess } {
  return typeof message === 'object' && message !== null && 'process' in message;
}

/** Ends a child that may not have been made yet. */
function createStopper() {
  let child: ChildProcess | undefined;
  let wanted = false;
  let timer: NodeJS.Timeout | undefined;
  const terminate = () => {
    if (child?.pid === undefined) return;
    child.kill('SIGTERM');
    timer = setTimeout(() => child?.kill('SIGKILL'), GRACE_MILLISECONDS);
  };
  return {
    attach: (made: ChildProcess) => {
      child = made;
      // Announced before it has a pid.
      if (wanted) made.once('spawn', terminate);
    },
    stop: () => {
      wanted = true;
      if (child !== undefined && child.pid === undefined) child.once('spawn', terminate);
      else terminate();
    },
    dispose: () => clearTimeout(timer),
  };
}

/** Gathers a stream as text and cuts it into lines; a character or a line may be split over chunks. */
function createCollector(onLine: (line: string) => void) {
  const decoder = new StringDecoder('utf8');
  let text = '';
  let line = '';
  const add = (part: string) => {
    text += part;
    const lines = (line + part).split('\n');
    line = lines.pop() ?? '';
    for (const whole of lines) onLine(whole.replace(/\r$/, ''));
  };
  return {
    write: (data: Buffer) => add(decoder.write(data)),
    end: () => {
      add(decoder.end());
      if (line !== '') onLine(line);
      return text;
    },
  };
}

async function signalStatus(child: ChildProcess | undefined): Promise<number> {
  const { constants } = await import('node:os');
  const signal = child?.signalCode;
  return 128 + (signal ? constants.signals[signal] : 0);
}
