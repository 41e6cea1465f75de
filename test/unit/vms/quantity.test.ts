import { expect, test } from 'vitest';
import { bytesOf } from '../../../src/vms/quantity.ts';

test.each([
  ['10Gi', 10 * 1024 ** 3],
  ['1.5Gi', 1.5 * 1024 ** 3],
  ['100G', 100e9],
  ['5k', 5000],
  ['34087042032', 34_087_042_032],
  ['1e9', 1e9],
  ['15E-1', 2],
  ['128974848000m', 128_974_848],
  ['1m', 1],
  ['.5Ki', 512],
  ['7Pi', 7 * 1024 ** 5],
  [1024, 1024],
  ['0', 0],
])('%s is %d bytes', (text, bytes) => {
  expect(bytesOf(text)).toBe(bytes);
});

test.each(['', 'Gi', '10 Gi', '10gi', '-1Gi', '1e1000', 'mi', undefined, null, {}])('%s is no amount', (value) => {
  expect(bytesOf(value)).toBeUndefined();
});
