import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type Context, inNamespace } from '../context.ts';
import type { ExportedVolume } from '../export-server.ts';
import {
  ANNOTATIONS,
  annotation,
  type Condition,
  field,
  isOwnedBy,
  maps,
  namespaceOf,
  ownedBy,
  PATHS,
  pathIn,
  text,
} from '../objects.ts';
import { phaseOf, podsUsing } from '../pods.ts';
import { contentKey } from './snapshots.ts';

/** A claim that an export serves, and as what. */
export interface SourceClaim {
  readonly claim: KubeObject;
  readonly as: ExportedVolume['as'];
}

/** What an export finds where its `spec.source` points. */
export interface ExportSource {
  readonly claims: readonly SourceClaim[];
  readonly isInUse: boolean;
  readonly isPopulated: boolean;
  /** The condition `Ready` while there is no pod. */
  readonly ready: Condition;
  /** One more condition, by the kind of the source. */
  readonly condition?: Condition;
  readonly isSkipped: boolean;
  readonly machine?: string;
  /** What the name of a claim begins with that is left out of the name of its link. */
  readonly prefix?: string;
}

type Findings = Partial<ExportSource> & { readonly reason?: string; readonly message?: string };

/**
 * Looks at the source of an export as virt-controller does.
 *
 * @see https://github.com/kubevirt/kubevirt/tree/main/pkg/storage/export/export
 */
export async function findSource(context: Context, vmExport: KubeObject): Promise<ExportSource | undefined> {
  const apiGroup = text(vmExport, 'spec', 'source', 'apiGroup') ?? '';
  const kind = text(vmExport, 'spec', 'source', 'kind');
  const name = text(vmExport, 'spec', 'source', 'name') ?? '';
  const namespace = namespaceOf(vmExport);
  if (apiGroup === '' && kind === 'PersistentVolumeClaim') return fromClaim(context, vmExport, namespace, name);
  if (apiGroup === 'kubevirt.io' && kind === 'VirtualMachine') return fromMachine(context, namespace, name);
  if (apiGroup === 'snapshot.kubevirt.io' && kind === 'VirtualMachineSnapshot') {
    return fromSnapshot(context, vmExport, namespace, name);
  }
  return undefined; // The real one does nothing at all either.
}

function source({ reason = 'Initializing', message = '', ...found }: Findings): ExportSource {
  const ready: Condition = { type: 'Ready', status: 'False', reason, message };
  return { claims: [], isInUse: false, isPopulated: false, isSkipped: false, ready, ...found };
}

function fromClaim(context: Context, vmExport: KubeObject, namespace: string, name: string): ExportSource {
  const claim = context.stores().find(PATHS.claims, namespace, name);
  const condition = (status: 'True' | 'False', reason: string, message = ''): { condition: Condition } => ({
    condition: { type: 'PVCReady', status, reason, message },
  });
  if (claim === undefined) {
    return source(condition('False', 'PVCNotFound', `PersistentVolumeClaim ${namespace}/${name} not found`));
  }
  const phase = phaseOf(claim);
  const claims = [sourceClaim(context, claim)];
  const about =
    phase === 'Bound' ? condition('True', 'PVCBound') : condition('False', phase === 'Lost' ? 'Unknown' : 'PVCPending');
  if (!isPopulated(context, claim)) {
    const message = `PersistentVolumeClaim ${namespace}/${name} is not populated`;
    return source({ claims, ...about, reason: 'PVCPending', message });
  }
  const isInUse = podsUsing(context, claim).some((pod) => !isOwnedBy(pod, vmExport));
  if (!isInUse) return source({ claims, ...about, isPopulated: true });
  const message = `PersistentVolumeClaim ${namespace}/${name} is in use`;
  return source({ claims, ...about, isPopulated: true, isInUse, reason: 'InUse', message });
}

function fromMachine(context: Context, namespace: string, name: string): ExportSource {
  const stores = context.stores();
  const vm = stores.find(PATHS.machines, namespace, name);
  const about = `Virtual Machine ${namespace}/${name}`;
  if (vm === undefined) {
    return source({ machine: name, isSkipped: true, reason: 'VMNotFound', message: `${about} not found` });
  }
  const names = claimNamesOf(context, vm);
  const found = names.map(({ claim }) => stores.find(PATHS.claims, namespace, claim));
  const claims = found.filter((claim) => claim !== undefined);
  const allPopulated =
    claims.every((claim) => isPopulated(context, claim)) &&
    names.every(({ isDataVolume }, place) => !isDataVolume || found[place] !== undefined);
  const volumes = claims.map((claim) => sourceClaim(context, claim));
  if (volumes.length === 0) {
    const isPopulatedNow = { isPopulated: true, isSkipped: true };
    return source({ machine: name, ...isPopulatedNow, reason: 'VMNoVolumes', message: `${about} has no volumes` });
  }
  if (!allPopulated) {
    const message = `Not all volumes in the ${about} are populated`;
    return source({ machine: name, claims: volumes, reason: 'VolumesNotPopulated', message });
  }
  const vmi = stores.find(PATHS.instances, namespace, name);
  const isInUse = vmi !== undefined && !['Succeeded', 'Failed'].includes(phaseOf(vmi) ?? '');
  return source({
    machine: name,
    claims: volumes,
    isPopulated: true,
    isInUse,
    ...(isInUse ? { reason: 'InUse', message: `${about} is running` } : {}),
  });
}

async function fromSnapshot(
  context: Context,
  vmExport: KubeObject,
  namespace: string,
  name: string,
): Promise<ExportSource> {
  const stores = context.stores();
  const snapshot = stores.find(PATHS.snapshots, namespace, name);
  const prefix = `${vmExport.metadata.name}-`;
  const about = `VirtualMachineSnapshot ${namespace}/${name}`;
  const created = (status: 'True' | 'False', reason: string, message = ''): { condition: Condition } => ({
    condition: { type: 'VolumesCreated', status, reason, message },
  });
  const none = created('False', 'VMSnapshotNoVolumes', `${about} does not contain any volume snapshots`);
  if (snapshot === undefined) {
    return source({ ...none, isSkipped: true, reason: 'VMSnapshotNotFound', message: `${about} not found` });
  }
  const machine = text(snapshot, 'spec', 'source', 'name') ?? '';
  const content = stores.find(
    PATHS.contents,
    namespace,
    text(snapshot, 'status', 'virtualMachineSnapshotContentName') ?? '',
  );
  if (field(snapshot, 'status', 'readyToUse') !== true || content === undefined) {
    const reason = 'NotAllPVCsCreated';
    const message = `${about} is not ready to use`;
    return source({ machine, prefix, ...created('False', reason, message), reason, message });
  }
  const backups = maps(content, 'spec', 'volumeBackups');
  if (backups.length === 0) return source({ machine, prefix, ...none, isSkipped: true });
  const claims: KubeObject[] = [];
  for (const backup of backups) {
    const claim = await restoreClaim(context, vmExport, content, backup);
    if (claim !== undefined) claims.push(claim);
  }
  const isBound = claims.length === backups.length && claims.every((claim) => phaseOf(claim) === 'Bound');
  const about2 = isBound
    ? created('True', 'AllPVCsReady')
    : created('False', 'NotAllPVCsReady', 'Not all PVCs are ready');
  const volumes = claims.map((claim) => sourceClaim(context, claim));
  return source({ machine, prefix, claims: volumes, isPopulated: claims.length === backups.length, ...about2 });
}

/** The claim `<export>-<claim>` that is made from the snapshot of a volume, holding what it held. */
async function restoreClaim(
  context: Context,
  vmExport: KubeObject,
  content: KubeObject,
  backup: Record<string, unknown>,
): Promise<KubeObject | undefined> {
  const namespace = namespaceOf(vmExport);
  const original = text(backup, 'persistentVolumeClaim', 'metadata', 'name') ?? '';
  const name = `${vmExport.metadata.name}-${original}`;
  const known = context.stores().find(PATHS.claims, namespace, name);
  if (known !== undefined) return known;
  const {
    volumeName: _,
    dataSource: __,
    dataSourceRef: ___,
    ...spec
  } = asMap(field(backup, 'persistentVolumeClaim', 'spec'));
  const volume = context.volumes.get(contentKey(content), original);
  if (volume !== undefined) context.volumes.set(namespace, name, volume);
  const isDisk = volume === undefined || 'disk' in volume;
  const created = await context.kube.create(pathIn(PATHS.claims, namespace), {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name,
      namespace,
      ...(isDisk ? { annotations: { [ANNOTATIONS.contentType]: 'kubevirt' } } : {}),
      ...ownedBy(vmExport),
    },
    spec: {
      ...spec,
      dataSource: {
        apiGroup: 'snapshot.storage.k8s.io',
        kind: 'VolumeSnapshot',
        name: text(backup, 'volumeSnapshotName'),
      },
    },
  });
  return created;
}

/** The claims that the volumes of a machine are on, as far as an export knows them. */
export function claimNamesOf(context: Context, vm: KubeObject): { claim: string; isDataVolume: boolean }[] {
  const volumes = maps(vm, 'spec', 'template', 'spec', 'volumes').flatMap((volume) => {
    const dataVolume = text(volume, 'dataVolume', 'name');
    if (dataVolume !== undefined) return [{ claim: dataVolume, isDataVolume: true }];
    const claim = text(volume, 'persistentVolumeClaim', 'claimName') ?? text(volume, 'memoryDump', 'claimName');
    return claim === undefined ? [] : [{ claim, isDataVolume: false }];
  });
  const state = inNamespace(context, PATHS.claims, namespaceOf(vm)).filter(
    ({ metadata }) => metadata.labels?.['persistent-state-for'] === vm.metadata.name,
  );
  return [...volumes, ...state.map(({ metadata }) => ({ claim: metadata.name, isDataVolume: false }))];
}

function sourceClaim(context: Context, claim: KubeObject): SourceClaim {
  return { claim, as: isDisk(context, claim) ? 'disk' : 'archive' };
}

function isDisk(context: Context, claim: KubeObject): boolean {
  if (text(claim, 'spec', 'volumeMode') === 'Block') return true;
  const contentType = annotation(claim, ANNOTATIONS.contentType);
  if (contentType !== undefined && ['', 'kubevirt'].includes(contentType)) return true;
  const dataVolume = dataVolumeOf(context, claim);
  return dataVolume !== undefined && ['', 'kubevirt'].includes(text(dataVolume, 'spec', 'contentType') ?? '');
}

function isPopulated(context: Context, claim: KubeObject): boolean {
  const dataVolume = dataVolumeOf(context, claim);
  return dataVolume === undefined || phaseOf(dataVolume) === 'Succeeded';
}

/** The DataVolume that a claim was made for. */
export function dataVolumeOf(context: Context, claim: KubeObject): KubeObject | undefined {
  const owner = claim.metadata.ownerReferences?.find(({ kind }) => kind === 'DataVolume');
  return owner === undefined ? undefined : context.stores().find(PATHS.dataVolumes, namespaceOf(claim), owner.name);
}

function asMap(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
