import { describe, expect, test } from 'vitest';
import { ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import { describeVm } from '../../../src/vms/describe-vm.ts';
import type { VmDescription } from '../../../src/vms/description.ts';
import type { VmSource } from '../../../src/vms/export-object.ts';
import { mapIn, templateSpecOf } from '../../../src/vms/vm-references.ts';
import { type Bed, bedOf, listen } from './describe-bed.ts';

const RUNNING: VmSource = { kind: 'vm', namespace: 'shop', name: 'db' };
const WINDOWS: VmSource = { kind: 'vm', namespace: 'office', name: 'desk' };
const SNAPSHOT: VmSource = { kind: 'snapshot', namespace: 'shop', name: 'web-1' };
const claimOf = (name: string): VmSource => ({ kind: 'pvc', namespace: 'shop', name });

async function describeIn(bed: Bed, source: VmSource) {
  const reporter = listen();
  const description = await describeVm(bed.cluster, bed.discovery, source, { reporter });
  return { ...description, description, warnings: reporter.warnings };
}

function named({ objects }: VmDescription): string[] {
  return objects.map(
    ({ kind, metadata: { namespace, name } }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
  );
}

function find({ objects }: VmDescription, kind: string, name: string): KubeObject | undefined {
  return objects.find((object) => object.kind === kind && object.metadata.name === name);
}

describe('a running machine', () => {
  test('is described with all it needs, the claims in the order of its volumes', async () => {
    const { description } = await describeIn(bedOf('running'), RUNNING);
    expect(named(description)).toEqual([
      'PersistentVolumeClaim shop/db-root',
      'PersistentVolumeClaim shop/db-data',
      'PersistentVolumeClaim shop/db-plugged',
      'PersistentVolumeClaim shop/db-files',
      'PersistentVolumeClaim shop/golden-image',
      'PersistentVolumeClaim shop/db-memory',
      'ConfigMap shop/db-settings',
      'ControllerRevision shop/db-fedora-v1beta1-4f2a-1',
      'ControllerRevision shop/db-u1.medium-v1beta1-77aa-1',
      'DataVolume shop/db-root',
      'NetworkAttachmentDefinition infra/storage',
      'NetworkAttachmentDefinition shop/lan',
      'Secret shop/db-init',
      'Secret shop/db-keys',
      'Secret shop/db-network',
      'Secret shop/pull-tools',
      'ServiceAccount shop/db-account',
      'VirtualMachineClusterInstancetype u1.medium',
      'VirtualMachinePreference shop/fedora',
    ]);
  });

  test('has its volumes told apart as the export server serves them', async () => {
    const { volumes } = await describeIn(bedOf('running'), RUNNING);
    const gi = 1024 ** 3;
    const file = { volumeMode: 'Filesystem' };
    expect(volumes).toEqual([
      {
        name: 'root',
        pvc: 'db-root',
        use: 'disk',
        format: 'disk',
        contentType: 'kubevirt',
        size: 32564 * 1024 ** 2,
        ...file,
      },
      {
        name: 'data',
        pvc: 'db-data',
        use: 'disk',
        format: 'disk',
        contentType: 'kubevirt',
        size: 1e11,
        volumeMode: 'Block',
      },
      {
        name: 'plugged',
        pvc: 'db-plugged',
        use: 'disk',
        format: 'disk',
        contentType: 'kubevirt',
        size: 5 * gi,
        ...file,
      },
      {
        name: 'files',
        pvc: 'db-files',
        use: 'disk',
        format: 'directory',
        contentType: 'archive',
        size: 2 * gi,
        ...file,
      },
      {
        name: 'base',
        pvc: 'golden-image',
        use: 'ephemeral',
        format: 'disk',
        contentType: 'kubevirt',
        size: 10 * gi,
        ...file,
        alone: true,
      },
      {
        name: 'db-memory',
        pvc: 'db-memory',
        use: 'memoryDump',
        format: 'directory',
        contentType: 'archive',
        size: 9 * gi,
        ...file,
      },
    ]);
  });

  test('has the addresses of its instance in its spec, and the revisions of its status', async () => {
    const { vm } = await describeIn(bedOf('running'), RUNNING);
    if (vm === undefined) throw new Error('no machine');
    expect(mapIn(templateSpecOf(vm), 'domain', 'devices').interfaces).toEqual([
      { masquerade: {}, name: 'default', macAddress: '02:aa:bb:cc:dd:01' },
      { bridge: {}, name: 'lan', macAddress: '02:aa:bb:cc:dd:02' },
      { bridge: {}, name: 'storage', macAddress: '02:aa:bb:cc:dd:03' },
    ]);
    expect(vm.spec).toMatchObject({
      instancetype: {
        kind: 'VirtualMachineClusterInstancetype',
        name: 'u1.medium',
        revisionName: 'db-u1.medium-v1beta1-77aa-1',
      },
      preference: { kind: 'VirtualMachinePreference', name: 'fedora', revisionName: 'db-fedora-v1beta1-4f2a-1' },
    });
  });

  test('has nothing of its cluster in any of its objects', async () => {
    const { vm, objects } = await describeIn(bedOf('running'), RUNNING);
    const text = JSON.stringify([vm, ...objects]);
    expect(text).not.toMatch(
      /0d4c8f0e|resourceVersion|managedFields|creationTimestamp|volumeName|x7k2p|pvc-protection/,
    );
    expect(objects.filter(({ status }) => status !== undefined).map(({ kind }) => kind)).toEqual(
      Array(6).fill('PersistentVolumeClaim'),
    );
  });

  test('says of a claim that it holds a disk, where only its DataVolume said so', async () => {
    const { description } = await describeIn(bedOf('running'), RUNNING);
    const annotations = ['db-root', 'db-files'].map(
      (name) => find(description, 'PersistentVolumeClaim', name)?.metadata.annotations,
    );
    expect(annotations).toEqual([{ 'cdi.kubevirt.io/storage.contentType': 'kubevirt' }, undefined]);
  });

  test('warns of the disk that goes when it stops, and of the optional Secret there is not', async () => {
    const { warnings } = await describeIn(bedOf('running'), RUNNING);
    expect(warnings).toEqual([
      'The VM shop/db is exported without what it refers to: Secret shop/db-licence (volume "licence") does not exist.',
      'The VM shop/db is exported without its volume "passing" (claim db-passing): it is plugged in only until the machine stops. Name the claim in `pvcs`, or plug it in with `virtctl addvolume --persist`.',
    ]);
  });

  test('is described the same each time', async () => {
    const one = await describeIn(bedOf('running'), RUNNING);
    const other = await describeIn(bedOf('running'), RUNNING);
    expect(JSON.stringify(other.description)).toBe(JSON.stringify(one.description));
  });

  test('that may not be read as instance warns of the addresses it lacks', async () => {
    const bed = bedOf('running');
    bed.forbid('VirtualMachineInstance shop/db');
    const { warnings } = await describeIn(bed, RUNNING);
    expect(warnings).toContain(
      'The VM shop/db is exported without the MAC address of "default", "lan": VirtualMachineInstance shop/db (its instance) may not be read.',
    );
  });
});

describe('what a machine can’t start without', () => {
  test('is named all at once when it is missing', async () => {
    const bed = bedOf('running');
    bed.remove('Secret shop/db-init');
    bed.remove('PersistentVolumeClaim shop/db-data');
    bed.withdraw('NetworkAttachmentDefinition');
    const failure = describeIn(bed, RUNNING);
    await expect(failure).rejects.toMatchObject({
      code: 'CLUSTER',
      message: [
        'The VM shop/db can\'t be exported whole: NetworkAttachmentDefinition infra/storage (network "storage") is of a kind of k8s.cni.cncf.io that the cluster does not serve',
        'NetworkAttachmentDefinition shop/lan (network "lan") is of a kind of k8s.cni.cncf.io that the cluster does not serve',
        'PersistentVolumeClaim shop/db-data (volume "data") does not exist',
        'Secret shop/db-init (volume "cloudinit") does not exist.',
      ].join('; '),
      hint: 'Make what does not exist, or take it out of the spec: without it the machine could not start.',
    });
  });

  test('is a matter of rights alone when it may not be read', async () => {
    const bed = bedOf('running');
    bed.forbid('Secret shop/db-keys');
    const path = '/api/v1/namespaces/shop/secrets/db-keys';
    await expect(describeIn(bed, RUNNING)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: `The VM shop/db can't be exported whole: Secret shop/db-keys (access credential sshPublicKey) may not be read.`,
      hint: `Grant ${path}.`,
    });
  });

  test('is not a DataVolume, which only warns', async () => {
    const bed = bedOf('running');
    bed.remove('DataVolume shop/db-root');
    const { warnings, volumes } = await describeIn(bed, RUNNING);
    expect(warnings).toContain(
      'The VM shop/db is exported without what it refers to: DataVolume shop/db-root (claim db-root) does not exist.',
    );
    // Its export server does not see it either.
    expect(volumes[0]).toMatchObject({ pvc: 'db-root', format: 'directory' });
  });

  test('is no matter of an API server that fails', async () => {
    const bed = bedOf('running');
    const json: Bed['cluster']['json'] = (request) => {
      if (request.path.endsWith('/db-keys')) throw new ClusterError(500, 'InternalError', 'etcd is away');
      return bed.cluster.json(request);
    };
    const cluster = { ...bed.cluster, json };
    await expect(describeVm(cluster, bed.discovery, RUNNING, { reporter: listen() })).rejects.toThrow('etcd is away');
  });
});

describe('what a machine is made of', () => {
  test('needs no instancetype where its revision is there', async () => {
    const bed = bedOf('running');
    bed.forbid('VirtualMachineClusterInstancetype u1.medium');
    const { warnings } = await describeIn(bed, RUNNING);
    expect(warnings).toContain(
      'The VM shop/db is exported without what it refers to: VirtualMachineClusterInstancetype u1.medium (instancetype) may not be read.',
    );
  });

  test('needs no revision of the status where the instancetype is there', async () => {
    const bed = bedOf('running');
    bed.remove('ControllerRevision shop/db-u1.medium-v1beta1-77aa-1');
    const { vm, warnings } = await describeIn(bed, RUNNING);
    expect(warnings[0]).toContain(
      'ControllerRevision shop/db-u1.medium-v1beta1-77aa-1 (revision of its instancetype) does not exist',
    );
    expect(mapIn(vm?.spec, 'instancetype')).toEqual({ kind: 'VirtualMachineClusterInstancetype', name: 'u1.medium' });
  });

  test('needs the revision that its spec names', async () => {
    const bed = bedOf('running');
    bed.remove('ControllerRevision shop/db-fedora-v1beta1-4f2a-1');
    await expect(describeIn(bed, RUNNING)).rejects.toThrow(
      'ControllerRevision shop/db-fedora-v1beta1-4f2a-1 (revision of its preference) does not exist',
    );
  });

  test('needs one of the two', async () => {
    const bed = bedOf('running');
    bed.remove('ControllerRevision shop/db-u1.medium-v1beta1-77aa-1');
    bed.remove('VirtualMachineClusterInstancetype u1.medium');
    await expect(describeIn(bed, RUNNING)).rejects.toThrow(
      'VirtualMachineClusterInstancetype u1.medium (instancetype) does not exist',
    );
  });

  test('is not a revision of another instancetype, which the status still names', async () => {
    const bed = bedOf('running');
    const revision = bed.get('ControllerRevision shop/db-u1.medium-v1beta1-77aa-1');
    revision.metadata.labels = { 'instancetype.kubevirt.io/object-name': 'u1.small' };
    const { description, vm } = await describeIn(bed, RUNNING);
    expect(mapIn(vm?.spec, 'instancetype')).not.toHaveProperty('revisionName');
    expect(find(description, 'ControllerRevision', revision.metadata.name)).toBeUndefined();
  });
});

describe('a machine with a persistent TPM', () => {
  test('has the newest claim for its state that is not being deleted', async () => {
    const { volumes, warnings } = await describeIn(bedOf('windows'), WINDOWS);
    expect(volumes.map(({ pvc, use, alone }) => ({ pvc, use, alone }))).toEqual([
      { pvc: 'desk-c', use: 'disk', alone: undefined },
      { pvc: 'persistent-state-for-desk-aaaaa', use: 'persistentState', alone: undefined },
    ]);
    expect(warnings).toEqual([]);
  });

  test('has it exported alone where only its preference asks for the TPM, which KubeVirt does not look at', async () => {
    const bed = bedOf('windows');
    const vm = bed.get('VirtualMachine office/desk');
    const { devices, firmware } = mapIn(templateSpecOf(vm), 'domain');
    delete mapIn(devices).tpm;
    delete mapIn(firmware).bootloader;
    expect((await describeIn(bed, WINDOWS)).volumes.map(({ pvc }) => pvc)).toEqual(['desk-c']);

    vm.spec = { ...mapIn(vm.spec), preference: { name: 'windows.11' } };
    bed.add({
      apiVersion: 'instancetype.kubevirt.io/v1beta1',
      kind: 'VirtualMachineClusterPreference',
      metadata: { name: 'windows.11' },
      spec: { devices: { preferredTPM: { persistent: true } } },
    });
    expect((await describeIn(bed, WINDOWS)).volumes[1]).toMatchObject({
      pvc: 'persistent-state-for-desk-aaaaa',
      use: 'persistentState',
      alone: true,
    });
  });

  test('that an old KubeVirt gave a claim without label has that one', async () => {
    const bed = bedOf('windows');
    for (const name of ['zzzzz', 'aaaaa']) bed.remove(`PersistentVolumeClaim office/persistent-state-for-desk-${name}`);
    const claim = bed.get('PersistentVolumeClaim office/persistent-state-for-desk-old');
    bed.remove('PersistentVolumeClaim office/persistent-state-for-desk-old');
    bed.add({ ...claim, metadata: { name: 'persistent-state-for-desk', namespace: 'office' } });
    const { volumes, warnings } = await describeIn(bed, WINDOWS);
    expect(volumes[1]).toMatchObject({ pvc: 'persistent-state-for-desk', use: 'persistentState', alone: true });
    expect(warnings).toEqual([]);
  });

  test('that was never started is told apart: KubeVirt would keep its export pending', async () => {
    const bed = bedOf('windows');
    for (const name of ['zzzzz', 'aaaaa', 'old'])
      bed.remove(`PersistentVolumeClaim office/persistent-state-for-desk-${name}`);
    const { warnings } = await describeIn(bed, WINDOWS);
    expect(warnings).toEqual([
      'The VM office/desk has a persistent TPM or EFI and no claim for it yet: KubeVirt does not export it before it was started once.',
    ]);
  });

  test('can’t be exported where its claims may not be listed', async () => {
    const bed = bedOf('windows');
    bed.forbid('/api/v1/namespaces/office/persistentvolumeclaims');
    await expect(describeIn(bed, WINDOWS)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: `The VM office/desk can't be exported whole: PersistentVolumeClaim office/* (label persistent-state-for) may not be read.`,
    });
  });
});

describe('a snapshot', () => {
  test('has the machine as it was, not as it is', async () => {
    const { vm, volumes } = await describeIn(bedOf('snapshot'), SNAPSHOT);
    expect(vm).toMatchObject({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'web', namespace: 'shop' },
    });
    expect(volumes).toEqual([
      {
        name: 'root',
        pvc: 'web-root',
        use: 'disk',
        format: 'disk',
        size: 20 * 1024 ** 3,
        volumeMode: 'Filesystem',
        contentType: 'kubevirt',
      },
      {
        name: 'base',
        pvc: 'golden-image',
        use: 'ephemeral',
        format: 'disk',
        size: 10 * 1024 ** 3,
        volumeMode: 'Filesystem',
        contentType: 'kubevirt',
        alone: true,
      },
      {
        name: 'persistent-state-for-web-k2j4h',
        pvc: 'persistent-state-for-web-k2j4h',
        use: 'persistentState',
        format: 'directory',
        size: 10 * 1024 ** 2,
        volumeMode: 'Filesystem',
        contentType: 'archive',
      },
    ]);
  });

  test('has the revision that was copied for it, and the address the machine still has', async () => {
    const { description, vm } = await describeIn(bedOf('snapshot'), SNAPSHOT);
    expect(find(description, 'ControllerRevision', 'web-1-small-snapshot-copy')).toBeDefined();
    expect(mapIn(vm && templateSpecOf(vm), 'domain', 'devices').interfaces).toEqual([
      { bridge: {}, name: 'default', macAddress: '02:aa:bb:cc:dd:30' },
    ]);
  });

  test('has no address of a machine that was made anew since', async () => {
    const bed = bedOf('snapshot');
    const [owner] = bed.get('VirtualMachineInstance shop/web').metadata.ownerReferences ?? [];
    if (owner !== undefined) owner.uid = 'another';
    const { vm } = await describeIn(bed, SNAPSHOT);
    expect(mapIn(vm && templateSpecOf(vm), 'domain', 'devices').interfaces).toEqual([{ bridge: {}, name: 'default' }]);
  });

  test('without one of the machine’s disks is not whole', async () => {
    const bed = bedOf('snapshot');
    mapIn(bed.get('VirtualMachineSnapshotContent shop/vmsnapshot-content-7777').spec).volumeBackups = [];
    await expect(describeIn(bed, SNAPSHOT)).rejects.toMatchObject({
      code: 'CLUSTER',
      message: `The VM snapshot shop/web-1 can't be exported whole: PersistentVolumeClaim shop/web-root (volume "root") is not in the snapshot.`,
      hint: 'A snapshot has only volumes whose storage can make snapshots: export the machine itself when it is off.',
    });
  });

  test('that has no content says in which state it is', async () => {
    const bed = bedOf('snapshot');
    bed.get('VirtualMachineSnapshot shop/web-1').status = { phase: 'InProgress' };
    await expect(describeIn(bed, SNAPSHOT)).rejects.toThrow(
      'The VM snapshot shop/web-1 has no content to export: InProgress.',
    );
    const gone = bedOf('snapshot');
    gone.remove('VirtualMachineSnapshotContent shop/vmsnapshot-content-7777');
    await expect(describeIn(gone, SNAPSHOT)).rejects.toThrow(
      'its VirtualMachineSnapshotContent vmsnapshot-content-7777 does not exist.',
    );
  });
});

describe('a claim alone', () => {
  test('comes with the DataVolume that owns it, and no machine', async () => {
    const { description, vm, volumes } = await describeIn(bedOf('running'), claimOf('db-root'));
    expect(vm).toBeUndefined();
    expect(volumes).toMatchObject([{ name: 'db-root', pvc: 'db-root', use: 'disk', format: 'disk' }]);
    expect(named(description)).toEqual(['PersistentVolumeClaim shop/db-root', 'DataVolume shop/db-root']);
  });

  test.each([
    ['db-memory', 'memoryDump'],
    ['db-files', 'disk'],
  ])('%s is known to hold: %s', async (name, use) => {
    expect((await describeIn(bedOf('running'), claimOf(name))).volumes).toMatchObject([
      { pvc: name, use, format: 'directory' },
    ]);
  });
});

test.each([
  [{ kind: 'vm', namespace: 'shop', name: 'gone' }, 'There is no VM shop/gone.'],
  [{ kind: 'snapshot', namespace: 'shop', name: 'gone' }, 'There is no VM snapshot shop/gone.'],
  [{ kind: 'pvc', namespace: 'shop', name: 'gone' }, 'There is no claim shop/gone.'],
] as const)('a source that does not exist is named: %j', async (source, message) => {
  await expect(describeIn(bedOf('running'), source)).rejects.toThrow(message);
});
