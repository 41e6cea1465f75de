import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const MEBIBYTE = 1 << 20;

/** The most memory, in MiB, that a process takes which exports so many objects. */
async function peakOf(count: number): Promise<number> {
  const script = join(import.meta.dirname, 'collect-many.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, String(count)]);
  const { exported, peak } = JSON.parse(stdout);
  expect(exported).toBe(count);
  return peak / MEBIBYTE;
}

test('the memory of an export does not grow with the number of objects', async () => {
  const [few, many] = [await peakOf(10_000), await peakOf(100_000)];
  // The text of all is 200 MiB.
  expect(many - few).toBeLessThan(64);
}, 120_000);
