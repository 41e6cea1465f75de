import { resolve } from 'node:path';
import { type CommandOptions, runCommand } from './run-command.ts';

export interface TransshipOptions extends CommandOptions {
  /** A program, with its arguments, that starts the one given to it. */
  readonly prefix?: readonly string[];
}

const root = resolve(import.meta.dirname, '../..');

export interface TransshipRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What `--output json` printed. */
  readonly output: Record<string, unknown>;
}

/** Runs the built program as a user would, with `--output json`. Nothing of this test run's own environment leaks in. */
export async function runTransship(args: readonly string[], options: TransshipOptions = {}): Promise<TransshipRun> {
  const env = { KUBECONFIG: undefined, GITHUB_ACTIONS: undefined, INPUT_MODE: undefined, ...options.env };
  const own = [resolve(root, 'node_modules/.bin/node'), resolve(root, 'dist/index.js'), ...args, '--output', 'json'];
  const [program = '', ...rest] = [...(options.prefix ?? []), ...own];
  const result = await runCommand(program, rest, { ...options, env });
  return { ...result, output: parseOutput(result.stdout) };
}

/** Like {@link runTransship}; throws with everything it said when it did not exit 0. */
export async function transship(args: readonly string[], options: TransshipOptions = {}): Promise<TransshipRun> {
  const run = await runTransship(args, options);
  if (run.exitCode !== 0) {
    throw new Error(`transship ${args.join(' ')} exited with ${run.exitCode}:\n${run.stderr}\n${run.stdout}`);
  }
  return run;
}

/** The flags that rename namespaces on the way in. */
export function namespaceMapFlags(map: Readonly<Record<string, string>>): string[] {
  return Object.entries(map).flatMap(([from, to]) => ['--namespace-map', `${from}:${to}`]);
}

function parseOutput(stdout: string): Record<string, unknown> {
  if (stdout.trim() === '') return {};
  const parsed: unknown = JSON.parse(stdout);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Error(`--output json printed something else than one object: ${stdout.slice(0, 500)}`);
  }
  return { ...parsed };
}
