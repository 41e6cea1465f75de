import pLimit from 'p-limit';
import { type Clock, systemClock } from '../cluster/clock.ts';
import { findObject } from '../cluster/find.ts';
import { readIdentity } from '../cluster/identity.ts';
import { waitFor } from '../cluster/wait.ts';
import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { VmResult } from '../report/results.ts';
import { type CloneWriter, createCloneWriter, type MadeObject } from './clone-objects.ts';
import {
  type CloneOptions,
  type CloneWork,
  type PlannedClone,
  planClone,
  targetName,
  volumesOf,
} from './clone-prepare.ts';
import { exactSizes } from './clone-sizes.ts';
import { type CloneSide, type OpenSource, openSource } from './clone-source.ts';
import { cloneAtTarget, LinksMoved } from './clone-target.ts';
import type { VmDescription } from './description.ts';
import { createVmHttp, type VmHttp } from './http.ts';
import { needVmKind } from './kinds.ts';
import type { VmImportPlan } from './plan-vm-import.ts';
import { pathIn } from './temporary-objects.ts';

export { type CloneOptions, type CloneWork, type PlannedClone, prepareClone } from './clone-prepare.ts';
export type { CloneSide } from './clone-source.ts';

/** What may be known only when the work begins; else as in the options of the preparation. */
export type CloneTold = Partial<Pick<CloneOptions, 'undo' | 'reporter' | 'signal'>>;

/** What all clones of a run share. */
interface Context extends CloneWork {
  readonly links: 'internal' | 'external';
  readonly http: VmHttp;
  readonly clock: Clock;
  readonly writer: CloneWriter;
  /** What machines need beside their disks, as it was made for any of them. */
  readonly objects: MadeObject[];
  /** Those of `objects` that a clone needs that is whole. */
  readonly kept: Set<MadeObject>;
  /** One plans and creates at a time: two may need the same Secret. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

/** How often a clone begins anew when the source's links change. */
const STARTS = 3;

/**
 * Copies machines from cluster to cluster: the source serves their disks, CDI at the target reads them, and nothing of them
 * passes through here. A machine that fails leaves nothing at the target, or its message names what.
 *
 * @returns one for each target, in their order; `failed` ones say why
 * @throws TransshipError `CANCELLED` when all is cleaned up; `IMPORT_FAILED` when there are problems
 */
export async function cloneVms(work: CloneWork, told: CloneTold = {}): Promise<VmResult[]> {
  const { source, target, clones, problems } = work;
  const options = { ...work.options, ...told };
  const { run, environment, undo, signal, env, timeout, concurrency, reporter } = options;
  if (problems.length > 0) throw new TransshipError('IMPORT_FAILED', problems.join(' '));
  if (clones.length === 0) return [];
  const links = options.links === 'auto' && (await isSameCluster(source, target, signal)) ? 'internal' : 'external';
  const inTurn = pLimit(1);
  const context: Context = {
    ...work,
    options,
    links,
    http: await createVmHttp({ idleTimeout: timeout, env }),
    clock: options.clock ?? systemClock,
    writer: createCloneWriter(target.cluster, target.discovery, { run, environment, undo }),
    objects: [],
    kept: new Set(),
    inTurn: (one) => inTurn(one),
  };
  const limit = pLimit(Math.max(1, concurrency));
  try {
    // All come to their end, and clean up, before anything is thrown.
    const ended = await Promise.allSettled(clones.map((one) => limit(() => tryOne(one, context))));
    if (signal.aborted) throw cancelledBy(signal, 'cloning virtual machines');
    return ended.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  } finally {
    await context.http.close();
    const left = await context.writer.remove(context.objects.filter((object) => !context.kept.has(object)));
    for (const one of left) reporter.warn(`Could not delete ${one}.`, 'Left behind');
  }
}

async function tryOne(clone: PlannedClone, context: Context): Promise<VmResult> {
  const { signal, reporter } = context.options;
  const { source, what, name, namespace } = clone;
  try {
    if (signal.aborted) throw cancelledBy(signal);
    return await cloneOne(clone, context);
  } catch (error) {
    if (!(error instanceof TransshipError)) throw error;
    const message = [error.message, error.hint].filter(Boolean).join(' ');
    if (!signal.aborted) reporter.error(`The ${what} is not cloned. ${message}`, 'Clone failed');
    return { kind: source.kind, name, namespace, outcome: 'failed', volumes: [], message };
  }
}

async function cloneOne(clone: PlannedClone, context: Context): Promise<VmResult> {
  const { options, links, clock } = context;
  const { source, what } = clone;
  const opened = await openSource(context.source, source, { ...options, links, clock });
  let result: VmResult | undefined;
  try {
    for (let start = 1; ; start += 1) {
      try {
        result = await cloneOpened(clone, opened, context);
        break;
      } catch (error) {
        if (!(error instanceof LinksMoved)) throw error;
        if (start === STARTS) throw new TransshipError('CLUSTER', error.message, { hint: 'Run again.', cause: error });
        options.reporter.info(`${error.message} The ${what} is cloned anew.`);
      }
    }
  } finally {
    const problems = await opened.close();
    const text = `The ${what} could not be put back as it was: ${problems.join(' ')}`;
    if (problems.length > 0) options.reporter.error(text, 'Left behind');
    if (problems.length > 0 && result !== undefined) {
      result = { ...result, outcome: 'failed', message: `Its clone is whole. ${text}` };
    }
  }
  return result;
}

async function cloneOpened(
  { source, what, namespace }: PlannedClone,
  opened: OpenSource,
  context: Context,
): Promise<VmResult> {
  const { options, target, clock, writer, objects, kept, inTurn } = context;
  const { reporter } = options;
  const name = targetName(source, opened.description, options);
  const sizes = await exactSizes(context.source, opened.description, opened.exports, { ...options, ...context });
  const [plan, copy] = await inTurn(async () => {
    const plan = await planClone(target, opened.description, sizes, namespace, options);
    if (plan.problems.length > 0) throw new TransshipError('IMPORT_FAILED', plan.problems.join(' '));
    const made = cloneAtTarget(target, plan, opened, writer, objects, { ...options, namespace, name, what, clock });
    await made.create().catch(async (error) => {
      await made.closeAccess();
      throw withLeft(error, await made.takeBack());
    });
    return [plan, made] as const;
  });
  const keeping: MadeObject[] = [];
  try {
    await copy.fill();
    for (const { vmExport } of opened.exports) await vmExport.check();
    // The source is not needed any more; what can't be put back is told when all is done.
    await opened.close();
    for (const object of objects) {
      if (kept.has(object) || !isNeeded(object, plan, opened.description, namespace)) continue;
      await writer.settle(object);
      keeping.push(object);
      kept.add(object);
    }
    await copy.closeAccess();
    await copy.finish();
  } catch (error) {
    for (const object of keeping) kept.delete(object);
    await copy.closeAccess();
    const left = await copy.takeBack();
    if (error instanceof LinksMoved) await untilGone(target, namespace, plan, options, clock);
    throw withLeft(error, left);
  }
  reporter.info(`The ${what} is cloned as ${namespace}/${name}.`);
  return { kind: source.kind, name, namespace, outcome: 'created', volumes: volumesOf(plan) };
}

async function isSameCluster(source: CloneSide, target: CloneSide, signal: AbortSignal): Promise<boolean> {
  const [one, other] = await Promise.all([source, target].map(({ cluster }) => readIdentity(cluster, signal)));
  return one?.uid !== undefined && one.uid === other?.uid;
}

function isNeeded(made: MadeObject, plan: VmImportPlan, { objects }: VmDescription, namespace: string): boolean {
  return [...plan.objects, ...objects].some(
    ({ kind, metadata }) =>
      kind === made.kind &&
      metadata.name === made.name &&
      (made.namespace === undefined || made.namespace === namespace),
  );
}

function withLeft(error: unknown, left: readonly string[]): unknown {
  if (left.length === 0 || error instanceof LinksMoved) return error;
  const hint = error instanceof TransshipError ? error.hint : undefined;
  const code = error instanceof TransshipError ? error.code : 'IMPORT_FAILED';
  return new TransshipError(code, `${messageOf(error)} This is left at the target: ${left.join(', ')}.`, {
    hint,
    cause: error,
  });
}

/** Its name is to be free for the next try. */
async function untilGone(
  { cluster, discovery }: CloneSide,
  namespace: string,
  { vm, dataVolumes }: VmImportPlan,
  { timeout, signal }: CloneOptions,
  clock: Clock,
): Promise<void> {
  const kind = needVmKind(discovery, vm === undefined ? 'DataVolume' : 'VirtualMachine', cluster.context);
  const name = vm?.metadata.name ?? dataVolumes[0]?.name ?? '';
  const paths = [pathIn(kind, namespace, name)];
  if (vm === undefined) paths.push(`/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`);
  await waitFor(
    async () => {
      const found = await Promise.all(paths.map((path) => findObject(cluster, path, signal)));
      const isGone = found.every((object) => object === undefined);
      return isGone ? { done: true, value: undefined } : { done: false, state: 'it is being deleted' };
    },
    { timeout, describe: `${namespace}/${name} to be gone`, signal, clock },
  );
}
