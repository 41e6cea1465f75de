import { expect, it } from 'vitest';
import { failureOf, formatSize } from '../../../src/report/view.ts';
import { halfImported, releaseResult } from '../../helpers/results.ts';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1_500_000_000, '1.4 GiB'],
  [2 ** 60, '1048576.0 TiB'],
])('writes %d bytes as %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text);
});

it('names at most ten of the releases that failed', () => {
  const releases = Array.from({ length: 12 }, (_, index) => releaseResult({ name: `r${index}`, outcome: 'failed' }));
  const { code, message } = failureOf({ ...halfImported, outputs: { releases } });
  expect({ code, message }).toEqual({
    code: 'IMPORT_FAILED',
    message:
      '12 of 12 releases failed: shop/r0, shop/r1, shop/r2, shop/r3, shop/r4, shop/r5, shop/r6, shop/r7, shop/r8, shop/r9 and 2 more.',
  });
});

it('names the first damage of a snapshot', () => {
  const { code, message } = failureOf({
    failed: true,
    outputs: { snapshot: '26-01-31_12-00-00' },
    summary: { mode: 'verify', files: 2, bytes: 1, problems: ['a.json is missing.', 'b.json is missing.'] },
  });
  expect({ code, message }).toEqual({
    code: 'ARCHIVE_DAMAGED',
    message: 'Snapshot 26-01-31_12-00-00 is damaged: a.json is missing. (and 1 more)',
  });
});
