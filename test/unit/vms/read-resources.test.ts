import { describe, expect, test } from 'vitest';
import { type Entry, entryOf, readBody } from '../../../src/archive/entry.ts';
import { describeVm } from '../../../src/vms/describe-vm.ts';
import type { VmDescription } from '../../../src/vms/description.ts';
import { readResources } from '../../../src/vms/read-resources.ts';
import { writeResources } from '../../../src/vms/write-resources.ts';
import { bedOf, listen } from './describe-bed.ts';

const VM = `apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: db}
spec:
  template:
    spec:
      domain: {}
      volumes:
      - name: root
        dataVolume: {name: db-root}
`;
const PVC = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: db-root}
spec: {resources: {requests: {storage: 1Gi}}}
`;

function files(contents: Record<string, string | Buffer>): Entry[] {
  return Object.entries(contents).map(([name, text]) => entryOf(`resources/${name}`, text));
}

async function filesOf(description: VmDescription): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of writeResources(description)) entries.push(entry);
  return entries;
}

describe('what was written', () => {
  test.each([
    ['running', { kind: 'vm', namespace: 'shop', name: 'db' }],
    ['windows', { kind: 'vm', namespace: 'office', name: 'desk' }],
    ['snapshot', { kind: 'snapshot', namespace: 'shop', name: 'web-1' }],
    ['running', { kind: 'pvc', namespace: 'shop', name: 'db-root' }],
  ] as const)('is read as it was: %s %j', async (fixture, source) => {
    const { cluster, discovery } = bedOf(fixture);
    const described = await describeVm(cluster, discovery, source, { reporter: listen() });
    const volumes = described.volumes.map(({ alone, ...volume }) => volume);
    const entries = await filesOf(described);
    expect(await readResources(entries)).toEqual({ ...described, volumes });
    expect(await readResources(entries.toReversed())).toEqual({ ...described, volumes });
  });

  test('is the same, byte for byte, when written again', async () => {
    const { cluster, discovery } = bedOf('running');
    const source = { kind: 'vm', namespace: 'shop', name: 'db' } as const;
    const first = await filesOf(await describeVm(cluster, discovery, source, { reporter: listen() }));
    const again = await filesOf(await readResources(first));
    const bytes = async (entries: Entry[]) =>
      Promise.all(entries.map(async (entry) => [entry.path, (await readBody(entry)).toString('utf8')]));
    expect(await bytes(again)).toEqual(await bytes(first));
  });
});

describe('an archive by another program', () => {
  test('has a disk where the claim still says that a DataVolume owns it', async () => {
    const owned = `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: db-root
  ownerReferences:
  - {apiVersion: cdi.kubevirt.io/v1beta1, kind: DataVolume, name: db-root, uid: x, controller: true}
spec: {resources: {requests: {storage: 1Gi}}}
`;
    const { volumes } = await readResources(files({ 'vm.yaml': VM, 'pvc-db-root.yaml': owned }));
    expect(volumes).toEqual([
      {
        name: 'root',
        pvc: 'db-root',
        use: 'disk',
        format: 'disk',
        size: 1024 ** 3,
        volumeMode: 'Filesystem',
        contentType: 'kubevirt',
      },
    ]);
  });

  test('may have its machine in a file of another name', async () => {
    const { vm } = await readResources(files({ 'virtualmachine-db.yml': VM, 'pvc-db-root.yaml': PVC }));
    expect(vm?.metadata.name).toBe('db');
  });
});

describe('an archive that can’t be read is refused, naming the file', () => {
  const LATIN1 = Buffer.from(`${PVC}# gr\xfc\xdfe\n`, 'latin1');

  test.each<[string, Record<string, string | Buffer>, string, RegExp]>([
    ['no YAML', { 'vm.yaml': 'a: [' }, 'ARCHIVE_DAMAGED', /^resources\/vm\.yaml is no YAML: Flow sequence/],
    [
      'no UTF-8',
      { 'vm.yaml': VM, 'pvc-db-root.yaml': LATIN1 },
      'ARCHIVE_DAMAGED',
      /^resources\/pvc-db-root\.yaml is no YAML: .*not valid/,
    ],
    ['two documents', { 'vm.yaml': `${VM}---\n${PVC}` }, 'ARCHIVE_DAMAGED', /multiple documents/],
    ['an empty file', { 'vm.yaml': '' }, 'ARCHIVE_DAMAGED', /^resources\/vm\.yaml holds no object\.$/],
    [
      'no kind',
      { 'vm.yaml': 'metadata: {name: a}' },
      'ARCHIVE_DAMAGED',
      /^resources\/vm\.yaml has no apiVersion and kind\.$/,
    ],
    [
      'a name that is a path',
      { 'pvc-x.yaml': PVC.replace('db-root', '../x') },
      'ARCHIVE_DAMAGED',
      /no valid metadata\.name \("\.\.\/x"\)\.$/,
    ],
    [
      'no name',
      { 'pvc-x.yaml': PVC.replace('{name: db-root}', '{}') },
      'ARCHIVE_DAMAGED',
      /no valid metadata\.name \(null\)\.$/,
    ],
    [
      'a List',
      { 'vm.yaml': 'apiVersion: v1\nkind: List\nitems: []' },
      'ARCHIVE_UNSUPPORTED',
      /^resources\/vm\.yaml is a List/,
    ],
    [
      'another vm.yaml',
      { 'vm.yaml': PVC },
      'ARCHIVE_UNSUPPORTED',
      /^resources\/vm\.yaml is a PersistentVolumeClaim of v1, and no VirtualMachine/,
    ],
    [
      'two machines',
      { 'vm.yaml': VM, 'other.yaml': VM.replace('name: db', 'name: other') },
      'ARCHIVE_UNSUPPORTED',
      /more than one virtual machine: resources\/vm\.yaml, resources\/other\.yaml\.$/,
    ],
    [
      'one object twice',
      { 'vm.yaml': VM, 'pvc-a.yaml': PVC, 'pvc-b.yaml': PVC },
      'ARCHIVE_DAMAGED',
      /^resources\/pvc-a\.yaml and resources\/pvc-b\.yaml hold the same object: PersistentVolumeClaim db-root\.$/,
    ],
    [
      'no claim of a volume',
      { 'vm.yaml': VM },
      'ARCHIVE_DAMAGED',
      /^The machine's volume "root" is the claim db-root, which the archive has no file of \(resources\/pvc-db-root\.yaml\)\.$/,
    ],
    [
      'no template',
      { 'vm.yaml': 'apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}' },
      'ARCHIVE_DAMAGED',
      /has no spec\.template\.spec\.$/,
    ],
    [
      'other files',
      { 'readme.txt': 'hello' },
      'ARCHIVE_UNSUPPORTED',
      /^The archive has the file resources\/readme\.txt/,
    ],
    [
      'folders',
      { 'more/pvc.yaml': PVC },
      'ARCHIVE_UNSUPPORTED',
      /^The archive has the file resources\/more\/pvc\.yaml/,
    ],
    ['nothing', {}, 'ARCHIVE_UNSUPPORTED', /^The archive has no virtual machine and no claim in resources\/\.$/],
    [
      'a huge file',
      { 'vm.yaml': `# ${'x'.repeat(9 * 1024 * 1024)}` },
      'ARCHIVE_UNSUPPORTED',
      /^resources\/vm\.yaml has 9437186 bytes, too many for one object\.$/,
    ],
  ])('%s', async (_what, contents, code, message) => {
    await expect(readResources(files(contents))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});
