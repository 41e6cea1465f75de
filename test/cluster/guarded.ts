import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Request =
  | { readonly start: { readonly name: string; readonly command: readonly string[]; readonly log: string } }
  | { readonly kill: { readonly name: string } }
  | { readonly end: true };

/** What the guard is asked; it answers each with the request's id. */
export type GuardRequest = Request & { readonly id: number };

/** What the guard says: that a request is done, or that a process ended by itself. */
export type GuardAnswer =
  | { readonly id: number; readonly pid?: number | undefined }
  | { readonly ended: { readonly name: string; readonly reason: string } };

/** Processes and a temporary folder that end with this process, whatever ends it. */
export interface Guarded {
  readonly folder: string;
  /** Process ids by name, of what was started last. */
  readonly pids: Readonly<Record<string, number>>;
  /** Starts a program that writes its output to `<folder>/<name>.log`. */
  start(name: string, command: readonly string[]): Promise<void>;
  /** Kills a program and waits until it is gone. */
  kill(name: string): Promise<void>;
  /** @throws EndedError when a program has ended that nobody killed */
  check(): Promise<void>;
  /** Ends everything and removes the folder. */
  end(): Promise<void>;
}

/** A program of the test bed ended while it was needed; the message has the end of what it said. */
export class EndedError extends Error {
  override name = 'EndedError';
  readonly log: string;

  constructor(program: string, reason: string, log: string) {
    super(`${program} ended with ${reason}:\n${log.slice(-2000)}`);
    this.log = log;
  }
}

/**
 * Starts a guard.
 *
 * @param prefix - of the temporary folder's name
 */
export async function startGuarded(prefix: string): Promise<Guarded> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  const guard = fork(fileURLToPath(new URL('guard.ts', import.meta.url)), [folder], {
    // A session of its own, so that Ctrl-C on a terminal does not end the servers before their user; and none of the
    // caller's flags (a debugger's port, a test runner's loader).
    detached: true,
    execArgv: [],
    env: serverEnv(),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const gone = once(guard, 'exit');
  const waiting = new Map<number, (answer: { readonly pid?: number | undefined }) => void>();
  const ended = new Map<string, string>();
  const pids: Record<string, number> = {};
  guard.on('message', (answer: GuardAnswer) => {
    if ('ended' in answer) {
      ended.set(answer.ended.name, answer.ended.reason);
    } else {
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    }
  });
  // The guard keeps this process alive only while an answer is awaited.
  guard.unref();
  guard.channel?.unref();

  let asked = 0;
  const ask = async (request: Request): Promise<{ readonly pid?: number | undefined }> => {
    const id = ++asked;
    guard.channel?.ref();
    const answer = new Promise<{ readonly pid?: number | undefined }>((resolve) => waiting.set(id, resolve));
    guard.send({ ...request, id });
    const killed = gone.then(() => {
      throw new Error('The process that guards the test bed was killed');
    });
    try {
      return await Promise.race([answer, killed]);
    } finally {
      if (waiting.size === 0) guard.channel?.unref();
    }
  };

  return {
    folder,
    pids,
    async start(name, command) {
      const { pid } = await ask({ start: { name, command, log: join(folder, `${name}.log`) } });
      if (pid !== undefined) pids[name] = pid;
    },
    async kill(name) {
      await ask({ kill: { name } });
      ended.delete(name);
    },
    async check() {
      for (const [name, reason] of ended) {
        throw new EndedError(name, reason, await readFile(join(folder, `${name}.log`), 'utf8').catch(() => ''));
      }
    },
    async end() {
      if (guard.exitCode !== null || guard.signalCode !== null) return;
      guard.ref();
      await ask({ end: true });
      await gone;
    },
  };
}

// The servers read settings from the environment too (ETCD_NAME, VGW_PORT, a proxy): they get no more than they need.
function serverEnv(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, GOGC } = process.env;
  return { PATH, HOME, TMPDIR, GOGC };
}
