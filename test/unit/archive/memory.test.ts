import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Compression, compressions } from '../../../src/archive/compression.ts';
import { run } from './helpers.ts';

const MEBIBYTE = 1 << 20;

/** The most memory, in MiB, that a process takes which writes and reads an archive of one large file of zeros. */
async function peakOf(compression: Compression, mebibytes: number): Promise<number> {
  const script = join(import.meta.dirname, 'pass-large-body.ts');
  const printed = await run(process.execPath, [script, compression, String(mebibytes)]);
  const { bytes, peak } = JSON.parse(printed.toString());
  expect(bytes).toBe(mebibytes * MEBIBYTE);
  return peak / MEBIBYTE;
}

describe('memory', () => {
  // Zeros are the hardest: a few KiB of xz are many MiB of them.
  it.each(compressions)(
    'does not grow with the size of a body, written and read (%s)',
    async (compression) => {
      const [small, large] = [await peakOf(compression, 32), await peakOf(compression, 256)];
      expect(large - small).toBeLessThan(112);
    },
    120_000,
  );
});
