import { TransshipError } from '../errors.ts';
import type { PlannedRelease, PlanProblem, ReleaseState } from '../plan/plan.ts';
import { type Explain, problemOf } from './explain.ts';
import { freezeChart } from './frozen-chart.ts';
import { frozenMark, installMark, isUnfinished, upgradeMark } from './frozen-mark.ts';
import type { HelmHook, HelmRelease } from './helm-release.ts';
import { highest } from './history.ts';
import { describeHook, objectsIn } from './hook-objects.ts';
import { type HookRun, type Operation, orderRuns, withoutRuns } from './hook-runs.ts';
import type { Way } from './install-release.ts';
import { frozenHooks, interruptedOperation, progressOf } from './left-by-helm.ts';
import { noteCreated, type ObjectContext, planObjects } from './plan-objects.ts';
import type { PreparedRelease } from './prepare.ts';
import { readRecordAt } from './put-records.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';
import type { RestoreOptions } from './restore.ts';
import { HISTORY_ONLY } from './restore-history.ts';
import { NOTHING_RUNS, newestFrozen, operationOf, wayToInstall, wayToReplace } from './restore-release.ts';
import type { TargetRelease, TargetRevision } from './target-releases.ts';
import type { Unchanged } from './unchanged.ts';

/** What planning one release takes. */
export interface ReleaseContext {
  readonly options: RestoreOptions;
  readonly explain: Explain;
  readonly objects: ObjectContext;
  /** Where what would stop its import goes. */
  readonly problems: PlanProblem[];
}

type Bare = Omit<PlannedRelease, 'change'>;

/** Plans one release: the same decisions as of an import, and none of its deeds. */
export async function planRelease(
  context: ReleaseContext,
  release: PreparedRelease,
  target: TargetRelease | undefined,
  unchanged: Unchanged | undefined,
): Promise<PlannedRelease> {
  const { namespace, name, bundle, row, load } = release;
  const isTaken = target !== undefined && !isUnfinished(target.revisions);
  const newest = isTaken ? highest(target.revisions) : undefined;
  const there = newest && target && (await readHere(context, target, newest));
  const before = newest && stateOf(newest, there);
  const bare: Bare = { name, namespace, before, revisions: row.revisions, values: '', objects: [], hooks: [] };
  if (unchanged !== undefined) return { ...bare, after: before, change: 'unchanged' };
  if (isTaken && !context.options.replace) {
    return { ...bare, after: rowState(release), change: 'keep', message: 'It exists and differs; replace is not set.' };
  }
  if (isTaken && bundle.running === undefined) return { ...bare, after: before, change: 'keep', message: NOTHING_RUNS };
  context.explain.preflight.noteRelease(namespace, (isTaken ? target : bundle).driver, !isTaken);
  if (bundle.running === undefined) {
    return { ...bare, after: rowState(release), change: 'create', message: HISTORY_ONLY };
  }
  const record = await load(bundle.running);
  return isTaken
    ? planUpgrade(context, release, record, target, bare, there)
    : planInstall(context, release, record, target, bare);
}

async function planInstall(
  context: ReleaseContext,
  release: PreparedRelease,
  record: ReleaseRecord,
  leftBehind: TargetRelease | undefined,
  bare: Bare,
): Promise<PlannedRelease> {
  const revisions = leftBehind?.revisions ?? [];
  const message = leftBehind === undefined ? undefined : 'It goes on where an import was cut short.';
  const left = { target: leftBehind, last: newestFrozen(revisions), mark: installMark(record) };
  const work = await planWork(context, record, wayToInstall(revisions), left, undefined);
  return { ...bare, ...work, after: rowState(release), change: 'create', message };
}

async function planUpgrade(
  context: ReleaseContext,
  release: PreparedRelease,
  record: ReleaseRecord,
  target: TargetRelease,
  bare: Bare,
  newestThere: HelmRelease | undefined,
): Promise<PlannedRelease> {
  const newest = highest(target.revisions);
  const way = wayToReplace(newest);
  // What Helm compares with: https://github.com/helm/helm/blob/v4.3.1/pkg/action/upgrade.go (prepareUpgrade)
  const deployed = highest(target.revisions.filter(({ status }) => status === 'deployed'));
  const current =
    deployed === undefined || deployed === newest ? newestThere : await readHere(context, target, deployed);
  const left = { target, last: newest?.frozen === undefined ? undefined : newest, mark: upgradeMark(record) };
  const work = await planWork(context, record, way, left, way === 'upgrade' ? current : undefined);
  const values = context.explain.differ.values(current?.config ?? {}, parseRelease(record).config ?? {});
  const after = { ...rowState(release), revision: (newest?.revision ?? 0) + 1, status: 'deployed' };
  return { ...bare, ...work, values, after, revisions: 1, change: 'update' };
}

interface Left {
  readonly target: TargetRelease | undefined;
  readonly last: TargetRevision | undefined;
  readonly mark: string;
}

/** What Helm will do: to objects, and with hooks. */
async function planWork(
  context: ReleaseContext,
  record: ReleaseRecord,
  way: Way,
  left: Left,
  current: HelmRelease | undefined,
): Promise<Pick<PlannedRelease, 'objects' | 'hooks'>> {
  const { options, problems } = context;
  const release = parseRelease(record);
  const title = `${record.namespace}/${record.release}`;
  const named = { ...release, namespace: record.namespace };
  try {
    freezeChart(release, options.helm.major);
  } catch (error) {
    const problem = error instanceof TransshipError ? problemOf(error) : undefined;
    if (problem === undefined) throw error;
    problems.push(problem);
  }
  const { objects, refused } = await planObjects(
    context.objects,
    named,
    current && { ...current, namespace: record.namespace },
  );
  if (refused.length > 0) {
    problems.push({
      kind: 'other',
      message: `Helm refuses to take over what exists at the target for release ${title}:\n${refused.join('\n')}`,
      hint: `Delete these objects, or give each the label app.kubernetes.io/managed-by=Helm and the annotations meta.helm.sh/release-name=${record.release} and meta.helm.sh/release-namespace=${record.namespace}.`,
    });
  }
  const operation = operationOf(way);
  const hooks = options.noHooks ? [] : await hooksToRun(context, named.hooks ?? [], operation, left);
  for (const { hook } of hooks) noteHook(context, hook, named);
  return { objects, hooks: hooks.map((run) => describeHook(run, namespaceOf(context, run, record))) };
}

/** Those of an import that was cut short, which have run, do not run again. */
async function hooksToRun(
  context: ReleaseContext,
  hooks: readonly HelmHook[],
  operation: Operation,
  { target, last, mark }: Left,
): Promise<HookRun[]> {
  if (target === undefined || last === undefined || last.frozen !== mark) return orderRuns(hooks, operation);
  if (last.status === 'deployed') return [];
  const { cluster, signal } = context.options;
  const written = await readRecordAt(cluster, target, last.revision, signal);
  const frozen = written && parseRelease(written);
  const counts = frozen && frozenMark(frozen) === mark && interruptedOperation(written, frozen) === operation;
  if (!counts) return orderRuns(hooks, operation);
  const progress = progressOf(frozenHooks(frozen), operation);
  return orderRuns(
    withoutRuns(hooks, operation, (run) => progress(run).progress === 'succeeded'),
    operation,
  );
}

function noteHook({ objects, explain }: ReleaseContext, hook: HelmHook, release: HelmRelease): void {
  const { namespace = '', name } = release;
  const policies = hook.delete_policies?.length ? hook.delete_policies : ['before-hook-creation'];
  const isDeleted = hook.kind !== 'CustomResourceDefinition' && policies.some((policy) => policy !== 'hook-failed');
  const findKind = (apiVersion: string, kind: string) => objects.kinds.find(apiVersion, kind)?.kind;
  for (const object of objectsIn(hook.manifest, namespace, { findKind })) {
    const found = objects.kinds.find(object.apiVersion, object.kind);
    if (found === undefined) objects.kinds.miss(object.apiVersion, object.kind, `${namespace}/${name}`);
    if (found?.kind === undefined) continue;
    noteCreated(objects, release, object, found.kind);
    if (isDeleted) explain.preflight.note(object, found.kind, 'delete');
  }
}

function namespaceOf({ objects }: ReleaseContext, { hook }: HookRun, { namespace }: ReleaseRecord): string {
  const findKind = (apiVersion: string, kind: string) => objects.kinds.find(apiVersion, kind)?.kind;
  const [object] = objectsIn(hook.manifest, namespace, { findKind });
  return object === undefined ? namespace : (object.metadata.namespace ?? '');
}

/** Reads a release as the target has it; one that can't be read is a problem that Helm would meet, too. */
async function readHere(
  { options: { cluster, signal }, problems }: ReleaseContext,
  target: TargetRelease,
  { revision }: TargetRevision,
): Promise<HelmRelease | undefined> {
  try {
    const record = await readRecordAt(cluster, target, revision, signal);
    return record && parseRelease(record);
  } catch (error) {
    const problem = error instanceof TransshipError ? problemOf(error) : undefined;
    if (problem === undefined) throw error;
    problems.push(problem);
    return undefined;
  }
}

function stateOf({ revision, status }: TargetRevision, release: HelmRelease | undefined): ReleaseState {
  const { name: chart = '', version = '', appVersion = '' } = release?.chart?.metadata ?? {};
  return { chart, chartVersion: version, appVersion, revision, status };
}

function rowState({ row: { chart, chartVersion, appVersion, revision, status } }: PreparedRelease): ReleaseState {
  return { chart, chartVersion, appVersion, revision, status };
}
