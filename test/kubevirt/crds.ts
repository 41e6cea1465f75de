/** Which of the versions that KubeVirt has had its export API is served in. */
export type ExportApi = '1.9' | '1.3' | '1.0';

/** A version of a kind, as a CustomResourceDefinition lists it. */
interface Version {
  readonly name: string;
  readonly storage?: boolean;
  /** The warning that comes with every answer. */
  readonly deprecated?: string;
}

interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly clusterScoped?: boolean;
  readonly versions: readonly Version[];
  readonly schema: Schema;
  readonly status?: boolean;
}

type Schema = Readonly<Record<string, unknown>>;

const ANY: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const TEXT: Schema = { type: 'string' };
const FLAG: Schema = { type: 'boolean' };
const TIME: Schema = { type: 'string', format: 'date-time', nullable: true };

/** The kinds of KubeVirt and CDI that an export or an import of virtual machines meets, by group. */
function kindsOf(exportApi: ExportApi): Readonly<Record<string, readonly Kind[]>> {
  return {
    'kubevirt.io': [
      {
        kind: 'VirtualMachine',
        plural: 'virtualmachines',
        shortNames: ['vm', 'vms'],
        versions: [
          { name: 'v1alpha3', deprecated: 'kubevirt.io/v1alpha3 is now deprecated.' },
          { name: 'v1', storage: true },
        ],
        schema: object(
          {
            spec: { ...object({ template: ANY, dataVolumeTemplates: list(ANY) }, ['template']), ...OPEN },
            status: ANY,
          },
          ['spec'],
        ),
        status: true,
      },
      {
        kind: 'VirtualMachineInstance',
        plural: 'virtualmachineinstances',
        shortNames: ['vmi', 'vmis'],
        versions: [
          { name: 'v1alpha3', deprecated: 'kubevirt.io/v1alpha3 is now deprecated.' },
          { name: 'v1', storage: true },
        ],
        schema: object({ spec: { ...object({ domain: ANY }, ['domain']), ...OPEN }, status: ANY }, ['spec']),
        // The real one has none: its controllers write the whole object.
        status: false,
      },
    ],
    'instancetype.kubevirt.io': [
      instancetypeKind('VirtualMachineInstancetype', ['cpu', 'memory'], false),
      instancetypeKind('VirtualMachineClusterInstancetype', ['cpu', 'memory'], true),
      instancetypeKind('VirtualMachinePreference', [], false),
      instancetypeKind('VirtualMachineClusterPreference', [], true),
    ],
    'snapshot.kubevirt.io': [
      {
        kind: 'VirtualMachineSnapshot',
        plural: 'virtualmachinesnapshots',
        shortNames: ['vmsnapshot', 'vmsnapshots'],
        versions: [{ name: 'v1alpha1' }, { name: 'v1beta1', storage: true }],
        schema: object({ spec: SNAPSHOT_SPEC, status: SNAPSHOT_STATUS }, ['spec']),
        status: true,
      },
      {
        kind: 'VirtualMachineSnapshotContent',
        plural: 'virtualmachinesnapshotcontents',
        shortNames: ['vmsnapshotcontent', 'vmsnapshotcontents'],
        versions: [{ name: 'v1alpha1' }, { name: 'v1beta1', storage: true }],
        schema: object(
          {
            spec: {
              ...object({ source: ANY, virtualMachineSnapshotName: TEXT, volumeBackups: list(ANY) }, ['source']),
            },
            status: ANY,
          },
          ['spec'],
        ),
        status: true,
      },
    ],
    'export.kubevirt.io': [
      {
        kind: 'VirtualMachineExport',
        plural: 'virtualmachineexports',
        shortNames: ['vmexport', 'vmexports'],
        versions: EXPORT_VERSIONS[exportApi],
        schema: object({ spec: EXPORT_SPEC, status: EXPORT_STATUS }, ['spec']),
        status: true,
      },
    ],
    'cdi.kubevirt.io': [
      {
        kind: 'DataVolume',
        plural: 'datavolumes',
        shortNames: ['dv', 'dvs'],
        versions: [{ name: 'v1beta1', storage: true }],
        schema: object({ spec: DATA_VOLUME_SPEC, status: ANY }, ['spec']),
        status: true,
      },
      {
        kind: 'CDIConfig',
        plural: 'cdiconfigs',
        clusterScoped: true,
        versions: [{ name: 'v1beta1', storage: true }],
        schema: object({ spec: ANY, status: ANY }, ['spec']),
        // The real one has none either.
        status: false,
      },
    ],
    'k8s.cni.cncf.io': [
      {
        kind: 'NetworkAttachmentDefinition',
        plural: 'network-attachment-definitions',
        shortNames: ['net-attach-def'],
        versions: [{ name: 'v1', storage: true }],
        schema: object({ spec: object({ config: TEXT }) }),
        status: false,
      },
    ],
  };
}

// https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-operator/resource/generate/components/crds.go
const DEPRECATED = 'VirtualMachineExport is now deprecated and will be removed in a future version.';
const EXPORT_VERSIONS: Readonly<Record<ExportApi, readonly Version[]>> = {
  '1.9': [
    { name: 'v1beta1', deprecated: `export.kubevirt.io/v1beta1 ${DEPRECATED}` },
    { name: 'v1', storage: true },
  ],
  '1.3': [
    { name: 'v1alpha1', deprecated: `export.kubevirt.io/v1alpha1 ${DEPRECATED}` },
    { name: 'v1beta1', storage: true },
  ],
  '1.0': [{ name: 'v1alpha1', storage: true }],
};

const OPEN: Schema = { 'x-kubernetes-preserve-unknown-fields': true };
const REFERENCE: Schema = object({ apiGroup: TEXT, kind: TEXT, name: TEXT }, ['kind', 'name']);
const CONDITIONS: Schema = list(
  object({ type: TEXT, status: TEXT, reason: TEXT, message: TEXT, lastProbeTime: TIME, lastTransitionTime: TIME }, [
    'type',
    'status',
  ]),
);
const FAILURE: Schema = object({ time: TIME, message: TEXT });

const SNAPSHOT_SPEC: Schema = {
  ...object({ source: REFERENCE, deletionPolicy: TEXT, failureDeadline: TEXT }, ['source']),
  ...immutable('spec is immutable after creation'),
};
const SNAPSHOT_STATUS: Schema = object({
  sourceUID: TEXT,
  virtualMachineSnapshotContentName: TEXT,
  creationTime: TIME,
  phase: TEXT,
  readyToUse: FLAG,
  error: FAILURE,
  conditions: CONDITIONS,
  indications: list(TEXT),
  sourceIndications: list(object({ indication: TEXT, message: TEXT }, ['indication', 'message'])),
  snapshotVolumes: object({ includedVolumes: list(TEXT), excludedVolumes: list(TEXT) }),
});

const LINK: Schema = object(
  {
    cert: TEXT,
    volumes: list(
      object({ name: TEXT, formats: list(object({ format: TEXT, url: TEXT }, ['format', 'url'])) }, ['name']),
    ),
    manifests: list(object({ type: TEXT, url: TEXT }, ['type', 'url'])),
    backups: list(ANY),
  },
  ['cert'],
);
const EXPORT_SPEC: Schema = {
  ...object({ source: REFERENCE, tokenSecretRef: TEXT, ttlDuration: TEXT }, ['source']),
  // A webhook's word in the real one.
  ...immutable('spec in immutable after creation'),
};
const EXPORT_STATUS: Schema = object({
  phase: TEXT,
  links: object({ internal: LINK, external: LINK }),
  tokenSecretRef: TEXT,
  ttlExpirationTime: TIME,
  serviceName: TEXT,
  virtualMachineName: TEXT,
  conditions: CONDITIONS,
});

const DATA_VOLUME_SPEC: Schema = {
  ...object({
    source: {
      ...object({
        http: object(
          {
            url: TEXT,
            certConfigMap: TEXT,
            secretRef: TEXT,
            checksum: TEXT,
            insecureSkipVerify: FLAG,
            extraHeaders: list(TEXT),
            secretExtraHeaders: list(TEXT),
          },
          ['url'],
        ),
        upload: { type: 'object' },
        blank: { type: 'object' },
      }),
      ...OPEN,
    },
    sourceRef: ANY,
    pvc: ANY,
    storage: ANY,
    contentType: { type: 'string', enum: ['kubevirt', 'archive'] },
    preallocation: FLAG,
    priorityClassName: TEXT,
  }),
  // Words of a webhook in the real one.
  'x-kubernetes-validations': [
    { rule: 'has(self.pvc) != has(self.storage)', message: 'Data volume must have either storage or pvc' },
    { rule: 'has(self.source) != has(self.sourceRef)', message: 'Data volume must have either source or sourceRef' },
  ],
};

function instancetypeKind(kind: string, required: readonly string[], clusterScoped: boolean): Kind {
  return {
    kind,
    plural: `${kind.toLowerCase()}s`,
    clusterScoped,
    versions: [
      {
        name: 'v1alpha1',
        deprecated: 'instancetype.kubevirt.io/v1alpha1 is now deprecated and will be removed in v1.',
      },
      { name: 'v1beta1', storage: true },
    ],
    schema: object({ spec: { ...object({}, []), ...OPEN, ...(required.length === 0 ? {} : { required }) } }, ['spec']),
    status: false,
  };
}

/** The definitions, to be created with the API server. */
export function customResourceDefinitions(exportApi: ExportApi = '1.9'): object[] {
  return Object.entries(kindsOf(exportApi)).flatMap(([group, kinds]) => kinds.map((kind) => definition(group, kind)));
}

function definition(
  group: string,
  { kind, plural, shortNames = [], clusterScoped, versions, schema, status }: Kind,
): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: clusterScoped ? 'Cluster' : 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames },
      versions: versions.map(({ name, storage = false, deprecated }) => ({
        name,
        served: true,
        storage,
        ...(deprecated === undefined ? {} : { deprecated: true, deprecationWarning: deprecated }),
        ...(status ? { subresources: { status: {} } } : {}),
        schema: { openAPIV3Schema: schema },
      })),
    },
  };
}

function object(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }) };
}

function list(items: Schema): Schema {
  return { type: 'array', items };
}

function immutable(message: string): Schema {
  return { 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message }] };
}
