import { TransshipError } from '../errors.ts';
import type { RunResult } from '../modes/run.ts';
import type { Outputs } from '../outputs.ts';
import type { RollBackResult } from '../undo/undo.ts';
import { countOf, formatSize, joinWords } from './format.ts';
import type { Outcome, ReleaseResult, ResourceResult } from './results.ts';
import { describeRemoved, headlineOfClear, removalFailure, removedTable, snapshotTable } from './view-clear.ts';
import { describeVms, vmFailures, vmTable } from './view-vms.ts';

export { countOf, formatSize } from './format.ts';

/** A warning as the report repeats it. */
export interface Warning {
  readonly message: string;
  readonly title?: string | undefined;
}

/** Rows under named columns. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Something that went wrong, and why in the words of who said it. */
export interface Failure {
  readonly title: string;
  readonly words: string;
  /** Nothing was wrong with it: it was left out because something else failed. */
  readonly skipped: boolean;
}

/** A result as a person reads it, before it is Markdown or lines of a terminal. */
export interface View {
  readonly good: boolean;
  readonly headline: string;
  /** Label and value. */
  readonly facts: readonly (readonly [string, string])[];
  readonly failures: readonly Failure[];
  readonly tables: readonly Table[];
}

/** First what needs a person, then the rest. */
const ORDER: readonly Outcome[] = ['failed', 'skipped'];

/** Turns a result into what a person should read of it, in reading order. */
export function viewOf(result: RunResult): View {
  const { outputs, summary } = result;
  const releases = sortReleases(outputs.releases ?? []);
  const snapshots = outputs.snapshots ?? [];
  return {
    good: !result.failed,
    headline: headlineOf(result),
    facts: factsOf(result),
    failures: [
      ...(summary.mode === 'plan'
        ? summary.plan.problems.map(({ message, hint }) => ({
            title: 'An import would fail',
            words: hint === undefined ? message : `${message}\n${hint}`,
            skipped: false,
          }))
        : []),
      ...(summary.mode === 'verify'
        ? summary.problems.map((words) => ({ title: 'Damage', words, skipped: false }))
        : []),
      ...releases
        .filter(({ outcome }) => outcome === 'failed' || outcome === 'skipped')
        .map((release) => ({
          title: `${nameOf(release)} ${release.outcome}`,
          words: release.message ?? 'No reason was given.',
          skipped: release.outcome === 'skipped',
        })),
      ...vmFailures(outputs.vms ?? []),
      ...(outputs.failures ?? []).map(({ object, outcome, message }) => ({
        title: `${object} ${outcome}`,
        words: message,
        skipped: outcome === 'skipped',
      })),
    ],
    tables: [
      summary.mode === 'list' ? snapshotTable(snapshots) : releaseTable(releases),
      vmTable(outputs.vms ?? []),
      resourceTable(outputs.resources ?? []),
      removedTable(outputs.removed ?? []),
    ].filter((table) => table !== undefined),
  };
}

/** `3 created removed, 1 changed put back`: what became of what a failed atomic import had done. */
export function describeUndone({ removed, putBack, uninstalled, rolledBack, failures }: RollBackResult): string {
  const parts: [number, string][] = [
    [removed, `${removed} created removed`],
    [putBack, `${putBack} changed put back`],
    [uninstalled, `${countOf(uninstalled, 'release')} uninstalled`],
    [rolledBack, `${countOf(rolledBack, 'release')} rolled back`],
    [failures.length, `${failures.length} could not be taken back`],
  ];
  const told = parts.filter(([count]) => count > 0).map(([, words]) => words);
  return told.length === 0 ? 'nothing, for nothing had changed' : told.join(', ');
}

/** The error to end a failed run with, once its outputs are written. */
export function failureOf(result: RunResult): TransshipError {
  const { outputs, summary } = result;
  if (summary.mode === 'clear' || summary.mode === 'export') return removalFailure(result);
  if (summary.mode === 'plan') {
    const { problems } = summary.plan;
    return new TransshipError(
      'PLAN_PROBLEMS',
      `An import would fail: the plan has ${countOf(problems.length, 'problem')}. Nothing was changed.`,
      { hint: 'They are listed with the plan, each with what to do.' },
    );
  }
  if (summary.mode === 'verify') {
    const [first, ...others] = summary.problems;
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
    return new TransshipError('ARCHIVE_DAMAGED', `Snapshot ${outputs.snapshot} is damaged: ${first}${more}`, {
      hint: 'Do not import it: take another snapshot, or export again.',
    });
  }
  const releases = outputs.releases ?? [];
  const vms = outputs.vms ?? [];
  const objects = outputs.failures ?? [];
  const failed = [
    ...[...releases, ...vms].filter(({ outcome }) => outcome === 'failed').map(nameOf),
    ...objects.filter(({ outcome }) => outcome === 'failed').map(({ object }) => object),
  ];
  const skipped = [...releases, ...vms, ...objects].filter(({ outcome }) => outcome === 'skipped').length;
  const named = failed.slice(0, 10).join(', ') + (failed.length > 10 ? ` and ${failed.length - 10} more` : '');
  const undone = 'undone' in summary ? summary.undone : undefined;
  const back = undone === undefined ? '' : ` Taken back: ${describeUndone(undone)}.`;
  return new TransshipError(
    summary.mode === 'teardown' ? 'TEARDOWN_FAILED' : 'IMPORT_FAILED',
    `${failed.length} of ${describeTotal(outputs)} failed${named === '' ? '' : `: ${named}`}.${skipped === 0 || undone !== undefined ? '' : ` Skipped because of it: ${skipped}.`}${back}`,
    {
      hint:
        undone === undefined
          ? 'The summary says why, for each. Those not named there are done.'
          : 'The summary says why, for each.',
    },
  );
}

/** Whether a plan went well and has changes, and that is to be told by the exit status. */
export function tellsChanges({ summary, failed }: RunResult): boolean {
  return summary.mode === 'plan' && summary.exitCode && summary.plan.changed && !failed;
}

/** `3 releases`, `13 objects`, `3 releases and 13 objects`: what a run was about. */
function describeContent({ resources, vms, ...outputs }: Outputs): string {
  const releases = outputs.releases?.filter(({ leftOut }) => leftOut !== true);
  const objects = countObjects(resources ?? [], 'all');
  const parts = [
    ...(releases === undefined ? [] : [countOf(releases.length, 'release')]),
    ...(vms === undefined ? [] : [describeVms(vms)]),
    ...(resources === undefined ? [] : [countOf(objects, 'object')]),
  ];
  return parts.length === 0 ? 'nothing' : joinWords(parts);
}

/** The same as one number, for how many of them: `3 releases`, `16 releases and objects`. */
function describeTotal(outputs: Outputs): string {
  const { releases, resources, vms } = outputs;
  const kinds = [
    ...(releases === undefined ? [] : ['releases']),
    ...(vms === undefined ? [] : ['virtual machines']),
    ...(resources === undefined ? [] : ['objects']),
  ];
  if (kinds.length < 2) return describeContent(outputs);
  const total = (releases?.length ?? 0) + (vms?.length ?? 0) + countObjects(resources ?? [], 'all');
  return `${total} ${joinWords(kinds)}`;
}

const DONE = ['exported', 'created', 'updated', 'unchanged', 'deleted'] as const;

function countObjects(resources: readonly ResourceResult[], which: 'done' | 'all'): number {
  const outcomes = which === 'done' ? DONE : ([...DONE, 'skipped', 'failed'] as const);
  return resources.reduce((sum, row) => sum + outcomes.reduce((total, outcome) => total + row[outcome], 0), 0);
}

function countDone({ releases = [], resources = [], vms = [] }: Outputs): number {
  const done = [...releases, ...vms].filter(({ outcome }) => !ORDER.includes(outcome)).length;
  return done + countObjects(resources, 'done');
}

function headlineOfTeardown(
  outputs: Outputs,
  { cluster, dryRun, environments, namespaces }: Extract<RunResult['summary'], { mode: 'teardown' }>,
): string {
  if (environments.length === 0) return `No environment in ${cluster} has expired`;
  const content = describeContent({ ...outputs, releases: outputs.releases ?? [], resources: outputs.resources ?? [] });
  const and = namespaces.length === 0 ? '' : `, ${countOf(namespaces.length, 'namespace')} among them,`;
  const what = `${content}${and} of ${environments.length === 1 ? 'environment' : 'environments'} ${environments.join(', ')}`;
  return `${dryRun ? 'Would remove' : 'Removed'} ${what} from ${cluster}`;
}

function headlineOf({ outputs, summary, failed }: RunResult): string {
  switch (summary.mode) {
    case 'export': {
      // Of a kind, `skipped` are those that the rules leave out.
      const exported = outputs.resources?.map((row) => ({ ...row, skipped: 0 }));
      return `Exported ${describeContent({ ...outputs, resources: exported })} from ${summary.cluster}`;
    }
    case 'import': {
      if (!failed) return `Imported ${describeContent(outputs)} into ${summary.cluster}`;
      return `Imported ${countDone(outputs)} of ${describeTotal(outputs)} into ${summary.cluster}`;
    }
    case 'promote': {
      const where = `from ${summary.source} into ${summary.cluster}`;
      if (!failed) return `Promoted ${describeContent(outputs)} ${where}`;
      return `Promoted ${countDone(outputs)} of ${describeTotal(outputs)} ${where}`;
    }
    case 'plan':
      return `Plan of an import into ${summary.cluster}`;
    case 'teardown':
      return headlineOfTeardown(outputs, summary);
    case 'clear':
      return headlineOfClear(outputs, summary);
    case 'watch':
      return `Stored ${countOf(summary.stored, 'snapshot')} of ${summary.cluster}`;
    case 'list':
      return outputs.snapshots?.length ? countOf(outputs.snapshots.length, 'snapshot') : 'No snapshots';
    case 'verify':
      if (failed) return `Snapshot ${outputs.snapshot} is damaged`;
      return summary.unread === true
        ? `Snapshot ${outputs.snapshot} is as it was stored; it is encrypted, and its content was not read`
        : `Snapshot ${outputs.snapshot} is whole`;
  }
}

function factsOf({ outputs, summary }: RunResult): [string, string][] {
  // A list names all of this in its rows.
  if (summary.mode === 'list') return [];
  const facts: [string, string | undefined][] = [
    ['Snapshot', outputs.snapshot],
    ['Location', outputs['artifact-url'] ?? outputs.location],
    ['Size', outputs.size === undefined ? undefined : formatSize(outputs.size)],
    ['Digest', outputs.digest],
    [
      'Content',
      summary.mode === 'verify' && summary.unread !== true
        ? `${countOf(summary.files, 'file')}, ${formatSize(summary.bytes)}`
        : undefined,
    ],
    [
      'Taken back',
      (summary.mode === 'import' || summary.mode === 'promote') && summary.undone !== undefined
        ? describeUndone(summary.undone)
        : undefined,
    ],
    ['Plan', outputs['plan-id']],
    ['Deleted', summary.mode === 'export' && outputs.removed?.length ? describeRemoved(outputs.removed) : undefined],
  ];
  return facts.flatMap(([label, value]): [string, string][] => (value === undefined ? [] : [[label, value]]));
}

function releaseTable(releases: readonly ReleaseResult[]): Table | undefined {
  if (releases.length === 0) return undefined;
  return {
    columns: ['Release', 'Namespace', 'Chart', 'Version', 'App version', 'Revision', 'Result'],
    rows: releases.map((release) => [
      release.name,
      release.namespace,
      release.chart,
      release.chartVersion,
      release.appVersion,
      release.revisions > 1 ? `${release.revision} (of ${release.revisions})` : String(release.revision),
      release.outcome,
    ]),
  };
}

/** The columns that count something, after those that name the kind. */
function resourceTable(resources: readonly ResourceResult[]): Table | undefined {
  if (resources.length === 0) return undefined;
  const outcomes = ([...DONE, 'skipped', 'failed'] as const).filter((outcome) =>
    resources.some((row) => row[outcome] > 0),
  );
  return {
    columns: ['Resource', 'API version', ...outcomes.map((outcome) => outcome[0]?.toUpperCase() + outcome.slice(1))],
    rows: resources.map((row) => [row.resource, row.apiVersion, ...outcomes.map((outcome) => String(row[outcome]))]),
  };
}

function sortReleases(releases: readonly ReleaseResult[]): ReleaseResult[] {
  const rank = ({ outcome }: ReleaseResult) => {
    const index = ORDER.indexOf(outcome);
    return index === -1 ? ORDER.length : index;
  };
  return [...releases].sort((a, b) => rank(a) - rank(b) || compare(nameOf(a), nameOf(b)));
}

function nameOf({ namespace, name }: Pick<ReleaseResult, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
