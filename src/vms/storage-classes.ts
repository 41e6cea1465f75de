import { type Cluster, ClusterError } from '../cluster/cluster.ts';

/** The StorageClasses of a cluster. */
export interface StorageClasses {
  readonly names: ReadonlySet<string>;
  /** The one CDI takes for a disk that names none. */
  readonly default: string | undefined;
}

/** In the order they count: CDI prefers the one for machines. */
const DEFAULTS = [
  'storageclass.kubevirt.io/is-default-virt-class',
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
];

/** @returns undefined where they may not be listed */
export async function readStorageClasses(cluster: Cluster, signal?: AbortSignal): Promise<StorageClasses | undefined> {
  const names = new Set<string>();
  const marked = new Map<string, string>();
  try {
    for await (const { metadata } of cluster.list('/apis/storage.k8s.io/v1/storageclasses', { signal })) {
      names.add(metadata.name);
      for (const mark of DEFAULTS) if (metadata.annotations?.[mark] === 'true') marked.set(mark, metadata.name);
    }
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return undefined;
    throw error;
  }
  return { names, default: DEFAULTS.map((mark) => marked.get(mark)).find((name) => name !== undefined) };
}
