import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { isMap } from '../values.ts';

/** https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass */
export const DEFAULT_ANNOTATION = 'storageclass.kubernetes.io/is-default-class';
const IS_DEFAULT = [DEFAULT_ANNOTATION, 'storageclass.beta.kubernetes.io/is-default-class'];

/** The classes of one kind that a target has. */
export interface ClassList {
  readonly names: ReadonlySet<string>;
  /** Of StorageClasses. */
  readonly default: string | undefined;
}

/** The classes of a target, each kind read once and only when asked for. */
export interface TargetClasses {
  /** Undefined where they may not be listed, or are not served. */
  read(group: string, plural: string): Promise<ClassList | undefined>;
  /** Whether there is a free PersistentVolume of that class, or of none. */
  hasVolumeOf(storageClass: string): Promise<boolean>;
  defaultStorageClass(): Promise<string | undefined>;
}

/** Reads nothing yet. */
export function createTargetClasses(cluster: Cluster, discovery: Discovery, signal?: AbortSignal): TargetClasses {
  const lists = new Map<string, Promise<ClassList | undefined>>();
  let volumes: Promise<Set<string>> | undefined;
  const read = (group: string, plural: string) => {
    const key = `${plural}.${group}`;
    const list = lists.get(key) ?? readClasses(cluster, kindOf(discovery, group, plural), signal);
    lists.set(key, list);
    return list;
  };
  return {
    read,
    async hasVolumeOf(storageClass) {
      volumes ??= readFreeVolumes(cluster, signal);
      return (await volumes).has(storageClass);
    },
    defaultStorageClass: async () => (await read('storage.k8s.io', 'storageclasses'))?.default,
  };
}

function kindOf({ kinds }: Discovery, group: string, plural: string): ResourceKind | undefined {
  return kinds.find((kind) => kind.group === group && kind.plural === plural);
}

async function readClasses(
  cluster: Cluster,
  kind: ResourceKind | undefined,
  signal: AbortSignal | undefined,
): Promise<ClassList | undefined> {
  if (kind === undefined) return undefined;
  const names = new Set<string>();
  const defaults: KubeObject[] = [];
  const isRead = await unlessForbidden(async () => {
    for await (const object of cluster.list(collectionPath(kind), { signal })) {
      names.add(object.metadata.name);
      if (isDefault(object)) defaults.push(object);
    }
  });
  // Of several the newest is taken.
  const [newest] = defaults.sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1));
  return isRead ? { names, default: newest?.metadata.name } : undefined;
}

async function readFreeVolumes(cluster: Cluster, signal: AbortSignal | undefined): Promise<Set<string>> {
  const classes = new Set<string>();
  await unlessForbidden(async () => {
    for await (const { spec, status } of cluster.list('/api/v1/persistentvolumes', { signal })) {
      if (!isMap(spec) || !isMap(status) || status.phase !== 'Available') continue;
      classes.add(typeof spec.storageClassName === 'string' ? spec.storageClassName : '');
    }
  });
  return classes;
}

/** @returns whether it was done; false when the user may not, or there is no such thing */
export async function unlessForbidden(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof ClusterError && (error.status === 403 || error.status === 404)) return false;
    throw error;
  }
}

/** Whether a StorageClass is marked as the default. */
export function isDefault({ metadata }: KubeObject): boolean {
  return IS_DEFAULT.some((name) => metadata.annotations?.[name] === 'true');
}

function timeOf({ metadata }: KubeObject): string {
  return metadata.creationTimestamp ?? '';
}
