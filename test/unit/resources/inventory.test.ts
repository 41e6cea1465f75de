import { expect, test } from 'vitest';
import { entryOf } from '../../../src/archive/entry.ts';
import { createResourceInventory } from '../../../src/resources/inventory.ts';

const NONE = { created: 0, updated: 0, unchanged: 0, deleted: 0, skipped: 0, failed: 0 };

function list(...items: object[]): string {
  return `{"apiVersion":"v1","kind":"List","metadata":{},"items":[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]}\n`;
}

function configMap(name: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'shop' } };
}

test('counts the objects of a snapshot by kind, over all namespaces, and leaves other files alone', async () => {
  const inventory = createResourceInventory();
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'reader' } };
  await inventory.add(entryOf('_snapshot.json', '{}'));
  await inventory.add(entryOf('shop/configmaps.json', list(configMap('a'), configMap('b'))));
  await inventory.add(entryOf('infra/configmaps.json', list(configMap('c'))));
  await inventory.add(entryOf('clusterroles.json', list(role)));
  await inventory.add(entryOf('_releases/shop/web/1.json', '{}'));
  expect(inventory.resources()).toEqual([
    { apiVersion: role.apiVersion, kind: 'ClusterRole', resource: 'clusterroles', exported: 1, ...NONE },
    { apiVersion: 'v1', kind: 'ConfigMap', resource: 'configmaps', exported: 3, ...NONE },
  ]);
});

test('calls a file damaged that is no List', async () => {
  await expect(createResourceInventory().add(entryOf('shop/configmaps.json', '{"items":1}'))).rejects.toMatchObject({
    code: 'ARCHIVE_DAMAGED',
  });
});
