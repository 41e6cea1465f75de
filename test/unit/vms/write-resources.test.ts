import { expect, test } from 'vitest';
import { type Entry, readBody } from '../../../src/archive/entry.ts';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { writeResources } from '../../../src/vms/write-resources.ts';

async function write(objects: readonly KubeObject[], vm?: KubeObject): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const entry of writeResources({ ...(vm && { vm }), volumes: [], objects })) {
    files.set(entry.path, await textOf(entry));
  }
  return files;
}

async function textOf(entry: Entry): Promise<string> {
  return (await readBody(entry)).toString('utf8');
}

function object(kind: string, name: string, namespace?: string): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } };
}

test('a machine is vm.yaml, a claim pvc-<name>.yaml, all else <kind>-<name>.yaml', async () => {
  const files = await write(
    [object('PersistentVolumeClaim', 'root', 'shop'), object('VirtualMachineClusterInstancetype', 'u1.medium')],
    object('VirtualMachine', 'db', 'shop'),
  );
  expect([...files.keys()]).toEqual([
    'resources/vm.yaml',
    'resources/pvc-root.yaml',
    'resources/virtualmachineclusterinstancetype-u1.medium.yaml',
  ]);
  expect(files.get('resources/pvc-root.yaml')).toBe(
    'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: root\n  namespace: shop\n',
  );
});

test('objects of one name in several namespaces have files of their own', async () => {
  const kind = 'NetworkAttachmentDefinition';
  const files = await write([
    object(kind, 'lan', 'infra'),
    object(kind, 'lan', 'shop'),
    object(kind, 'shop-lan', 'other'),
    object(kind, 'lan', 'other'),
  ]);
  expect([...files.keys()]).toEqual([
    'resources/networkattachmentdefinition-lan.yaml',
    'resources/networkattachmentdefinition-shop-lan.yaml',
    'resources/networkattachmentdefinition-other-shop-lan.yaml',
    'resources/networkattachmentdefinition-other-lan.yaml',
  ]);
});

test('even names made to clash stay apart', async () => {
  const files = await write([
    object('A', 'b-c'),
    object('A', 'cluster-b-c'),
    object('A', 'b-c', 'x'),
    object('A', 'b-c'),
  ]);
  expect([...files.keys()]).toEqual([
    'resources/a-b-c.yaml',
    'resources/a-cluster-b-c.yaml',
    'resources/a-x-b-c.yaml',
    'resources/a-cluster-b-c-2.yaml',
  ]);
});

test('names too long for a file system are cut, and still told apart', async () => {
  const long = 'n'.repeat(252);
  const names = [
    ...(await write([object('PersistentVolumeClaim', `${long}a`), object('PersistentVolumeClaim', `${long}b`)])).keys(),
  ];
  expect(new Set(names).size).toBe(2);
  expect(names.map((name) => name.slice('resources/'.length).length)).toEqual([255, 255]);
});
