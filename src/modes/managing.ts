import { hostname } from 'node:os';
import type { Entry } from '../archive/entry.ts';
import type { Manager } from '../archive/snapshot.ts';
import type { Backend, LeaseStore } from '../backends/backend.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { readIdentity } from '../cluster/identity.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { ExportInputs } from '../inputs.ts';
import { managerOf } from '../manager/identity.ts';
import { acquireLease, type Lease } from '../manager/lease.ts';
import type { Outputs } from '../outputs.ts';
import { applyRetention, type RetentionOptions } from '../retention/apply.ts';
import type { RunContext } from './run.ts';

/** What an export does as the manager of its path; without one, nothing. */
export interface Managing {
  readonly manager: Manager | undefined;
  /** Its signal also fires when another manager has taken over. */
  readonly context: RunContext;
  /** The same entries; after the last one it is made sure that the path still is this manager's. */
  guard(entries: AsyncIterable<Entry>): AsyncIterable<Entry>;
}

type ManagingInputs = Pick<ExportInputs, 'manager' | 'take-over' | 'path'>;

/**
 * Does something while holding the lease of the path, where the inputs name a manager.
 *
 * @throws TransshipError `MANAGED` when another manager keeps the path up to date, or takes over meanwhile
 */
export async function whileManaging<T>(
  inputs: ManagingInputs,
  cluster: Cluster,
  backend: Backend,
  context: RunContext,
  work: (managing: Managing) => Promise<T>,
): Promise<T> {
  if (inputs.manager === undefined) return work({ manager: undefined, context, guard: (entries) => entries });
  if (backend.lease === undefined) {
    throw new TransshipError('INPUT', `manager: "${inputs.manager}" is not for backend ${backend.name}. Remove it.`);
  }
  const lease = await takeLease(backend.lease, cluster, { ...inputs, manager: inputs.manager }, context);
  try {
    return await work({
      manager: lease.manager,
      context: { ...context, signal: AbortSignal.any([context.signal, lease.lost]) },
      guard: async function* (entries) {
        yield* entries;
        await lease.check(context.signal);
      },
    });
  } finally {
    await lease.release();
  }
}

/** This process, as a lease names it. */
export function holderOf(env: RunContext['env']): { readonly host: string; readonly pid: number } {
  return { host: env.HOSTNAME || hostname(), pid: process.pid };
}

/**
 * Takes the lease of the path that the inputs name, as the manager that they name.
 *
 * @throws TransshipError as `acquireLease` does
 */
export async function takeLease(
  store: LeaseStore,
  cluster: Cluster,
  inputs: Pick<ManagingInputs, 'take-over' | 'path'> & { readonly manager: string },
  { reporter, signal, env }: Pick<RunContext, 'reporter' | 'signal' | 'env'>,
): Promise<Lease> {
  const { uid } = await readIdentity(cluster, signal);
  const manager = managerOf({ cluster: uid, name: inputs.manager, path: inputs.path });
  return acquireLease(store, manager, {
    takeOver: inputs['take-over'],
    holder: holderOf(env),
    ...{ reporter, signal },
  });
}

/**
 * Deletes what a retention does not keep, once a snapshot is stored. What goes wrong with that is told, and fails the run
 * after its outputs: the snapshot is stored.
 */
export async function retain(
  backend: Backend,
  of: RetentionOptions['of'],
  { retention, path }: Pick<ExportInputs, 'retention' | 'path'>,
  { reporter, signal }: RunContext,
): Promise<{ readonly outputs: Pick<Outputs, 'removed' | 'failures'>; readonly failed: boolean }> {
  if (retention === undefined) return { outputs: {}, failed: false };
  try {
    const { removed, failures } = await applyRetention(backend, retention, { dryRun: false, reporter, signal, of });
    if (failures.length === 0) return { outputs: { removed }, failed: false };
    return { outputs: { removed, failures }, failed: true };
  } catch (error) {
    if (!(error instanceof TransshipError)) throw error;
    const failure = { object: path, outcome: 'failed', message: messageOf(error) } as const;
    return { outputs: { removed: [], failures: [failure] }, failed: true };
  }
}
