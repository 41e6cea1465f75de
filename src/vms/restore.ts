import pLimit from 'p-limit';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { type Environment, withEnvironment } from '../environment/environment.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmResult } from '../report/results.ts';
import type { UndoLog } from '../undo.ts';
import { createVmHttp } from './http.ts';
import { createDigesters } from './prepare-digests.ts';
import { nameVm, type PreparedVm, type VmWork } from './prepare-vms.ts';
import { type BegunMachine, beginMachine, type MachineContext } from './restore-machine.ts';
import { createNeededObjects } from './restore-objects.ts';
import { createOnce } from './restore-write.ts';

export interface RestoreVmsOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly environment?: Environment | undefined;
  /** Is told of all that is created; then it is this that takes a failed machine away, unless the run is cancelled. */
  readonly undo?: UndoLog | undefined;
  /** Milliseconds without progress: of a volume that is made, of an upload, of a deletion. */
  readonly timeout: number;
  /** How often an upload is sent again; default 5. */
  readonly retries?: number | undefined;
  /** Uploads at once, of all machines. */
  readonly concurrency: number;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

const RETRIES = 5;
/** Milliseconds. */
const LEAST_IDLE = 60_000;

/**
 * Imports virtual machines from their archives. Each is made whole or, when it fails or the run is cancelled, taken away
 * again; the others go on. None runs before all its disks are in place and verified.
 *
 * @param work - that has no problems: see `refuseProblems`
 * @returns a result for each machine, in their order
 */
export async function restoreVms(work: VmWork, options: RestoreVmsOptions): Promise<VmResult[]> {
  const { cluster, discovery, timeout, retries = RETRIES, concurrency, reporter, signal, clock } = options;
  const { machines, way, env } = work;
  if (way === undefined || machines.length === 0) return [];
  const http = await createVmHttp({ idleTimeout: Math.max(timeout, LEAST_IDLE), ...(env !== undefined && { env }) });
  const digesters = createDigesters();
  const context = {
    ...{ cluster, discovery, http, digesters, timeout, retries, reporter, clock },
    ...{ environment: options.environment, undo: options.undo },
    proxy: way.proxy,
    slot: pLimit(Math.max(1, concurrency)),
    objects: createNeededObjects(cluster, discovery, options),
  };
  // As one uploads, CDI prepares the volumes of another.
  const inWork = pLimit(Math.max(1, concurrency) * 2);
  try {
    await makeNamespaces(work, options);
    return await Promise.all(
      machines.map((machine) =>
        inWork(async () => {
          if (signal?.aborted)
            return { ...resultOf(machine), outcome: 'skipped' as const, message: 'The run was cancelled before it.' };
          return restoreOne(machine, context, options);
        }),
      ),
    );
  } finally {
    await digesters.close();
    await http.close();
  }
}

async function makeNamespaces(
  { namespaces }: VmWork,
  { cluster, environment, undo, clock }: RestoreVmsOptions,
): Promise<void> {
  for (const name of namespaces) {
    const namespace = withEnvironment({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, environment?.name);
    const { live, isNew } = await createOnce(cluster, '/api/v1/namespaces', namespace, { clock });
    if (isNew) await undo?.created(`/api/v1/namespaces/${name}`, live);
  }
}

async function restoreOne(
  machine: PreparedVm,
  context: Omit<MachineContext, 'signal'>,
  { undo, signal, reporter }: RestoreVmsOptions,
): Promise<VmResult> {
  // When one volume fails, the others of its machine need not be sent.
  const failed = new AbortController();
  const own = { ...context, signal: signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]) };
  const name = nameVm(machine);
  let begun: Pick<BegunMachine, 'remove'> | undefined;
  try {
    const made = await beginMachine(machine, own, (started) => {
      begun = started;
    });
    await made.finish(failed);
    reporter.info(`${name} is imported.`);
    return { ...resultOf(machine), outcome: 'created' };
  } catch (error) {
    // Atomic imports take everything back at once; but not those that are cancelled.
    const left = undo !== undefined && signal?.aborted !== true ? [] : ((await begun?.remove()) ?? []);
    if (!(error instanceof TransshipError)) throw error;
    const told = [messageOf(error), error.hint, ...(left.length > 0 ? [`Still there: ${left.join('; ')}.`] : [])];
    const message = told.filter((part) => part !== undefined).join(' ');
    reporter.error(`${name}: ${message}`, 'Virtual machine not imported');
    return { ...resultOf(machine), outcome: 'failed', message };
  }
}

function resultOf({ kind, name, namespace, volumes, size }: PreparedVm): Omit<VmResult, 'outcome'> {
  return { kind, name, namespace, volumes, size };
}
