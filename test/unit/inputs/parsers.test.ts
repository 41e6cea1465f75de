import { expect, it } from 'vitest';
import { formatDuration, parseDuration, parseExclude, parseNamespaceGlob } from '../../../src/inputs/parsers.ts';

it.each([
  ['90s', 90_000, '1m30s'],
  ['5m', 300_000, '5m0s'],
  ['1h30m', 5_400_000, '1h30m0s'],
  ['1.5h', 5_400_000, '1h30m0s'],
  ['1500ms', 1500, '1.5s'],
  ['1h', 3_600_000, '1h0m0s'],
])('reads the duration %s as %d milliseconds and writes it as Go does', (text, milliseconds, written) => {
  expect(parseDuration(text)).toEqual({ value: milliseconds });
  expect(formatDuration(milliseconds)).toBe(written);
});

it.each(['5', '-5m', '5 m', 'm', '5d', '5m!', '1e3s', '600h'])('refuses the duration %s', (text) => {
  expect(parseDuration(text)).toHaveProperty('problem');
});

it.each(['*', 'shop', 'team-*', '?-prod', '*-*', '0'])('takes the namespace %s', (text) => {
  expect(parseNamespaceGlob(text)).toEqual({ value: text });
});

it.each(['-shop', 'shop-', 'Shop', 'shop.prod', 'shop/web', '[ab]', 'a'.repeat(64)])(
  'refuses the namespace %s',
  (text) => {
    expect(parseNamespaceGlob(text)).toHaveProperty('problem');
  },
);

it.each(['web', 'web-*', 'shop/web', '*/web', 'Deployment', 'roles.rbac.authorization.k8s.io/*', 'shop/secrets/db-*'])(
  'takes the pattern %s',
  (text) => {
    expect(parseExclude(text)).toEqual({ value: text });
  },
);

it.each(['shop/', '/web', 'a/b/c/d', 'a b', '[ab]'])('refuses the pattern %s', (text) => {
  expect(parseExclude(text)).toHaveProperty('problem');
});
