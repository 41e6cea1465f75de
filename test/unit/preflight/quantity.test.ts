import { describe, expect, test } from 'vitest';
import { formatQuantity, parseQuantity } from '../../../src/preflight/quantity.ts';

const NANO = 1_000_000_000n;

describe('a quantity', () => {
  test.each<[string | number, bigint]>([
    ['1', NANO],
    [2, 2n * NANO],
    [0.5, NANO / 2n],
    ['100m', NANO / 10n],
    ['1.5', (NANO * 3n) / 2n],
    ['.5', NANO / 2n],
    ['1k', 1000n * NANO],
    ['1Ki', 1024n * NANO],
    ['1.5Gi', 1_610_612_736n * NANO],
    ['2M', 2_000_000n * NANO],
    ['3G', 3_000_000_000n * NANO],
    ['1E', 10n ** 18n * NANO],
    ['1e3', 1000n * NANO],
    ['1E3', 1000n * NANO],
    ['25e-1', (NANO * 5n) / 2n],
    ['1u', 1000n],
    ['1n', 1n],
    ['0.1n', 1n],
    ['-1', -NANO],
    ['+1', NANO],
  ])('%s is read exactly', (text, amount) => {
    expect(parseQuantity(text)).toBe(amount);
  });

  test.each(['', 'x', '1 Gi', '1gi', '1e', '1e999', '.', '1K', null, undefined, {}])('%j is none', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });

  test.each<[string, boolean, string]>([
    ['1536Mi', true, '1.5Gi'],
    ['1Gi', true, '1Gi'],
    ['1000', true, '1000'],
    ['250m', false, '250m'],
    ['2.0', false, '2'],
    ['1500m', false, '1500m'],
    ['1u', false, '1m'],
    ['-5', false, '0'],
  ])('%s is told as people write it', (text, isBytes, told) => {
    expect(formatQuantity(parseQuantity(text) ?? 0n, isBytes)).toBe(told);
  });
});
