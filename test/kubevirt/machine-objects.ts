/** One disk of a machine for tests. */
export interface MachineDisk {
  /** Of the volume. */
  readonly name: string;
  /** The claim it is on, which is there already. */
  readonly claim?: string;
  /** A DataVolume from a template of the machine, with `source` as it says. */
  readonly template?: {
    readonly name: string;
    readonly source: object;
    /** Bytes. */
    readonly size: number;
    readonly volumeMode?: 'Block' | 'Filesystem';
    readonly storageClassName?: string;
  };
}

export interface MachineFacts {
  readonly namespace: string;
  readonly name: string;
  readonly disks?: readonly MachineDisk[];
  /** Volumes that are not on claims, such as `cloudInitNoCloud`. */
  readonly volumes?: readonly object[];
  /** Default `Halted`. */
  readonly runStrategy?: 'Always' | 'Halted' | 'Manual' | 'RerunOnFailure' | 'Once';
  /** Fields of `spec`, such as `instancetype`. */
  readonly spec?: object;
  /** Fields of `spec.template.spec`, such as `networks`. */
  readonly template?: object;
}

/** A VirtualMachine with disks, one network and no more than it needs. */
export function machineObject(facts: MachineFacts): object {
  const { namespace, name, disks = [], volumes = [], runStrategy = 'Halted', spec = {}, template = {} } = facts;
  const templates = disks.flatMap(({ template: wanted }) => (wanted === undefined ? [] : [dataVolumeTemplate(wanted)]));
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { namespace, name, labels: { app: name } },
    spec: {
      runStrategy,
      ...(templates.length === 0 ? {} : { dataVolumeTemplates: templates }),
      template: {
        metadata: { labels: { 'kubevirt.io/vm': name } },
        spec: {
          domain: {
            devices: {
              disks: disks.map((disk) => ({ name: disk.name, disk: { bus: 'virtio' } })),
              interfaces: [{ name: 'default', masquerade: {} }],
            },
            memory: { guest: '1Gi' },
          },
          networks: [{ name: 'default', pod: {} }],
          volumes: [...disks.map(volumeOf), ...volumes],
          ...template,
        },
      },
      ...spec,
    },
  };
}

/** A claim of so many bytes. */
export function claimObject(
  namespace: string,
  name: string,
  size: number,
  options: {
    volumeMode?: 'Block' | 'Filesystem';
    annotations?: Readonly<Record<string, string>>;
    labels?: Readonly<Record<string, string>>;
  } = {},
): object {
  const { volumeMode = 'Filesystem', annotations = {}, labels = {} } = options;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { namespace, name, annotations, labels },
    spec: { accessModes: ['ReadWriteOnce'], volumeMode, resources: { requests: { storage: String(size) } } },
  };
}

/** A VirtualMachineExport in a version. */
export function exportObject(
  version: string,
  namespace: string,
  name: string,
  source: {
    readonly kind: 'VirtualMachine' | 'VirtualMachineSnapshot' | 'PersistentVolumeClaim';
    readonly name: string;
  },
  options: { tokenSecretRef?: string; ttlDuration?: string } = {},
): object {
  const apiGroup = {
    VirtualMachine: 'kubevirt.io',
    VirtualMachineSnapshot: 'snapshot.kubevirt.io',
    PersistentVolumeClaim: '',
  };
  return {
    apiVersion: `export.kubevirt.io/${version}`,
    kind: 'VirtualMachineExport',
    metadata: { namespace, name },
    spec: { source: { apiGroup: apiGroup[source.kind], ...source }, ...options },
  };
}

/** A DataVolume of so many bytes. */
export function dataVolumeObject(
  namespace: string,
  name: string,
  size: number,
  source: object,
  storage: object = {},
): object {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { namespace, name },
    spec: { source, storage: { resources: { requests: { storage: String(size) } }, ...storage } },
  };
}

function dataVolumeTemplate({ name, source, size, ...storage }: NonNullable<MachineDisk['template']>): object {
  return {
    metadata: { name },
    spec: { source, storage: { resources: { requests: { storage: String(size) } }, ...storage } },
  };
}

function volumeOf({ name, claim, template }: MachineDisk): object {
  return template === undefined
    ? { name, persistentVolumeClaim: { claimName: claim } }
    : { name, dataVolume: { name: template.name } };
}
