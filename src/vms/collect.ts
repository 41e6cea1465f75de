import type { PartStore } from '../archive/part.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { cancelledBy } from '../errors.ts';
import type { VmResult } from '../report/results.ts';
import { mapAsDone } from '../streams.ts';
import type { VmTarget } from './choose-vms.ts';
import { inOrderOf, joinFailures, type VmFailure } from './collect-failures.ts';
import { type ExportedVm, type ExportVmOptions, exportVm, type OwnedByVm } from './export-vm.ts';
import { createVmHttp } from './http.ts';
import type { VmPart } from './part-list.ts';

/** How virtual machines are exported. */
export interface CollectVmsOptions extends ExportVmOptions {
  /** How many at once, at most; no more than two are. */
  readonly concurrency: number;
}

/** What an export of virtual machines came to, in the order of the targets. */
export interface CollectedVms {
  readonly parts: readonly VmPart[];
  readonly results: readonly VmResult[];
  /** The machines, DataVolumes and claims that travel: who exports all objects leaves them out. */
  readonly owned: readonly OwnedByVm[];
}

/** Two keep the cores of a runner busy, and each takes some 50 MB. */
const AT_ONCE = 2;
/** Bytes; four are read at once. */
const RANGE_BYTES = 4 * 1024 * 1024;
/** Bytes, where several disks are read at once. */
const SMALL_RANGE_BYTES = 1024 * 1024;
/** Milliseconds without a byte after which a request is ended, and made again. */
const IDLE_TIMEOUT = 60_000;

/**
 * What an interrupted export must have in common with this one for this to go on with it. Not whether the machines still are
 * the same: that is seen when each is exported, and told.
 *
 * @param clusterUid - of the cluster
 */
export function scopeOf(
  clusterUid: string | undefined,
  targets: readonly Pick<VmTarget, 'kind' | 'namespace' | 'name' | 'part'>[],
  { compression, encryptTo = [] }: Pick<ExportVmOptions, 'compression' | 'encryptTo'> & Partial<ExportVmOptions>,
): string {
  const chosen = targets.map(({ kind, namespace, name, part }) => [kind, namespace, name, part]);
  return JSON.stringify({
    cluster: clusterUid ?? '',
    targets: chosen.map((one) => one.join(' ')).sort(),
    compression,
    encryptTo: [...encryptTo].sort(),
  });
}

/**
 * Exports virtual machines, each into an archive of its own, side by side. One that fails does not stop the others, whose
 * archives stay for the next run.
 *
 * @param targets - looked at by `checkTargets` before
 * @throws TransshipError naming all that failed; `CANCELLED`
 */
export async function collectVms(
  cluster: Cluster,
  discovery: Discovery,
  targets: readonly VmTarget[],
  store: PartStore,
  options: CollectVmsOptions,
): Promise<CollectedVms> {
  const { concurrency, timeout, env, reporter, signal } = options;
  if (targets.length === 0) reporter.warn('There is no virtual machine to export.', 'Nothing to export');
  const atOnce = Math.max(1, Math.min(concurrency, AT_ONCE, targets.length));
  const rangeBytes = atOnce > 1 ? SMALL_RANGE_BYTES : RANGE_BYTES;
  const done = new Map<VmTarget, ExportedVm>();
  const failures: VmFailure[] = [];
  const http = await createVmHttp({
    idleTimeout: Math.min(IDLE_TIMEOUT, timeout),
    ...(env === undefined ? {} : { env }),
  });
  try {
    const context = { ...options, cluster, discovery, store, http, rangeBytes };
    const exported = mapAsDone(targets, atOnce, async (target) => {
      if (signal?.aborted) return;
      try {
        done.set(target, await exportVm(target, context));
      } catch (error) {
        failures.push({ sources: [target], error });
        if (!signal?.aborted && targets.length > 1) reporter.debug(`${target.part} failed: ${String(error)}`);
      }
    });
    for await (const _ of exported);
  } finally {
    await http.close();
  }
  if (signal?.aborted) throw cancelledBy(signal, 'exporting virtual machines');
  const more = done.size === 0 ? undefined : 'What is stored of the others stays for the next run.';
  failures.sort(inOrderOf(targets));
  if (failures.length > 0) throw joinFailures(failures, targets.length, 'could not be exported', more);
  const all = targets.flatMap((target) => done.get(target) ?? []);
  return {
    parts: all.map(({ part }) => part),
    results: all.map(({ result }) => result),
    owned: all.flatMap(({ owned }) => owned),
  };
}
