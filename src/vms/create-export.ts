import { createObject } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import type { VmSource } from './export-state.ts';
import { allowed, goDuration, newRunId, RUN_LABEL } from './temporary-objects.ts';

/** What `spec.source` of an export says. */
export const SOURCES = {
  vm: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine' },
  snapshot: { apiGroup: 'snapshot.kubevirt.io', kind: 'VirtualMachineSnapshot' },
  pvc: { apiGroup: '', kind: 'PersistentVolumeClaim' },
} as const;

interface CreateOptions {
  /** Milliseconds. */
  readonly ttl: number;
  /** The value of the label. */
  readonly run?: string | undefined;
  /** To begin a sentence with. */
  readonly purpose: string;
}

/**
 * Creates the VirtualMachineExport, which names a Secret that is not there yet.
 *
 * @throws TransshipError `NOT_SERVED` where KubeVirt has the API but not the feature
 */
export async function createExport(
  cluster: Cluster,
  discovery: Discovery,
  kind: ResourceKind,
  source: VmSource,
  name: string,
  { ttl, run = newRunId(), purpose }: CreateOptions,
): Promise<KubeObject> {
  const { namespace } = source;
  const object: KubeObject = {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: { name, namespace, labels: { [RUN_LABEL]: run } },
    spec: {
      source: { ...SOURCES[source.kind], name: source.name },
      tokenSecretRef: name,
      ttlDuration: goDuration(ttl),
    },
  };
  const wanted = { verb: 'create', group: kind.group, resource: kind.plural, namespace, purpose };
  try {
    // Without the signal: what is created after all has to be known, to be deleted.
    return await allowed(wanted, () => createObject(cluster, discovery, object));
  } catch (error) {
    // https://github.com/kubevirt/kubevirt/blob/v1.6.0/pkg/storage/admitters/vmexport.go#L66
    if (!(error instanceof ClusterError) || !/feature gate/i.test(error.message)) throw error;
    throw new TransshipError('NOT_SERVED', `${purpose} is not possible: ${error.message}`, {
      hint: 'Add VMExport to spec.configuration.developerConfiguration.featureGates of the KubeVirt object; it is always on since KubeVirt 1.9.',
      cause: error,
    });
  }
}

/** Creates the Secret with the token, which goes when the export goes: KubeVirt starts the server once it is there. */
export async function createToken(
  cluster: Cluster,
  discovery: Discovery,
  owner: KubeObject,
  token: string,
  purpose: string,
): Promise<void> {
  const { apiVersion, kind, metadata } = owner;
  const { name, namespace = '', uid = '', labels = {} } = metadata;
  const secret: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: { name, namespace, labels, ownerReferences: [{ apiVersion, kind, name, uid }] },
    data: { token: Buffer.from(token).toString('base64') },
  };
  const wanted = { verb: 'create', group: '', resource: 'secrets', namespace, purpose };
  await allowed(wanted, () => createObject(cluster, discovery, secret));
}
