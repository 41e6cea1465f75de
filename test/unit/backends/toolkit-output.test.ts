import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const room = new URL('../../../src/backends/toolkit-output.ts', import.meta.url).href;

const SCRIPT = `
  const { runQuietly } = await import(${JSON.stringify(room)});
  process.stdout.write('before\\n');
  const call = runQuietly(async () => {
    process.stdout.write('Uploaded bytes 5\\n');
    await new Promise((resolve) => setImmediate(resolve));
    process.stdout.write('::add-mask::secret\\n');
    return 7;
  });
  process.stdout.write('meanwhile\\n');
  process.stdout.write(await call + '\\n');`;

it.each([
  ['', 'before\nmeanwhile\n7\n'],
  ['true', 'before\nmeanwhile\n::add-mask::secret\n7\n'],
])(
  'of what the toolkit prints, only commands get through, and only in a workflow (%j)',
  async (inActions, expected) => {
    const env = { PATH: process.env.PATH, GITHUB_ACTIONS: inActions };
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', SCRIPT], { env });
    expect(stdout).toBe(expected);
  },
);
