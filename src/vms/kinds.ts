import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';

const ORDER = ['v1', 'v1beta1', 'v1alpha3', 'v1alpha2', 'v1alpha1'];

const KUBEVIRT = 'Is KubeVirt installed there, and its virt-api and virt-operator running?';
const CDI = 'Is the Containerized Data Importer (CDI) installed there, and running?';

/** The kinds of KubeVirt and CDI that this room works with, and why one may not be served. */
const KINDS = {
  VirtualMachine: { group: 'kubevirt.io', missing: KUBEVIRT },
  VirtualMachineInstance: { group: 'kubevirt.io', missing: KUBEVIRT },
  VirtualMachineExport: {
    group: 'export.kubevirt.io',
    missing: `KubeVirt 0.55 and newer have the export API; before 1.9 it also needs the feature gate VMExport in the KubeVirt object (spec.configuration.developerConfiguration.featureGates). ${KUBEVIRT}`,
  },
  VirtualMachineSnapshot: {
    group: 'snapshot.kubevirt.io',
    missing: `It may need the feature gate Snapshot in the KubeVirt object (spec.configuration.developerConfiguration.featureGates). ${KUBEVIRT}`,
  },
  VirtualMachineSnapshotContent: { group: 'snapshot.kubevirt.io', missing: KUBEVIRT },
  DataVolume: { group: 'cdi.kubevirt.io', missing: CDI },
  CDIConfig: { group: 'cdi.kubevirt.io', missing: CDI },
  StorageProfile: { group: 'cdi.kubevirt.io', missing: CDI },
  UploadTokenRequest: { group: 'upload.cdi.kubevirt.io', missing: `${CDI} cdi-apiserver serves this kind.` },
} as const satisfies Record<string, { group: string; missing: string }>;

export type VmKind = keyof typeof KINDS;

/**
 * A kind of KubeVirt or CDI in the best version that the cluster serves: the newest stable one, which need not be the one
 * the server prefers. Undefined where it serves none.
 */
export function findVmKind(discovery: Discovery, name: VmKind): ResourceKind | undefined {
  const { group } = KINDS[name];
  const preferred = discovery.kinds.find((kind) => kind.group === group && kind.kind === name);
  if (preferred === undefined) return undefined;
  const [best] = ORDER.filter((version) => preferred.versions.includes(version));
  return (best === undefined ? undefined : discovery.findKind(`${group}/${best}`, name)) ?? preferred;
}

/**
 * {@link findVmKind}, where there is no way without it.
 *
 * @throws TransshipError `NOT_SERVED` saying what may be missing
 */
export function needVmKind(discovery: Discovery, name: VmKind, context: string): ResourceKind {
  const kind = findVmKind(discovery, name);
  if (kind !== undefined) return kind;
  const { group, missing } = KINDS[name];
  const stale = discovery.stale.filter((apiVersion) => apiVersion.startsWith(`${group}/`));
  const message = `The cluster of the context "${context}" serves no ${name} of ${group}`;
  throw stale.length > 0
    ? new TransshipError('NOT_SERVED', `${message} now: what serves ${stale.join(', ')} does not answer.`, {
        hint: `Look at the API services with \`kubectl get apiservices\`. ${missing}`,
      })
    : new TransshipError('NOT_SERVED', `${message}.`, { hint: missing });
}
