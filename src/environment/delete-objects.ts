import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { waitFor } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { waveOf } from '../resources/order.ts';
import { forEachOf } from '../streams.ts';
import type { UndoLog } from '../undo.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import type { PrunableObject } from './labelled.ts';
import type { RemovalTally } from './removal-tally.ts';

export interface DeleteOptions {
  readonly cluster: Cluster;
  /** Told of each object before it is deleted. */
  readonly undo?: UndoLog | undefined;
  /** Milliseconds, for the objects of one wave to be gone. */
  readonly timeout: number;
  /** Requests at once; default 8. */
  readonly concurrency?: number | undefined;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Deletes objects in the reverse of the order in which an import creates them, and waits for those of one wave to be gone
 * before the next. Each that fails is counted and named; the others go on.
 *
 * @throws ClusterError only for what concerns all: credentials, a server that stays away
 */
export async function deleteObjects(
  objects: readonly PrunableObject[],
  tally: RemovalTally,
  options: DeleteOptions,
): Promise<void> {
  const waves = [...Map.groupBy(objects, ({ kind }) => waveOf(kind, false))].sort(([a], [b]) => b - a);
  for (const [, wave] of waves) await deleteAtOnce(wave, tally, options);
}

/** Deletes objects side by side, and waits for them to be gone. */
export async function deleteAtOnce(
  objects: readonly PrunableObject[],
  tally: RemovalTally,
  options: DeleteOptions,
): Promise<void> {
  const { concurrency = 8 } = options;
  const ending = new Map<string, PrunableObject>();
  await forEachOf(objects, concurrency, async (object) => {
    try {
      if (await ask(object, options)) tally.deleted(object);
      else ending.set(object.uid, object);
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status === 0 || error.status === 401) throw error;
      tally.failed(object, error.message);
    }
  });
  await awaitEnd(ending, tally, options);
}

/** @returns whether it is gone; what finalizers hold is not yet */
async function ask(object: PrunableObject, { cluster, undo, signal }: DeleteOptions): Promise<boolean> {
  const { path, uid, kind } = object;
  if (undo !== undefined) {
    const live = await findObject(cluster, path, signal);
    if (live?.metadata.uid !== uid) return true;
    await undo.changing(path, live);
  }
  try {
    const answer = await cluster.json<unknown>({
      method: 'DELETE',
      path,
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid },
        propagationPolicy: runsPods(kind) ? 'Foreground' : 'Background',
      },
      signal,
    });
    // A Status says that it is done; the object itself, that it is on its way out.
    return !(isMap(answer) && isMap(answer.metadata) && answer.metadata.uid === uid);
  } catch (error) {
    if (error instanceof ClusterError && error.status === 404) return true;
    if (error instanceof ClusterError && error.status === 409) {
      if ((await findObject(cluster, path, signal))?.metadata.uid !== uid) return true;
    }
    throw error;
  }
}

/** What Pods use must not go before them: their workload is gone only when they are. */
function runsPods({ group, kind }: PrunableObject['kind']): boolean {
  return group === 'apps' || group === 'batch' || (group === '' && kind === 'ReplicationController');
}

async function awaitEnd(
  ending: Map<string, PrunableObject>,
  tally: RemovalTally,
  { cluster, timeout, concurrency = 8, reporter, clock = systemClock, signal }: DeleteOptions,
): Promise<void> {
  if (ending.size === 0) return;
  const last = new Map<string, KubeObject>();
  const look = async () => {
    await forEachOf([...ending], concurrency, async ([uid, object]) => {
      const live = await lookAt(cluster, object.path, signal);
      if (live?.metadata.uid === uid) {
        last.set(uid, live);
      } else {
        ending.delete(uid);
        tally.deleted(object);
      }
    });
    if (ending.size === 0) return { done: true, value: undefined } as const;
    reporter.progress(`Waiting for ${ending.size} deleted objects to be gone`);
    return { done: false, state: `${ending.size} left` } as const;
  };
  try {
    await waitFor(look, { timeout, describe: 'deleted objects to be gone', clock, signal });
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code !== 'TIMEOUT') throw error;
    for (const [uid, object] of ending) {
      tally.failed(
        object,
        `It is being deleted, and was still there after ${timeout / 1000} s${whatHolds(last.get(uid))}.`,
      );
    }
  }
}

/** What may be deleted and not read counts as gone. */
async function lookAt(cluster: Cluster, path: string, signal?: AbortSignal): Promise<KubeObject | undefined> {
  try {
    return await findObject(cluster, path, signal);
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return undefined;
    throw error;
  }
}

function whatHolds(live: KubeObject | undefined): string {
  const finalizers = live?.metadata.finalizers ?? [];
  // What a Namespace still holds: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/
  const conditions = live?.kind === 'Namespace' && isMap(live.status) ? mapsIn(live.status.conditions) : [];
  const remains = conditions
    .filter(({ type, status }) => status === 'True' && String(type).startsWith('Namespace'))
    .flatMap(({ message }) => stringsIn([message]));
  const holders = [...(finalizers.length === 0 ? [] : [`held by ${finalizers.join(', ')}`]), ...remains];
  return holders.length === 0 ? '' : `: ${holders.join('; ')}`;
}
