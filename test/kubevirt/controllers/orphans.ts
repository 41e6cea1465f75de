import type { Context } from '../context.ts';
import { namespaceOf, PATHS, pathIn } from '../objects.ts';

/**
 * Deletes what belongs to an object that is gone. The controller manager does so too, but it looks for kinds that are
 * new to it only every 30 s.
 */
export async function deleteOrphans(context: Context): Promise<void> {
  const stores = context.stores();
  const owners: Readonly<Record<string, string>> = {
    VirtualMachine: PATHS.machines,
    VirtualMachineInstance: PATHS.instances,
    VirtualMachineExport: context.exportsPath,
    DataVolume: PATHS.dataVolumes,
    PersistentVolumeClaim: PATHS.claims,
  };
  for (const path of [PATHS.pods, PATHS.services, PATHS.claims, PATHS.dataVolumes, PATHS.instances]) {
    for (const object of stores.all(path)) {
      const { metadata } = object;
      const owner = metadata.ownerReferences?.find(({ controller }) => controller);
      const collection = owners[owner?.kind ?? ''];
      if (owner === undefined || collection === undefined || metadata.deletionTimestamp !== undefined) continue;
      const namespace = namespaceOf(object);
      if (stores.find(collection, namespace, owner.name)?.metadata.uid === owner.uid) continue;
      await context.kube.delete(pathIn(path, namespace, metadata.name));
    }
  }
}
