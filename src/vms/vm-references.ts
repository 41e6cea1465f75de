import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';
import type { VolumeUse } from './description.ts';

/** A volume of a machine that a claim stands behind. */
export interface ClaimReference {
  /** Of the volume. */
  readonly volume: string;
  readonly claim: string;
  readonly use: VolumeUse;
  /** The volume names a DataVolume, whose claim has the same name. */
  readonly isDataVolume: boolean;
}

/** An object that a machine names. */
export interface ObjectReference {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  /** Undefined for a cluster-scoped one. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** What names it, such as `volume "cloudinit"`. */
  readonly by: string;
  /** The machine starts without it. */
  readonly isOptional: boolean;
}

/** What a machine says of its instancetype or preference. */
export interface MatcherReference {
  readonly role: 'instancetype' | 'preference';
  readonly object: ObjectReference | undefined;
  /** The ControllerRevision that holds the very copy the machine was made with. */
  readonly revision: ObjectReference | undefined;
}

/** `spec.template.spec` of a VirtualMachine: the spec of its instances. */
export function templateSpecOf(vm: KubeObject): Record<string, unknown> {
  return mapIn(vm.spec, 'template', 'spec');
}

/** A map inside of maps; an empty one where a step is missing or none. */
export function mapIn(value: unknown, ...path: readonly string[]): Record<string, unknown> {
  const found = path.reduce((holder, key) => (isMap(holder) ? holder[key] : undefined), value);
  return isMap(found) ? found : {};
}

/** The text a field has, unless that is empty: as Go reads it, which knows no other way to leave it out. */
export function textIn(value: unknown, ...path: readonly string[]): string | undefined {
  const key = path.at(-1) ?? '';
  const text = mapIn(value, ...path.slice(0, -1))[key];
  return typeof text === 'string' && text !== '' ? text : undefined;
}

/** The claims that the volumes in the spec of a machine or of an instance name, in their order; each claim once. */
export function findClaims(spec: Record<string, unknown>): ClaimReference[] {
  const found = new Map<string, ClaimReference>();
  for (const volume of mapsIn(spec.volumes)) {
    const reference = claimOf(volume);
    if (reference !== undefined && !found.has(reference.claim)) found.set(reference.claim, reference);
  }
  return [...found.values()];
}

function claimOf(volume: Record<string, unknown>): ClaimReference | undefined {
  const sources: readonly [claim: string | undefined, use: VolumeUse, isDataVolume: boolean][] = [
    // A DataVolume's claim is its namesake:
    // https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/storage/types/volume.go (PVCNameFromVirtVolume)
    [textIn(volume, 'dataVolume', 'name'), 'disk', true],
    [textIn(volume, 'persistentVolumeClaim', 'claimName'), 'disk', false],
    [textIn(volume, 'memoryDump', 'claimName'), 'memoryDump', false],
    [textIn(volume, 'ephemeral', 'persistentVolumeClaim', 'claimName'), 'ephemeral', false],
  ];
  for (const [claim, use, isDataVolume] of sources) {
    if (claim !== undefined) return { volume: textIn(volume, 'name') ?? claim, claim, use, isDataVolume };
  }
  return undefined;
}

/**
 * Whether the machine keeps TPM state or EFI variables in a claim that its spec does not name. Its preference may ask for
 * it as well.
 * https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/storage/backend-storage/backend-storage.go (IsBackendStorageNeeded)
 */
export function keepsState(vm: KubeObject): boolean {
  const domain = mapIn(templateSpecOf(vm), 'domain');
  const tpm = mapIn(domain, 'devices', 'tpm');
  const tracking = textIn(vm.status, 'changedBlockTracking', 'state');
  return (
    (tpm.enabled !== false && tpm.persistent === true) ||
    mapIn(domain, 'firmware', 'bootloader', 'efi').persistent === true ||
    tracking === 'Enabled' ||
    tracking === 'Initializing'
  );
}

/** What a machine names beside claims, instancetype and preference; each object once, required where anything requires it. */
export function findReferences(vm: KubeObject): ObjectReference[] {
  const spec = templateSpecOf(vm);
  const found = new Map<string, ObjectReference>();
  const all = [
    ...mapsIn(spec.volumes).flatMap(volumeReferences),
    ...mapsIn(spec.accessCredentials).flatMap(credentialReferences),
    ...mapsIn(spec.networks).flatMap(networkReferences),
    ...specReferences(spec),
  ];
  for (const {
    group = '',
    kind,
    namespace = vm.metadata.namespace,
    isClusterScoped,
    name,
    by,
    isOptional = false,
  } of all) {
    if (name === undefined) continue;
    const reference: ObjectReference = {
      group,
      kind,
      namespace: isClusterScoped === true ? undefined : namespace,
      name,
      by,
      isOptional,
    };
    const key = [group, kind, reference.namespace, name].join('/');
    if (found.get(key)?.isOptional !== false) found.set(key, reference);
  }
  return [...found.values()];
}

/** A reference as a rule states it: of the core group and the machine's namespace, required, none without a name. */
interface Named {
  readonly group?: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly isClusterScoped?: true;
  readonly name: string | undefined;
  readonly by: string;
  readonly isOptional?: boolean;
}

function volumeReferences(volume: Record<string, unknown>): Named[] {
  const by = `volume "${textIn(volume, 'name') ?? ''}"`;
  const cloudInit = ['cloudInitNoCloud', 'cloudInitConfigDrive'].flatMap((source) => [
    { kind: 'Secret', name: textIn(volume, source, 'secretRef', 'name'), by },
    { kind: 'Secret', name: textIn(volume, source, 'networkDataSecretRef', 'name'), by },
  ]);
  return [
    ...cloudInit,
    { kind: 'Secret', name: textIn(volume, 'sysprep', 'secret', 'name'), by },
    { kind: 'ConfigMap', name: textIn(volume, 'sysprep', 'configMap', 'name'), by },
    {
      kind: 'Secret',
      name: textIn(volume, 'secret', 'secretName'),
      by,
      isOptional: mapIn(volume, 'secret').optional === true,
    },
    {
      kind: 'ConfigMap',
      name: textIn(volume, 'configMap', 'name'),
      by,
      isOptional: mapIn(volume, 'configMap').optional === true,
    },
    { kind: 'ServiceAccount', name: textIn(volume, 'serviceAccount', 'serviceAccountName'), by },
    // A missing pull secret is passed over: https://kubernetes.io/docs/concepts/containers/images/#specifying-imagepullsecrets-on-a-pod
    { kind: 'Secret', name: textIn(volume, 'containerDisk', 'imagePullSecret'), by, isOptional: true },
  ];
}

function credentialReferences(credential: Record<string, unknown>): Named[] {
  return ['sshPublicKey', 'userPassword'].map((source) => ({
    kind: 'Secret',
    name: textIn(credential, source, 'source', 'secret', 'secretName'),
    by: `access credential ${source}`,
  }));
}

function networkReferences(network: Record<string, unknown>): Named[] {
  const [first, second] = textIn(network, 'multus', 'networkName')?.split('/') ?? [];
  return [
    {
      group: 'k8s.cni.cncf.io',
      kind: 'NetworkAttachmentDefinition',
      ...(first === undefined || second === undefined ? {} : { namespace: first }),
      name: second ?? first,
      by: `network "${textIn(network, 'name') ?? ''}"`,
    },
  ];
}

function specReferences(spec: Record<string, unknown>): Named[] {
  const priorityClass = textIn(spec, 'priorityClassName');
  const claims = mapsIn(spec.resourceClaims).flatMap((claim): Named[] => {
    const by = `resource claim "${textIn(claim, 'name') ?? ''}"`;
    const group = 'resource.k8s.io';
    return [
      { group, kind: 'ResourceClaim', name: textIn(claim, 'resourceClaimName'), by },
      { group, kind: 'ResourceClaimTemplate', name: textIn(claim, 'resourceClaimTemplateName'), by },
    ];
  });
  return [
    { kind: 'ServiceAccount', name: textIn(spec, 'serviceAccountName'), by: 'serviceAccountName' },
    {
      kind: 'Secret',
      name: textIn(spec, 'domain', 'firmware', 'kernelBoot', 'container', 'imagePullSecret'),
      by: 'kernelBoot',
      isOptional: true,
    },
    {
      group: 'scheduling.k8s.io',
      kind: 'PriorityClass',
      isClusterScoped: true,
      // Every cluster has those, and nobody may make one.
      name: priorityClass?.startsWith('system-') === true ? undefined : priorityClass,
      by: 'priorityClassName',
      // It is the target's own matter what its classes are.
      isOptional: true,
    },
    ...claims,
  ];
}

const INSTANCETYPES = 'instancetype.kubevirt.io';

/**
 * What a machine is made of, where it is. A revision named in the spec is what KubeVirt uses, whatever became of the
 * object; that in the status (1.4 and newer) belongs to the object the status names.
 * https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/instancetype/find/revision.go
 */
export function findMatchers(vm: KubeObject): MatcherReference[] {
  const { namespace } = vm.metadata;
  return (['instancetype', 'preference'] as const).flatMap((role) => {
    const matcher = mapIn(vm.spec, role);
    const status = mapIn(vm.status, `${role}Ref`);
    const name = textIn(matcher, 'name') ?? textIn(status, 'name');
    const inSpec = textIn(matcher, 'revisionName');
    const inStatus = textIn(status, 'name') === name ? textIn(status, 'controllerRevisionRef', 'name') : undefined;
    const revision = inSpec ?? inStatus;
    if (!isMap(mapIn(vm.spec)[role]) || (name === undefined && revision === undefined)) return [];
    const { kind, isClusterScoped } = matcherKind(role, textIn(matcher, 'kind') ?? textIn(status, 'kind'));
    const base = { namespace, isOptional: inSpec === undefined };
    return [
      {
        role,
        object:
          name === undefined
            ? undefined
            : {
                group: INSTANCETYPES,
                kind,
                name,
                namespace: isClusterScoped ? undefined : namespace,
                by: role,
                isOptional: revision !== undefined,
              },
        revision:
          revision === undefined
            ? undefined
            : { ...base, group: 'apps', kind: 'ControllerRevision', name: revision, by: `revision of its ${role}` },
      },
    ];
  });
}

/** KubeVirt takes a kind in any case, in singular or plural; without one it is the cluster-scoped kind. */
function matcherKind(role: MatcherReference['role'], kind = ''): { kind: string; isClusterScoped: boolean } {
  const isClusterScoped = kind === '' || /^virtualmachinecluster/i.test(kind);
  const last = role === 'instancetype' ? 'Instancetype' : 'Preference';
  return { kind: `VirtualMachine${isClusterScoped ? 'Cluster' : ''}${last}`, isClusterScoped };
}
