import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { type Reporter, silentReporter } from '../report/reporter.ts';
import { findVmKind } from './kinds.ts';
import type { VmName } from './snapshot-object.ts';
import { startVm } from './stop-vm.ts';
import { pathIn, RUN_LABEL } from './temporary-objects.ts';

export interface CleanUpOptions {
  /** Where to look; default: everywhere, which needs rights in all namespaces. */
  readonly namespaces?: readonly string[] | undefined;
  readonly reporter?: Reporter | undefined;
}

/**
 * Takes away what the exports of a run have left, as they do when they are killed: export objects and their tokens, snapshots;
 * and starts the VMs again that were stopped for them.
 *
 * @param run - what the exports were labelled with
 * @returns what was found and done away with, by path; a VM that was put back is among them
 * @throws TransshipError `CLUSTER` naming all that is left, once all that is possible is done
 */
export async function cleanUpExports(
  cluster: Cluster,
  discovery: Discovery,
  run: string,
  { namespaces, reporter = silentReporter }: CleanUpOptions = {},
): Promise<string[]> {
  const done: string[] = [];
  const problems: string[] = [];

  const forEachFound = async (kind: ResourceKind | undefined, work: (path: string, found: VmName) => Promise<void>) => {
    if (kind === undefined) return;
    for (const namespace of namespaces ?? [undefined]) {
      try {
        const options = { labelSelector: `${RUN_LABEL}=${run}`, metadataOnly: true };
        for await (const { metadata } of cluster.list(collectionPath(kind, namespace), options)) {
          const { name, namespace: of = namespace ?? '' } = metadata;
          const path = pathIn(kind, of, name);
          try {
            await work(path, { namespace: of, name });
            done.push(path);
          } catch (error) {
            if (error instanceof ClusterError && error.status === 404) continue;
            problems.push(`${path}: ${messageOf(error)}`);
          }
        }
      } catch (error) {
        // A token goes with the export it belongs to, also where Secrets may not be listed.
        if (kind.kind === 'Secret' && error instanceof ClusterError && error.status === 403) continue;
        problems.push(`${kind.plural}: ${messageOf(error)}`);
      }
    }
  };
  const remove = async (path: string) => {
    await cluster.json({ method: 'DELETE', path, body: { apiVersion: 'v1', kind: 'DeleteOptions' } });
  };

  // A snapshot is only used by its export, and a VM can't start while its export holds the claims.
  await forEachFound(findVmKind(discovery, 'VirtualMachineExport'), remove);
  await forEachFound(discovery.findKind('v1', 'Secret'), remove);
  await forEachFound(findVmKind(discovery, 'VirtualMachineSnapshot'), remove);
  await forEachFound(findVmKind(discovery, 'VirtualMachine'), (_path, vm) =>
    startVm(cluster, discovery, vm, { reporter }),
  );
  if (problems.length > 0) {
    throw new TransshipError('CLUSTER', `Some of what the export made is still there. ${problems.join(' ')}`, {
      hint: `\`kubectl get vmexport,vmsnapshot,vm -A -l ${RUN_LABEL}=${run}\` shows what. Exports go by themselves at the end of their TTL.`,
    });
  }
  return done;
}
