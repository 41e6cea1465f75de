import { describe, expect, test } from 'vitest';
import { collectionPath } from '../../../src/cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import type { VmVolume } from '../../../src/vms/description.ts';
import { type ArchivedVm, checkVmImport, ownedBy, type VmImportOptions } from '../../../src/vms/plan-vm-import.ts';
import { uniqueName } from '../../../src/vms/plan-volumes.ts';
import { mapIn } from '../../../src/vms/vm-references.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

const GIBIBYTE = 1024 ** 3;

const KINDS = [
  kindOf('v1 *namespaces Namespace'),
  kindOf('v1 secrets Secret'),
  kindOf('v1 configmaps ConfigMap'),
  kindOf('v1 serviceaccounts ServiceAccount'),
  kindOf('v1 persistentvolumeclaims PersistentVolumeClaim'),
  kindOf('apps/v1 controllerrevisions ControllerRevision'),
  kindOf('storage.k8s.io/v1 *storageclasses StorageClass'),
  kindOf('k8s.cni.cncf.io/v1 network-attachment-definitions NetworkAttachmentDefinition'),
  kindOf('kubevirt.io/v1 virtualmachines VirtualMachine', ['v1', 'v1alpha3']),
  kindOf('kubevirt.io/v1 virtualmachineinstances VirtualMachineInstance'),
  kindOf('instancetype.kubevirt.io/v1beta1 virtualmachineinstancetypes VirtualMachineInstancetype'),
  kindOf('instancetype.kubevirt.io/v1beta1 *virtualmachineclusterinstancetypes VirtualMachineClusterInstancetype'),
  kindOf('instancetype.kubevirt.io/v1beta1 *virtualmachineclusterpreferences VirtualMachineClusterPreference'),
  kindOf('cdi.kubevirt.io/v1beta1 datavolumes DataVolume'),
  kindOf('upload.cdi.kubevirt.io/v1beta1 uploadtokenrequests UploadTokenRequest'),
];

function object(text: string, more: Record<string, unknown> = {}): KubeObject {
  const [apiVersion = '', kind = '', id = ''] = text.split(' ');
  const [name = '', namespace] = id.split('/').reverse();
  const { metadata, ...rest } = more;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace !== undefined && { namespace }), ...mapIn(metadata) },
    ...rest,
  };
}

const FAST = object('storage.k8s.io/v1 StorageClass fast');
const SLOW = object('storage.k8s.io/v1 StorageClass slow', {
  metadata: { annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
});
const PROD = object('v1 Namespace prod');
const BARE: readonly KubeObject[] = [PROD, FAST, SLOW];

interface Target {
  readonly there?: readonly KubeObject[];
  readonly served?: (kind: string) => boolean;
  /** Paths that are refused. */
  readonly denied?: readonly string[];
}

function target({ there = BARE, served = () => true, denied = [] }: Target = {}) {
  const kinds = KINDS.filter(({ kind }) => served(kind));
  const methods = new Set<string>();
  const read = (path: string) => {
    if (denied.some((one) => path.startsWith(one))) throw new ClusterError(403, 'Forbidden', `${path} is forbidden`);
  };
  const pathOf = (one: KubeObject) => {
    const kind = KINDS.find(({ apiVersion, kind }) => apiVersion === one.apiVersion && kind === one.kind);
    return kind === undefined ? '' : collectionPath(kind, one.metadata.namespace);
  };
  const cluster: Cluster = {
    context: 'prod',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: {},
    async json<T>({ method, path }: Parameters<Cluster['json']>[0]): Promise<T> {
      methods.add(method);
      read(path);
      const found = there.find((one) => `${pathOf(one)}/${one.metadata.name}` === path);
      if (found === undefined) throw new ClusterError(404, 'NotFound', `${path} not found`);
      return structuredClone(found) as T;
    },
    async *list(path) {
      read(path);
      yield* there.filter((one) => pathOf(one) === path);
    },
    async *listPages() {},
    ...noWatch,
    async *listData() {},
    close: async () => {},
  };
  return { cluster, discovery: discoveryOf(kinds), methods };
}

function claim(name: string, spec: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): KubeObject {
  return object(`v1 PersistentVolumeClaim shop/${name}`, {
    metadata,
    spec: { accessModes: ['ReadWriteMany'], storageClassName: 'fast', ...spec },
  });
}

function volume(pvc: string, more: Partial<VmVolume> = {}): VmVolume {
  return { name: pvc, pvc, use: 'disk', format: 'disk', volumeMode: 'Block', contentType: 'kubevirt', ...more };
}

/** A machine `shop/web` with one disk of 1 GiB and 512 bytes. */
function archive(vm: Record<string, unknown> = {}, more: Partial<ArchivedVm> & { instance?: object } = {}): ArchivedVm {
  const { instance, ...rest } = more;
  return {
    vm: object('kubevirt.io/v1 VirtualMachine shop/web', {
      spec: {
        runStrategy: 'Always',
        dataVolumeTemplates: [{ metadata: { name: 'root' }, spec: { source: { blank: {} } } }],
        template: {
          spec: {
            domain: { devices: {} },
            volumes: [{ name: 'rootdisk', dataVolume: { name: 'root' } }],
            ...instance,
          },
        },
        ...vm,
      },
    }),
    volumes: [volume('root')],
    objects: [claim('root')],
    sizes: { root: GIBIBYTE + 512 },
    ...rest,
  };
}

function check(from: ArchivedVm, options: Partial<VmImportOptions> = {}, at: Target = {}) {
  const { cluster, discovery } = target(at);
  let count = 0;
  const random = () => `rnd${String(count++).padStart(2, '0')}`;
  return checkVmImport(cluster, discovery, from, {
    ...{ namespace: 'prod', storageClassMap: {}, identity: 'new', random },
    ...options,
  });
}

const instanceOf = (vm: KubeObject | undefined) => mapIn(vm?.spec, 'template', 'spec');

describe('the machine', () => {
  test('is created off, with an upload template for its disk, sized to the byte, and its volume pointing to it', async () => {
    const plan = await check(archive());
    expect(plan.problems).toEqual([]);
    expect(plan.vm).toEqual({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'web', namespace: 'prod' },
      spec: {
        runStrategy: 'Halted',
        dataVolumeTemplates: [
          {
            metadata: {
              name: 'web-root-rnd00',
              annotations: { 'cdi.kubevirt.io/storage.bind.immediate.requested': 'true' },
            },
            spec: {
              source: { upload: {} },
              storage: {
                accessModes: ['ReadWriteMany'],
                volumeMode: 'Block',
                resources: { requests: { storage: '1073742336' } },
                storageClassName: 'fast',
              },
            },
          },
        ],
        template: {
          spec: { domain: { devices: {} }, volumes: [{ name: 'rootdisk', dataVolume: { name: 'web-root-rnd00' } }] },
        },
      },
    });
    expect(plan.runStrategy).toBe('Always');
    expect(plan.objects).toEqual([]);
  });

  test('is only looked for: nothing is written', async () => {
    const { cluster, discovery, methods } = target();
    await checkVmImport(cluster, discovery, archive(), { namespace: 'prod', storageClassMap: {}, identity: 'new' });
    expect([...methods]).toEqual(['GET']);
  });

  test('keeps `running` of old as its run strategy, and loses the field, which excludes the other', async () => {
    const plan = await check(archive({ running: true, runStrategy: undefined }));
    expect(plan.runStrategy).toBe('Always');
    expect(mapIn(plan.vm?.spec)).not.toHaveProperty('running');
  });

  test('has the run strategy that was asked for', async () => {
    expect((await check(archive(), { runStrategy: 'Manual' })).runStrategy).toBe('Manual');
  });

  test('has a namespace made for it where there is none', async () => {
    const plan = await check(archive(), {}, { there: [FAST] });
    expect(plan.problems).toEqual([]);
    expect(plan.objects).toEqual([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } }]);
  });

  test('of a version the target no longer serves is made in the one it does', async () => {
    const old = archive();
    const plan = await check({
      ...old,
      vm: { ...object('kubevirt.io/v1alpha1 VirtualMachine shop/web'), spec: old.vm?.spec },
    });
    expect(plan.vm?.apiVersion).toBe('kubevirt.io/v1');
  });

  test('whose name is taken is a problem, under another name not', async () => {
    const there = [...BARE, object('kubevirt.io/v1 VirtualMachine prod/web')];
    expect((await check(archive(), {}, { there })).problems).toEqual([
      'The VirtualMachine prod/web exists at the target: delete it, or import under another name with `name`.',
    ]);
    const renamed = await check(archive(), { name: 'web-2' }, { there });
    expect(renamed.problems).toEqual([]);
    expect(renamed.vm?.metadata.name).toBe('web-2');
    expect(renamed.dataVolumes.map(({ name }) => name)).toEqual(['web-2-root-rnd00']);
  });

  test('whose instance runs without it is a problem: it could not start', async () => {
    const there = [...BARE, object('kubevirt.io/v1 VirtualMachineInstance prod/web')];
    expect((await check(archive(), {}, { there })).problems).toEqual([
      expect.stringContaining('The VirtualMachineInstance prod/web exists'),
    ]);
  });

  test.each(['Web', 'web_2', '-web', 'a'.repeat(64)])('can’t be called %s', async (name) => {
    expect((await check(archive(), { name })).problems).toEqual([
      expect.stringContaining(`"${name}" can't be the name`),
    ]);
  });

  test('has no run strategy that there is not', async () => {
    expect((await check(archive(), { runStrategy: 'Running' })).problems).toEqual([
      '"Running" is no run strategy: there are Always, RerunOnFailure, Once, Manual, Halted.',
    ]);
  });
});

describe('identity', () => {
  const known = {
    domain: {
      devices: { interfaces: [{ name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' }] },
      firmware: { uuid: '5d307ca9-b3ef-428c-8861-06e72d69f223', serial: 'e4686d2c', bootloader: { efi: {} } },
    },
    volumes: [{ name: 'rootdisk', dataVolume: { name: 'root' } }],
  };

  test('new: MAC addresses, firmware UUID and serial are left to KubeVirt', async () => {
    const { vm } = await check(archive({}, { instance: known }));
    expect(instanceOf(vm).domain).toEqual({
      devices: { interfaces: [{ name: 'default', masquerade: {} }] },
      firmware: { bootloader: { efi: {} } },
    });
  });

  test('keep: they are those of the source', async () => {
    const { vm } = await check(archive({}, { instance: known }), { identity: 'keep' });
    expect(instanceOf(vm).domain).toEqual(known.domain);
  });
});

describe('volumes', () => {
  test('a claim that a volume names becomes a template, and the volume stays as it was but for the name', async () => {
    const instance = {
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'root', readOnly: true, hotpluggable: true } }],
    };
    const { vm, dataVolumes } = await check(archive({}, { instance }));
    expect(instanceOf(vm).volumes).toEqual([
      { name: 'data', persistentVolumeClaim: { claimName: 'web-root-rnd00', readOnly: true, hotpluggable: true } },
    ]);
    expect(dataVolumes).toMatchObject([
      { source: 'root', name: 'web-root-rnd00', size: GIBIBYTE + 512, isTemplate: true },
    ]);
  });

  test('a volume of files is an archive, as large as its claim was, and no smaller than what is in it', async () => {
    const files: Partial<VmVolume> = { format: 'directory', contentType: 'archive', volumeMode: 'Filesystem' };
    const spec = async (size: number) => {
      const from = archive({}, { volumes: [volume('root', { ...files, size: 5 * GIBIBYTE })], sizes: { root: size } });
      return mapIn((await check(from)).dataVolumes[0]?.dataVolume.spec);
    };
    expect(await spec(1000)).toMatchObject({
      contentType: 'archive',
      storage: { volumeMode: 'Filesystem', resources: { requests: { storage: '5368709120' } } },
    });
    expect(mapIn(await spec(6 * GIBIBYTE), 'storage', 'resources', 'requests').storage).toBe('6442450944');
  });

  test('TPM and EFI state is found by its label: it gets the new name there, and is no template', async () => {
    const state = { 'persistent-state-for': 'web', team: 'shop', 'app.kubernetes.io/managed-by': 'cdi-controller' };
    const from = archive(
      {},
      {
        volumes: [
          volume('root'),
          volume('state', { use: 'persistentState', format: 'directory', contentType: 'archive' }),
        ],
        objects: [claim('root'), claim('state', {}, { labels: state })],
        sizes: { root: GIBIBYTE, state: 100 },
      },
    );
    const { dataVolumes, vm } = await check(from, { name: 'web-2' });
    expect(dataVolumes[1]).toMatchObject({ isTemplate: false, dataVolume: { kind: 'DataVolume' } });
    expect(dataVolumes[1]?.dataVolume.metadata).toMatchObject({
      namespace: 'prod',
      labels: { team: 'shop', 'persistent-state-for': 'web-2' },
    });
    expect(mapIn(vm?.spec).dataVolumeTemplates).toHaveLength(1);
  });

  test('memory dumps and ephemeral volumes name the new claims, which are no templates', async () => {
    const instance = {
      volumes: [
        { name: 'dump', memoryDump: { claimName: 'dump', hotpluggable: true } },
        { name: 'base', ephemeral: { persistentVolumeClaim: { claimName: 'base' } } },
      ],
    };
    const { vm, dataVolumes } = await check(
      archive(
        {},
        {
          instance,
          volumes: [volume('dump', { use: 'memoryDump' }), volume('base', { use: 'ephemeral' })],
          objects: [claim('dump'), claim('base')],
          sizes: { dump: GIBIBYTE, base: GIBIBYTE },
        },
      ),
    );
    expect(instanceOf(vm).volumes).toEqual([
      { name: 'dump', memoryDump: { claimName: 'web-dump-rnd00', hotpluggable: true } },
      { name: 'base', ephemeral: { persistentVolumeClaim: { claimName: 'web-base-rnd01' } } },
    ]);
    expect(dataVolumes.map(({ isTemplate }) => isTemplate)).toEqual([false, false]);
    expect(mapIn(vm?.spec)).not.toHaveProperty('dataVolumeTemplates');
  });

  test('a claim alone becomes a DataVolume of its name, or of another', async () => {
    const { vm, ...alone } = archive();
    const plan = await check(alone);
    expect(plan.vm).toBeUndefined();
    expect(plan.dataVolumes).toMatchObject([{ name: 'root', isTemplate: false, dataVolume: { kind: 'DataVolume' } }]);
    const there = [...BARE, object('v1 PersistentVolumeClaim prod/root')];
    expect((await check(alone, {}, { there })).problems).toEqual([
      expect.stringContaining('The PersistentVolumeClaim prod/root exists at the target'),
    ]);
    expect((await check(alone, { name: 'copy' }, { there })).dataVolumes[0]?.name).toBe('copy');
  });

  test('each storage class that is missing is a problem of its own, with who needs it and what there is', async () => {
    const from = archive(
      {},
      {
        volumes: [volume('root'), volume('data'), volume('logs')],
        objects: [
          claim('root', { storageClassName: 'gold' }),
          claim('data', { storageClassName: 'gold' }),
          claim('logs', { storageClassName: 'tin' }),
        ],
        sizes: { root: GIBIBYTE, data: GIBIBYTE, logs: GIBIBYTE },
      },
    );
    expect((await check(from)).problems).toEqual([
      'The target has no storage class gold, which root, data need: map it with `storage-class-map`. It has fast, slow.',
      'The target has no storage class tin, which logs needs: map it with `storage-class-map`. It has fast, slow.',
    ]);
    expect((await check(from, { storageClassMap: { gold: 'fast', tin: 'steel' } })).problems).toEqual([
      'The target has no storage class steel (for tin), which logs needs: map it with `storage-class-map`. It has fast, slow.',
    ]);
    const mapped = await check(from, { storageClassMap: { gold: 'fast', tin: 'slow' } });
    expect(mapped.problems).toEqual([]);
    expect(mapped.dataVolumes.map(({ dataVolume }) => mapIn(dataVolume.spec, 'storage').storageClassName)).toEqual([
      'fast',
      'fast',
      'slow',
    ]);
  });

  test('classes that may not be listed are not judged', async () => {
    const from = archive({}, { objects: [claim('root', { storageClassName: 'gold' })] });
    expect((await check(from, {}, { denied: ['/apis/storage.k8s.io'] })).problems).toEqual([]);
  });

  test('a claim without a class takes the default one, KubeVirt’s own too, and needs one', async () => {
    const from = archive({}, { objects: [claim('root', { storageClassName: undefined })] });
    expect(mapIn((await check(from)).dataVolumes[0]?.dataVolume.spec, 'storage')).not.toHaveProperty(
      'storageClassName',
    );
    expect((await check(from, {}, { there: [PROD, FAST] })).problems).toEqual([
      'The claim root names no storage class, and the target has no default one. It has fast.',
    ]);
    const virt = object('storage.k8s.io/v1 StorageClass virt', {
      metadata: { annotations: { 'storageclass.kubevirt.io/is-default-virt-class': 'true' } },
    });
    expect((await check(from, {}, { there: [PROD, virt] })).problems).toEqual([]);
  });

  test('ReadOnlyMany alone can’t be filled, and is told to become ReadWriteOnce', async () => {
    const plan = await check(archive({}, { objects: [claim('root', { accessModes: ['ReadOnlyMany'] })] }));
    expect(mapIn(plan.dataVolumes[0]?.dataVolume.spec, 'storage').accessModes).toEqual(['ReadWriteOnce']);
    expect(plan.notes).toEqual(["The claim root is ReadOnlyMany, which can't be filled: it becomes ReadWriteOnce."]);
  });

  test('a disk in a file system that is no whole number of MiB is told to grow', async () => {
    const { notes } = await check(archive({}, { volumes: [volume('root', { volumeMode: 'Filesystem' })] }));
    expect(notes).toEqual([
      'The disk of root has 1073742336 bytes, no whole number of MiB: CDI may add up to 1048064 zeros at its end.',
    ]);
  });

  test('CDI makes no claim of less than 1 MiB', async () => {
    const { dataVolumes } = await check(archive({}, { sizes: { root: 4096 } }));
    expect(dataVolumes[0]?.size).toBe(4096);
    expect(mapIn(dataVolumes[0]?.dataVolume.spec, 'storage', 'resources', 'requests').storage).toBe('1048576');
  });

  test('what is not in the archive is a problem each', async () => {
    const instance = { volumes: [{ name: 'lost', persistentVolumeClaim: { claimName: 'lost' } }] };
    const from = archive(
      {},
      { instance, volumes: [volume('root'), volume('data')], objects: [claim('root')], sizes: { data: 1 } },
    );
    expect((await check(from)).problems).toEqual([
      'The archive has no content for the claim root, of the volume "root".',
      'The archive has no resources/pvc-data.yaml for the volume "data".',
      'The volume "lost" needs the claim lost, which is not in the archive.',
    ]);
  });

  test('names fit into 63 characters, without dots, and end in what is random', () => {
    expect(uniqueName('web', 'root', 'ab12c')).toBe('web-root-ab12c');
    expect(uniqueName('web.example.com', 'root.disk', 'ab12c')).toBe('web-example-com-root-disk-ab12c');
    expect(uniqueName('w'.repeat(50), `123456-${'p'.repeat(50)}`, 'ab12c')).toBe(`${'w'.repeat(50)}-123456-ab12c`);
    expect(uniqueName('w'.repeat(60), 'p'.repeat(60), 'ab12c')).toHaveLength(63);
  });
});

describe('what else the machine needs', () => {
  const secret = object('v1 Secret shop/init', { data: { userdata: 'I2Nsb3VkLWNvbmZpZw==' }, type: 'Opaque' });
  const instance = {
    volumes: [
      { name: 'rootdisk', dataVolume: { name: 'root' } },
      { name: 'init', cloudInitNoCloud: { secretRef: { name: 'init' } } },
    ],
  };
  const from = archive(
    {},
    { instance, objects: [claim('root'), secret, object('cdi.kubevirt.io/v1beta1 DataVolume shop/root')] },
  );

  test('comes with it, into its namespace', async () => {
    expect((await check(from)).objects).toEqual([{ ...secret, metadata: { name: 'init', namespace: 'prod' } }]);
  });

  test('is left alone where it is the same already', async () => {
    const there = [...BARE, { ...secret, metadata: { name: 'init', namespace: 'prod', uid: '1' } }];
    const plan = await check(from, {}, { there });
    expect([plan.objects, plan.problems]).toEqual([[], []]);
  });

  test('is a problem where another is there under its name', async () => {
    const there = [...BARE, object('v1 Secret prod/init', { data: { userdata: 'b3RoZXI=' }, type: 'Opaque' })];
    expect((await check(from, {}, { there })).problems).toEqual([
      'The Secret prod/init is at the target, and differs from the one the machine needs: delete or rename one of them, or import into another namespace.',
    ]);
  });

  test('is a problem where it neither comes nor is there', async () => {
    const without = archive({}, { instance });
    expect((await check(without)).problems).toEqual([
      'Secret prod/init (volume "init") does not exist at the target, and the archive does not bring it.',
    ]);
    const there = [...BARE, object('v1 Secret prod/init')];
    expect((await check(without, {}, { there })).problems).toEqual([]);
  });

  test('is only told of where the machine starts without it', async () => {
    const optional = {
      volumes: [instance.volumes[0], { name: 'extra', configMap: { name: 'extra', optional: true } }],
    };
    const plan = await check(archive({}, { instance: optional }));
    expect(plan.problems).toEqual([]);
    expect(plan.notes).toEqual([expect.stringContaining('ConfigMap prod/extra (volume "extra") does not exist')]);
  });

  test('a network of its own namespace is looked for in the new one, and any other where it was', async () => {
    const networks = [
      { name: 'own', multus: { networkName: 'shop/vlan1' } },
      { name: 'short', multus: { networkName: 'vlan2' } },
      { name: 'shared', multus: { networkName: 'networks/vlan3' } },
    ];
    const plan = await check(archive({}, { instance: { volumes: [instance.volumes[0]], networks } }));
    expect(plan.problems).toEqual([
      'NetworkAttachmentDefinition prod/vlan1 (network "own") does not exist at the target, and the archive does not bring it.',
      'NetworkAttachmentDefinition prod/vlan2 (network "short") does not exist at the target, and the archive does not bring it.',
      'NetworkAttachmentDefinition networks/vlan3 (network "shared") does not exist at the target, and the archive does not bring it.',
    ]);
    expect(instanceOf(plan.vm).networks).toEqual([
      { name: 'own', multus: { networkName: 'prod/vlan1' } },
      networks[1],
      networks[2],
    ]);
  });

  test('a network that comes is made in the new namespace, but not in somebody else’s', async () => {
    const networks = [
      { name: 'own', multus: { networkName: 'vlan1' } },
      { name: 'shared', multus: { networkName: 'networks/vlan3' } },
    ];
    const nad = (id: string) =>
      object(`k8s.cni.cncf.io/v1 NetworkAttachmentDefinition ${id}`, { spec: { config: '{}' } });
    const plan = await check(
      archive(
        {},
        {
          instance: { volumes: [instance.volumes[0]], networks },
          objects: [claim('root'), nad('shop/vlan1'), nad('networks/vlan3')],
        },
      ),
    );
    expect(plan.objects).toEqual([{ ...nad('prod/vlan1') }]);
    expect(plan.problems).toEqual([
      'The machine needs the NetworkAttachmentDefinition networks/vlan3, which is not at the target: it is of another namespace, and has to be made there first.',
    ]);
  });

  test('a target without networks of this kind is told once for each', async () => {
    const networks = [{ name: 'own', multus: { networkName: 'vlan1' } }];
    const plan = await check(
      archive({}, { instance: { volumes: [instance.volumes[0]], networks } }),
      {},
      { served: (kind) => kind !== 'NetworkAttachmentDefinition' },
    );
    expect(plan.problems).toEqual([expect.stringContaining('the cluster does not serve')]);
  });
});

describe('instancetype and preference', () => {
  const revision = object('apps/v1 ControllerRevision shop/web-u1.small-1', {
    metadata: { ownerReferences: [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'web', uid: '1' }] },
    data: { kind: 'VirtualMachineClusterInstancetype' },
    revision: 0,
  });
  const pinned = {
    instancetype: { name: 'u1.small', kind: 'VirtualMachineClusterInstancetype', revisionName: 'web-u1.small-1' },
  };

  test('the revision comes under a name of its own, to which the machine is pinned, without its old owner', async () => {
    const plan = await check(archive(pinned, { objects: [claim('root'), revision] }), { name: 'web-2' });
    expect(plan.problems).toEqual([]);
    expect(plan.objects).toEqual([{ ...revision, metadata: { name: 'web-2-u1-small-rnd01', namespace: 'prod' } }]);
    expect(mapIn(plan.vm?.spec).instancetype).toEqual({ ...pinned.instancetype, revisionName: 'web-2-u1-small-rnd01' });
  });

  test('without its revision the machine is made of what the target has, if it has it', async () => {
    const from = archive({ ...pinned, preference: { name: 'linux' } });
    const plan = await check(from);
    expect(plan.problems).toEqual([
      'VirtualMachineClusterInstancetype u1.small (instancetype) does not exist at the target, and the archive does not bring it.',
      'VirtualMachineClusterPreference linux (preference) does not exist at the target, and the archive does not bring it.',
    ]);
    expect(plan.notes).toEqual([
      expect.stringContaining('The revision web-u1.small-1 of its instancetype is not in the archive'),
    ]);
    expect(mapIn(plan.vm?.spec).instancetype).toEqual({ name: 'u1.small', kind: 'VirtualMachineClusterInstancetype' });
  });

  test('an instancetype that comes is made where there is none, and left alone where there is', async () => {
    const small = object('instancetype.kubevirt.io/v1alpha2 VirtualMachineInstancetype shop/small', {
      spec: { cpu: { guest: 1 } },
    });
    const from = archive(
      { instancetype: { name: 'small', kind: 'VirtualMachineInstancetype' } },
      { objects: [claim('root'), small] },
    );
    const served = {
      ...small,
      apiVersion: 'instancetype.kubevirt.io/v1beta1',
      metadata: { name: 'small', namespace: 'prod' },
    };
    expect((await check(from)).objects).toEqual([served]);
    const there = [...BARE, { ...served, spec: { cpu: { guest: 2 } } }];
    const plan = await check(from, {}, { there });
    expect([plan.objects, plan.problems]).toEqual([[], []]);
  });

  test('what belongs to the machine is owned by it as KubeVirt does it', () => {
    const vm = object('kubevirt.io/v1 VirtualMachine prod/web', { metadata: { uid: 'u-1' } });
    expect(ownedBy(vm)).toEqual({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      name: 'web',
      uid: 'u-1',
      controller: true,
      blockOwnerDeletion: true,
    });
  });
});

test('everything that stands against an import is told at once', async () => {
  const networks = [{ name: 'own', multus: { networkName: 'vlan1' } }];
  const from = archive(
    { instancetype: { name: 'big' } },
    {
      instance: { volumes: [{ name: 'rootdisk', dataVolume: { name: 'root' } }], networks },
      objects: [claim('root', { storageClassName: 'gold' })],
    },
  );
  const there = [...BARE, object('kubevirt.io/v1 VirtualMachine prod/web')];
  const { problems } = await check(
    from,
    { runStrategy: 'On' },
    { there, served: (kind) => kind !== 'UploadTokenRequest' },
  );
  expect(problems).toEqual([
    expect.stringContaining('serves no UploadTokenRequest of upload.cdi.kubevirt.io'),
    expect.stringContaining('"On" is no run strategy'),
    expect.stringContaining('The VirtualMachine prod/web exists'),
    expect.stringContaining('no storage class gold'),
    expect.stringContaining('NetworkAttachmentDefinition prod/vlan1'),
    expect.stringContaining('VirtualMachineClusterInstancetype big'),
  ]);
});
