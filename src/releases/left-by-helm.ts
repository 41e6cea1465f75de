import { deleteObject } from '../cluster/apply.ts';
import { discover } from '../cluster/discovery.ts';
import { waitFor } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { frozenMark } from './frozen-mark.ts';
import { gaveUpEarly } from './helm.ts';
import type { HelmHook, HelmRelease } from './helm-release.ts';
import { awaitHook, describeHook, type HookWait, hookObjects, isManifestBegun } from './hook-objects.ts';
import {
  findFrozenHook,
  type HookRun,
  type KnownRun,
  lastRunOf,
  type Operation,
  readProgress,
  withoutRuns,
} from './hook-runs.ts';
import type { HelmContext } from './install-release.ts';
import { type RecordPlace, readRecordAt, replaceRecord } from './put-records.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';
import { withStatus } from './record-edits.ts';
import type { TargetRevision } from './target-releases.ts';

/** What an import that was cut short has left of Helm's work on a frozen chart. */
export interface LeftByHelm {
  /** Helm got to its end, hooks and all: only records are not in place. */
  readonly isDone: boolean;
  /** The hooks that are to run; undefined for all of the record's. */
  readonly hooks?: readonly HelmHook[] | undefined;
  /** Those that ran to their good end and do not run again, with when they did. */
  readonly ran: readonly HelmHook[];
}

export interface SettleContext extends HelmContext, HookWait {}

/** Milliseconds in which a Helm that is alive has noticed that its hook has ended, and said so in its record. */
const HELM_NOTICES = 3_000;

/** Says in a record which operation was under way, once its status no longer does. */
const CUT_SHORT = 'The import was cut short while Helm was at work';

/**
 * Finds out how far the Helm of an import that was cut short got, and ends what it has left pending, which would keep
 * every other one out. A hook that still runs is waited for: it must not run twice.
 *
 * @param last - the newest record of a frozen chart; it may have changed since it was listed
 * @param original - what the frozen chart was made of, with its `mark`
 * @param operation - what Helm is to do next; hooks of another one don't count
 * @throws TransshipError `TIMEOUT` naming a hook that does not end
 */
export async function settleHelm(
  context: SettleContext,
  place: RecordPlace,
  last: TargetRevision | undefined,
  {
    original,
    mark,
    operation,
  }: { readonly original: ReleaseRecord; readonly mark: string; readonly operation: Operation },
): Promise<LeftByHelm> {
  const { cluster, signal } = context;
  if (last === undefined) return NOTHING;
  if (last.status === 'deployed') return last.frozen === mark ? DONE : NOTHING;
  for (;;) {
    const written = await readRecordAt(cluster, place, last.revision, signal);
    if (written === undefined) return NOTHING;
    const release = parseRelease(written);
    const isOurs = frozenMark(release) === mark;
    // That Helm may have gone on after the import was killed.
    if (isOurs && written.status === 'deployed') return DONE;
    const counts = isOurs && !context.noHooks && interruptedOperation(written, release) === operation;
    const found = counts
      ? await settleHooks(context, parseRelease(original), frozenHooks(release), operation)
      : undefined;
    if (found?.hasWaited === true && (await hasChanged(context, place, written))) continue;
    if (written.status.startsWith('pending-')) {
      const description = `${CUT_SHORT} (${written.status.slice('pending-'.length)})`;
      await replaceRecord(cluster, withStatus(written, 'failed', description), signal);
    }
    return found ?? NOTHING;
  }
}

const DONE: LeftByHelm = { isDone: true, ran: [] };
const NOTHING: LeftByHelm = { isDone: false, ran: [] };

/** What Helm was at when it was killed, ended by a signal, or gave up early; undefined where it came to an end of its own. */
export function interruptedOperation({ status }: ReleaseRecord, { info }: HelmRelease): Operation | undefined {
  if (status === 'pending-install') return 'install';
  if (status === 'pending-upgrade') return 'upgrade';
  if (status !== 'failed') return undefined;
  const description = info.description ?? '';
  if (description.startsWith(CUT_SHORT)) return description.endsWith('(upgrade)') ? 'upgrade' : 'install';
  // https://github.com/helm/helm/blob/v4.3.1/pkg/action/install.go (failRelease), and upgrade.go
  if (!description.endsWith('context canceled') && !gaveUpEarly(description)) return undefined;
  return description.startsWith('Upgrade "') ? 'upgrade' : 'install';
}

/** The hooks of a frozen chart's record. One that Helm gave up early is no failed one: it has begun, and may end well. */
export function frozenHooks({ hooks, info }: HelmRelease): readonly HelmHook[] {
  const all = hooks ?? [];
  if (!gaveUpEarly(info.description ?? '')) return all;
  return all.map((hook) =>
    lastRunOf(hook).phase === 'Failed' && isMap(hook.last_run)
      ? { ...hook, last_run: { ...hook.last_run, phase: 'Unknown' } }
      : hook,
  );
}

/** What {@link frozenHooks} tell of the runs of their original's hooks; those left out of them had run before. */
export function progressOf(frozen: readonly HelmHook[], operation: Operation): (run: HookRun) => KnownRun {
  const known = readProgress(frozen, operation);
  return ({ hook, event }) => {
    const there = findFrozenHook(hook, frozen);
    const run = known.find((one) => one.hook === there && one.event === event);
    return run ?? { hook, event, progress: 'succeeded', started: undefined };
  };
}

async function settleHooks(
  context: SettleContext,
  original: HelmRelease,
  frozen: readonly HelmHook[],
  operation: Operation,
): Promise<LeftByHelm & { readonly hasWaited: boolean }> {
  const { cluster, reporter, signal } = context;
  const hooks = original.hooks ?? [];
  const progress = progressOf(frozen, operation);
  const title = `${original.namespace}/${original.name}`;
  const ended = new Map<string, boolean>();
  let hasWaited = false;
  const begun = readProgress(frozen, operation).filter((run) => run.progress === 'begun');
  for (const run of begun) {
    const discovery = await discover(cluster, signal);
    const what = `hook ${describeHook(run, original.namespace ?? '')} of ${title}`;
    const objects = hookObjects(run.hook, original.namespace ?? '', discovery);
    const state = await awaitHook(context, objects, `${what}, which an import that was cut short began`);
    hasWaited ||= state.hasWaited;
    const isOver =
      state.end === 'succeeded' ||
      // Gone, as Helm deletes it once all before the manifest are done: then the manifest follows.
      (state.end === 'gone' &&
        run.event.startsWith('pre-') &&
        (await isManifestBegun(context, discovery, original, run)));
    if (!isOver) reporter.debug(`The ${what} ${state.end === 'failed' ? 'failed' : 'is gone'}: it runs again.`);
    ended.set(keyOf(run), isOver);
  }
  const isDone = (run: HookRun): boolean => {
    const known = progress(run);
    return known.progress === 'succeeded' || (known.progress === 'begun' && ended.get(keyOf(known)) === true);
  };
  const left = withoutRuns(hooks, operation, isDone);
  const out = hooks.filter(
    (hook) => !left.some(({ kind, name, path }) => kind === hook.kind && name === hook.name && path === hook.path),
  );
  for (const hook of out)
    reporter.debug(`Hook ${hook.kind} ${hook.name} of ${title} has run already: it does not run again.`);
  const ran = out.map((hook) => ({
    ...hook,
    last_run: findFrozenHook(hook, frozen)?.last_run ?? hook.last_run,
  }));
  return { isDone: false, hooks: left, ran, hasWaited };
}

function keyOf({ hook, event }: HookRun): string {
  return `${event} ${hook.kind} ${hook.name}`;
}

/** Whether a Helm that has outlived the import which started it goes on, now that its hook has ended. */
async function hasChanged({ cluster, signal, clock }: SettleContext, place: RecordPlace, written: ReleaseRecord) {
  const look = async () => {
    const now = await readRecordAt(cluster, place, written.revision, signal);
    return now?.json === written.json
      ? ({ done: false, state: 'as it was' } as const)
      : ({ done: true, value: true } as const);
  };
  const describe = `the record of ${place.namespace}/${place.name} to change`;
  try {
    return await waitFor(look, { timeout: HELM_NOTICES, describe, signal, clock });
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'TIMEOUT') return false;
    throw error;
  }
}

/**
 * Deletes what Helm would have deleted of hooks that are left out of the chart: those of the policy `hook-succeeded`. They
 * would be in the way of the next upgrade.
 */
export async function deleteSucceeded({ cluster, signal }: HelmContext, namespace: string, ran: readonly HelmHook[]) {
  const over = ran.filter(
    ({ kind, delete_policies: policies }) =>
      kind !== 'CustomResourceDefinition' && policies?.includes('hook-succeeded') === true,
  );
  if (over.length === 0) return;
  const discovery = await discover(cluster, signal);
  for (const hook of over) {
    for (const { object } of hookObjects(hook, namespace, discovery)) {
      await deleteObject(cluster, discovery, object, { propagation: 'Background', signal });
    }
  }
}
