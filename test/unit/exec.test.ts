import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TransshipError } from '../../src/errors.ts';
import { runProgram } from '../../src/exec.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'exec test-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  vi.restoreAllMocks();
});

/** Runs JavaScript in another process. */
function node(script: string, options?: Parameters<typeof runProgram>[2], ...args: string[]) {
  return runProgram(process.execPath, ['-e', script, ...args], options);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it('returns what a program said and its exit status, without throwing', async () => {
  expect(await node('console.log("out"); console.error("err"); process.exitCode = 3')).toEqual({
    exitCode: 3,
    stdout: 'out\n',
    stderr: 'err\n',
  });
});

it('prints nothing itself', async () => {
  const write = vi.spyOn(process.stdout, 'write');
  await node('console.log("out")');
  expect(write).not.toHaveBeenCalled();
});

it('passes arguments as they are, never through a shell', async () => {
  const args = ['$HOME', '`id`', 'a b', '"quoted"', "it's", '*', '', '\\', 'new\nline'];
  const { stdout } = await node('console.log(JSON.stringify(process.argv.slice(1)))', undefined, '--', ...args);
  expect(JSON.parse(stdout)).toEqual(args);
});

it('runs a program whose path has spaces and quotes in it', async () => {
  const path = join(folder, 'a "helm" of one');
  writeFileSync(path, '#!/bin/sh\necho "$0"\n');
  chmodSync(path, 0o755);
  expect((await runProgram(path, [])).stdout).toBe(`${path}\n`);
});

it('gives the program the environment it is told and no other', async () => {
  const { stdout } = await node('console.log(process.env.A, process.env.HOME)', { env: { A: '1' } });
  expect(stdout).toBe('1 undefined\n');
});

it('hands over lines as they come, the last one also without a line break', async () => {
  const lines: [string, string][] = [];
  const script = 'process.stdout.write("one\\r\\ntwo"); process.stderr.write("three\\n")';
  await node(script, { onLine: (line, stream) => lines.push([stream, line]) });
  expect(lines.toSorted()).toEqual([
    ['stderr', 'three'],
    ['stdout', 'one'],
    ['stdout', 'two'],
  ]);
});

it('keeps a character whole that arrives in two pieces', async () => {
  const script = `
    const bytes = Buffer.from('é\\n');
    process.on('SIGUSR2', () => { process.stdout.write(bytes.subarray(1)); process.exitCode = 0; clearInterval(timer) });
    const timer = setInterval(() => {}, 1000);
    process.stdout.write(bytes.subarray(0, 1), () => console.error(process.pid));`;
  // The second piece is sent only after the first one has left the program.
  const { stdout } = await node(script, {
    onLine: (line, stream) => stream === 'stderr' && process.kill(Number(line), 'SIGUSR2'),
  });
  expect(stdout).toBe('é\n');
});

it('tells the signal that ended a program as a shell does', async () => {
  expect((await node('process.kill(process.pid, "SIGKILL")')).exitCode).toBe(137);
});

it('throws for a program that does not exist', async () => {
  await expect(runProgram('transship-no-such-program', [])).rejects.toThrow('transship-no-such-program');
});

describe('when its signal fires', () => {
  const reason = new TransshipError('CANCELLED', 'Cancelled by SIGINT.');

  it('ends the program with SIGTERM, waits for its end and throws the reason', async () => {
    const controller = new AbortController();
    let pid = 0;
    let last = '';
    const script =
      'process.on("SIGTERM", () => { console.log("cleaned up"); process.exit(0) }); console.log(process.pid); setInterval(() => {}, 1000)';
    const running = node(script, {
      signal: controller.signal,
      onLine: (line) => {
        last = line;
        if (pid !== 0) return;
        pid = Number(line);
        controller.abort(reason);
      },
    });
    await expect(running).rejects.toBe(reason);
    expect(last).toBe('cleaned up');
    expect(isAlive(pid)).toBe(false);
  });

  it('ends only its own program, not those that run beside it', async () => {
    const idle = 'console.log(process.pid); setInterval(() => {}, 1000)';
    const start = () => {
      const controller = new AbortController();
      const { promise: pid, resolve } = Promise.withResolvers<number>();
      const end = node(idle, { signal: controller.signal, onLine: (line) => resolve(Number(line)) });
      return { controller, pid, end };
    };
    const [first, second] = [start(), start()];
    const pids = await Promise.all([first.pid, second.pid]);
    first.controller.abort(reason);
    await expect(first.end).rejects.toBe(reason);
    expect(pids.map(isAlive)).toEqual([false, true]);
    second.controller.abort(reason);
    await expect(second.end).rejects.toBe(reason);
  });

  it('while the program is still being started, ends it as soon as it is there', async () => {
    const controller = new AbortController();
    const running = node('setInterval(() => {}, 1000)', { signal: controller.signal });
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
  });

  it('before the start, starts nothing', async () => {
    const lines: string[] = [];
    const running = node('console.log("started")', {
      signal: AbortSignal.abort(reason),
      onLine: (line) => lines.push(line),
    });
    await expect(running).rejects.toBe(reason);
    expect(lines).toEqual([]);
  });

  it('names the program where the reason says nothing to a user', async () => {
    await expect(runProgram('helm', [], { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
      message: 'Cancelled: helm.',
    });
  });
});
