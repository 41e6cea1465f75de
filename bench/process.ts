import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

/** The bundle, as a user runs it. */
export const BUNDLE = fileURLToPath(new URL('../dist/index.js', import.meta.url));

export interface RunOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard output goes nowhere unless it is asked for. */
  readonly output?: boolean;
}

/** A program that ran to its end. */
export interface Timed {
  /** Milliseconds from the call that starts it to its end. */
  readonly total: number;
  /** Milliseconds to the first byte of standard output; there only with `output`. */
  readonly first: number;
  readonly stdout: string;
}

/**
 * Runs a program that must succeed.
 *
 * @throws Error with what it said when it fails
 */
export async function runTimed(program: string, args: readonly string[], options: RunOptions = {}): Promise<Timed> {
  const begin = performance.now();
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', options.output ? 'pipe' : 'ignore', 'pipe'],
  });
  let first = Number.NaN;
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    if (stdout === '') first = performance.now() - begin;
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const { status, total } = await new Promise<{ status: number | null; total: number }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ status: code, total: performance.now() - begin }));
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with status ${status}:\n${stderr}${stdout}`);
  return { total, first, stdout };
}

/** Runs `node dist/index.js`. */
export function runBundle(args: readonly string[], options?: RunOptions): Promise<Timed> {
  return runTimed(process.execPath, [BUNDLE, ...args], options);
}

/** A run of the bundle, and the most memory it had at any time: resident, in MB, as the kernel says. */
export interface Measured extends Timed {
  readonly peak: number;
}

/** Runs `node dist/index.js` and asks for its memory at its end. */
export async function measureBundle(args: readonly string[], options: RunOptions = {}): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), 'transship-bench-'));
  try {
    const file = join(folder, 'peak');
    const write = `import { writeFileSync } from 'node:fs';
      process.on('exit', () => writeFileSync(process.env.BENCH_PEAK_FILE, String(process.resourceUsage().maxRSS)));`;
    const preload = ['--import', `data:text/javascript,${encodeURIComponent(write)}`];
    const env = { ...options.env, BENCH_PEAK_FILE: file };
    const timed = await runTimed(process.execPath, [...preload, BUNDLE, ...args], { ...options, env });
    return { ...timed, peak: (Number(await readFile(file, 'utf8')) * 1024) / 1e6 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
