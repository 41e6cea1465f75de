import { expect, it } from 'vitest';
import { failureOf, formatSize, viewOf } from '../../../src/report/view.ts';
import { halfImported, releaseResult, resourceResult } from '../../helpers/results.ts';

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

const services = resourceResult({ kind: 'Service', resource: 'services', created: 2, failed: 1 });
const configMaps = resourceResult({ created: 5, unchanged: 3 });
const failures = [{ object: 'Service shop/web', outcome: 'failed' as const, message: 'port is taken' }];

it('counts objects in the headline, and shows a row a kind with the columns that count something', () => {
  const { headline, tables } = viewOf({
    failed: false,
    summary: { mode: 'export', cluster: 'stage' },
    outputs: { resources: [resourceResult({ exported: 5, skipped: 2 })] },
  });
  expect(headline).toBe('Exported 5 objects from stage');
  expect(tables).toEqual([
    { columns: ['Resource', 'API version', 'Exported', 'Skipped'], rows: [['configmaps', 'v1', '5', '2']] },
  ]);
});

it('names objects beside releases when an import of both fails', () => {
  const outputs = { releases: [releaseResult()], resources: [services, configMaps], failures };
  const result = { failed: true, summary: { mode: 'import', cluster: 'prod' }, outputs } as const;
  expect(viewOf(result).headline).toBe('Imported 11 of 12 releases and objects into prod');
  expect(viewOf(result).failures).toEqual([
    { title: 'Service shop/web failed', words: 'port is taken', skipped: false },
  ]);
  expect(viewOf(result).tables.map(({ columns }) => columns)).toEqual([
    ['Release', 'Namespace', 'Chart', 'Version', 'App version', 'Revision', 'Result'],
    ['Resource', 'API version', 'Created', 'Unchanged', 'Failed'],
  ]);
  expect(failureOf(result).message).toBe('1 of 12 releases and objects failed: Service shop/web.');
});

const undone = { removed: 3, putBack: 1, uninstalled: 1, rolledBack: 0, failures: [] };

it('says of an atomic import that failed what was taken back, as a fact and in the error', () => {
  const result = { ...halfImported, summary: { mode: 'import' as const, cluster: 'prod', undone } };
  expect(viewOf(result).facts).toContainEqual([
    'Taken back',
    '3 created removed, 1 changed put back, 1 release uninstalled',
  ]);
  expect(failureOf(result).message).toBe(
    '1 of 3 releases failed: shop/db. Taken back: 3 created removed, 1 changed put back, 1 release uninstalled.',
  );
});

it('says that nothing had to be taken back where nothing had changed', () => {
  const nothing = { removed: 0, putBack: 0, uninstalled: 0, rolledBack: 0, failures: [] };
  const result = { ...halfImported, summary: { mode: 'promote' as const, cluster: 'prod', undone: nothing } };
  expect(failureOf(result).message).toContain('Taken back: nothing, for nothing had changed.');
});

it('names both clusters of a promotion', () => {
  const summary = { mode: 'promote' as const, cluster: 'prod', source: 'stage' };
  const releases = [releaseResult(), releaseResult({ name: 'db' })];
  expect(viewOf({ failed: false, summary, outputs: { releases } }).headline).toBe(
    'Promoted 2 releases from stage into prod',
  );
  expect(viewOf({ ...halfImported, summary }).headline).toBe('Promoted 1 of 3 releases from stage into prod');
});

it.each([
  [false, ['shop-pr-7'], 'Removed 1 release and 2 objects, 1 namespace among them, of environment pr-7 from prod'],
  [true, [], 'Would remove 1 release and 2 objects of environment pr-7 from prod'],
])('says what a teardown removed, or would (dry run: %s)', (dryRun, namespaces, headline) => {
  const summary = { mode: 'teardown' as const, cluster: 'prod', dryRun, environments: ['pr-7'], namespaces };
  const outputs = { releases: [releaseResult({ outcome: 'deleted' })], resources: [resourceResult({ deleted: 2 })] };
  expect(viewOf({ failed: false, summary, outputs }).headline).toBe(headline);
});

it('says that no environment has expired', () => {
  const summary = { mode: 'teardown' as const, cluster: 'prod', dryRun: false, environments: [], namespaces: [] };
  expect(viewOf({ failed: false, summary, outputs: {} }).headline).toBe('No environment in prod has expired');
});

it('does not call whole what it could not read', () => {
  const summary = { mode: 'verify' as const, files: 0, bytes: 0, unread: true as const, problems: [] };
  const { headline, facts } = viewOf({ failed: false, summary, outputs: { snapshot: '26-01-31_12-00-00' } });
  expect(headline).toBe(
    'Snapshot 26-01-31_12-00-00 is as it was stored; it is encrypted, and its content was not read',
  );
  expect(facts).toEqual([['Snapshot', '26-01-31_12-00-00']]);
});
