import { createHash } from 'node:crypto';
import { type Entry, entryOf } from '../archive/entry.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import type { VmDescription } from './description.ts';
import { writeYaml } from './yaml.ts';

/** The folder of an archive that holds a machine's objects. */
export const RESOURCES = 'resources/';

/** As many bytes as file systems allow in a name. */
const MOST = 255;

/** The files of an archive's `resources/`, one object each, in the order of the description: `vm.yaml` first. */
export async function* writeResources({ vm, objects }: VmDescription): AsyncGenerator<Entry> {
  const taken = new Set<string>();
  for (const object of vm === undefined ? objects : [vm, ...objects]) {
    const name = object === vm ? 'vm.yaml' : freeName(object, taken);
    taken.add(name);
    yield entryOf(`${RESOURCES}${name}`, await writeYaml(object));
  }
}

/** `pvc-root.yaml`, `secret-db-init.yaml`; of two the second with its namespace. */
function freeName({ kind, metadata: { name, namespace } }: KubeObject, taken: ReadonlySet<string>): string {
  const prefix = kind === 'PersistentVolumeClaim' ? 'pvc' : kind.toLowerCase();
  const plain = fileName(`${prefix}-${name}`);
  if (!taken.has(plain)) return plain;
  const full = [prefix, namespace ?? 'cluster', name].join('-');
  // The names of objects have dashes too, so that even this one may be another's.
  for (let count = 1; ; count += 1) {
    const candidate = fileName(count === 1 ? full : `${full}-${count}`);
    if (!taken.has(candidate)) return candidate;
  }
}

/** Cuts what is too long for a file system, and tells it from others by a hash. Names have nothing but ASCII. */
function fileName(stem: string): string {
  const suffix = '.yaml';
  if (stem.length + suffix.length <= MOST) return stem + suffix;
  const hash = `-${createHash('sha256').update(stem).digest('hex').slice(0, 12)}`;
  return stem.slice(0, MOST - hash.length - suffix.length) + hash + suffix;
}
