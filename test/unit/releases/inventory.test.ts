import { describe, expect, test } from 'vitest';
import { entryOf } from '../../../src/archive/entry.ts';
import { createInventory } from '../../../src/releases/inventory.ts';
import { archiveOf } from './bundle-files.ts';
import type { RecordSpec } from './make-record.ts';

async function inventoryOf(specs: readonly RecordSpec[], others: Record<string, string> = {}) {
  const files = await archiveOf(specs, others);
  const inventory = createInventory();
  for (const path of files.paths()) await inventory.add(entryOf(path, await files.read(path)));
  return inventory.releases();
}

describe('an inventory', () => {
  test('has a row for each release, by the revision that runs', async () => {
    const rows = await inventoryOf(
      [
        { release: 'web', revision: 3, status: 'failed' },
        { release: 'web', revision: 2, status: 'deployed' },
        { release: 'db', revision: 1, status: 'uninstalled', driver: 'configmap', chart: {} },
        { release: 'db', revision: 2, status: 'uninstalled', driver: 'configmap', chart: {} },
      ],
      { '_snapshot.json': 'no record' },
    );
    expect(rows).toEqual([
      {
        ...{ name: 'db', namespace: 'shop', chart: '', chartVersion: '', appVersion: '' },
        ...{ revision: 2, status: 'uninstalled', revisions: 2, outcome: 'exported' },
      },
      {
        ...{ name: 'web', namespace: 'shop', chart: 'app', chartVersion: '1.2.3', appVersion: '9.9' },
        ...{ revision: 2, status: 'deployed', revisions: 2, outcome: 'exported' },
      },
    ]);
  });

  test('keeps apart what has the same name in other namespaces and drivers', async () => {
    const rows = await inventoryOf([{}, { namespace: 'prod' }, { driver: 'configmap' }]);
    expect(rows.map(({ namespace }) => namespace)).toEqual(['prod', 'shop', 'shop']);
  });

  test('refuses a record that cannot be read', async () => {
    await expect(inventoryOf([], { '_releases/shop/web/1.json': 'x' })).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
    });
  });
});
