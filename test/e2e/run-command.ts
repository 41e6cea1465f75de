import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface CommandOptions {
  /** Added to this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly input?: string;
  /** Called with the running child, to signal it. */
  readonly onStart?: (child: ChildProcess) => void;
}

export interface CommandResult {
  /** The exit status; 128 + the signal's number when a signal ended it, as a shell says. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15, SIGXFSZ: 25 };

/** Runs a program to its end, whatever its exit status. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program that ends without reading its input is its own business.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  options.onStart?.(child);
  const [code, signal]: unknown[] = await once(child, 'close');
  return {
    exitCode: typeof code === 'number' ? code : 128 + (SIGNALS[String(signal)] ?? 0),
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  };
}

/** Runs a program that has to succeed and returns its standard output. */
export async function capture(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(program, args, options);
  if (result.exitCode !== 0) {
    throw new Error(
      `${[program, ...args].join(' ')} exited with ${result.exitCode}:\n${result.stderr}${result.stdout}`,
    );
  }
  return result.stdout;
}
