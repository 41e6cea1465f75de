import { expect, it } from 'vitest';
import type { RunResult } from '../../../src/modes/run.ts';
import type { VmResult } from '../../../src/report/results.ts';
import { failureOf, viewOf } from '../../../src/report/view.ts';

const GIB = 1024 ** 3;
const db: VmResult = {
  kind: 'vm',
  name: 'db',
  namespace: 'shop',
  outcome: 'exported',
  volumes: [
    { claim: 'db-root', contents: 'disk', size: 2 * GIB },
    { claim: 'db-files', contents: 'files', size: GIB },
  ],
  size: GIB / 2,
};
const dump: VmResult = { ...db, kind: 'pvc', name: 'dump', volumes: [{ claim: 'dump', contents: 'disk', size: GIB }] };

function exported(...vms: VmResult[]): RunResult {
  return { outputs: { vms }, summary: { mode: 'export', cluster: 'stage' }, failed: false };
}

function imported(vms: VmResult[], more: object = {}): RunResult {
  return { outputs: { vms, ...more }, summary: { mode: 'import', cluster: 'prod' }, failed: true };
}

it('shows each machine with its volumes, their content and what is stored of it', () => {
  const { headline, tables } = viewOf(exported(db, dump));
  expect(headline).toBe('Exported 1 virtual machine and 1 claim from stage');
  expect(tables).toEqual([
    {
      columns: ['Virtual machine', 'Namespace', 'Volumes', 'Content', 'Stored', 'Result'],
      rows: [
        ['db', 'shop', 'db-root, db-files', '3.0 GiB', '512.0 MiB', 'exported'],
        ['dump (claim)', 'shop', 'dump', '1.0 GiB', '512.0 MiB', 'exported'],
      ],
    },
  ]);
});

it('shows what of an interrupted export was gone on with, where anything was', () => {
  const { tables } = viewOf(exported({ ...db, resumed: GIB / 4 }, dump));
  expect(tables[0]?.columns).toContain('Gone on with');
  expect(tables[0]?.rows.map((row) => row[5])).toEqual(['256.0 MiB', '']);
});

it('shows nothing as stored where nothing was', () => {
  const { size: _size, ...cloned } = db;
  expect(viewOf(exported({ ...cloned, volumes: [] })).tables[0]).toEqual({
    columns: ['Virtual machine', 'Namespace', 'Volumes', 'Content', 'Result'],
    rows: [['db', 'shop', 'none', '0 B', 'exported']],
  });
});

it('names those that failed, and why', () => {
  const result = imported([
    { ...db, outcome: 'failed', message: 'The disk is damaged.' },
    { ...dump, outcome: 'created' },
  ]);
  expect(viewOf(result)).toMatchObject({
    headline: 'Imported 1 of 1 virtual machine and 1 claim into prod',
    failures: [{ title: 'shop/db failed', words: 'The disk is damaged.', skipped: false }],
  });
  expect(failureOf(result).message).toBe('1 of 1 virtual machine and 1 claim failed: shop/db.');
});

it('counts machines beside releases', () => {
  const result = imported([{ ...db, outcome: 'failed' }], { releases: [] });
  expect(failureOf(result).message).toBe('1 of 1 releases and virtual machines failed: shop/db.');
});
