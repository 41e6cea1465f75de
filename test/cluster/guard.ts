/**
 * Owns the processes and the folder of one server of the test bed, in a process of its own: when whoever started it ends,
 * however that ends, the channel between them closes, and this ends what it started and removes the folder.
 *
 * Usage: fork(guard.ts, [folder]); see guarded.ts for its messages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, rmSync } from 'node:fs';
import type { GuardAnswer, GuardRequest } from './guarded.ts';

const [, , folder] = process.argv;
if (folder === undefined || process.send === undefined) throw new Error('guard.ts is started by guarded.ts');

const running = new Map<string, ChildProcess>();
// What ends this process is the end of its owner; a signal sent to both must not come before that.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

process.on('message', async ({ id, ...request }: GuardRequest) => {
  if ('start' in request) {
    const { name, command, log } = request.start;
    tell({ id, pid: start(name, command, log) });
  } else if ('kill' in request) {
    await kill(request.kill.name);
    tell({ id });
  } else {
    await end();
    tell({ id }, () => process.exit());
  }
});
process.once('disconnect', async () => {
  await end();
  process.exit();
});

function start(name: string, [program = '', ...args]: readonly string[], log: string): number | undefined {
  const output = openSync(log, 'a');
  const child = spawn(program, args, { stdio: ['ignore', output, output], cwd: folder });
  closeSync(output);
  running.set(name, child);
  const onEnd = (reason: string): void => {
    if (running.get(name) !== child) return;
    running.delete(name);
    tell({ ended: { name, reason } });
  };
  child.once('error', (error) => onEnd(error.message));
  child.once('exit', (code, signal) => onEnd(signal ?? `status ${code}`));
  return child.pid;
}

// SIGKILL, as nothing of what these programs keep is wanted any more.
async function kill(name: string): Promise<void> {
  const child = running.get(name);
  if (child === undefined) return;
  running.delete(name);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function end(): Promise<void> {
  await Promise.all([...running.keys()].map(kill));
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

function tell(message: GuardAnswer, sent: () => void = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
  else sent();
}
