import type { Backend, StoredLease, Survey } from '../backends/backend.ts';
import { TransshipError } from '../errors.ts';
import type { ClearInputs } from '../inputs.ts';
import { LEASE_DURATION } from '../manager/lease.ts';
import { describeLease, isLive, parseLease } from '../manager/lease-text.ts';
import { countOf, formatSize } from '../report/format.ts';
import type { RemovedItem } from '../report/results.ts';
import { createPaint, tableLines } from '../report/text.ts';
import { describeRemoved, formatAge, removedTable } from '../report/view-clear.ts';
import { chooseKept } from '../retention/choose.ts';
import { isAbandoned, itemsOf, type Removal, removeAll } from '../retention/removal.ts';
import type { RunClear, RunContext, RunResult } from './run.ts';
import { openStorage } from './storage.ts';

/** Foreign things, and what stays, that are named before they are only counted. */
const NAMED = 10;

/** Deletes the snapshots of a path: all of them, or those that a retention does not keep. */
export const run: RunClear = async (inputs, context) => {
  if (!inputs['dry-run'] && !inputs.yes && context.confirm === undefined) {
    throw new TransshipError('INPUT', 'yes: is missing, and there is nobody to ask whether to delete.', {
      hint: 'Look with --dry-run what would be deleted, then give --yes; in a workflow, yes: true.',
    });
  }
  return clearBackend(openStorage(inputs), inputs, context);
};

/**
 * Deletes what is to be deleted of a backend, once a person has agreed.
 *
 * @throws TransshipError `NOT_EMPTY` when it holds what Transship did not write, `MANAGED` when a manager keeps all of it
 *   up to date: then nothing is deleted
 */
export async function clearBackend(
  backend: Pick<Backend, 'survey' | 'remove' | 'removeLeftover' | 'removePlan' | 'lease'>,
  inputs: Pick<ClearInputs, 'path' | 'retention' | 'dry-run' | 'yes'>,
  context: Pick<RunContext, 'reporter' | 'signal' | 'confirm'>,
): Promise<RunResult> {
  const { reporter, signal } = context;
  const { path, 'dry-run': dryRun, yes } = inputs;
  const survey = await backend.survey(signal);
  refuseForeign(survey, path);
  const lease = await backend.lease?.read(signal);
  if (inputs.retention === undefined) refuseLive(lease, path);

  const removal = chooseRemoval(survey, inputs);
  const items = itemsOf(removal);
  const complete = survey.snapshots.filter(({ state }) => state === 'complete').length;
  tellYoung(survey, context);
  if (!dryRun && !yes && items.length > 0 && !(await ask(items, path, context))) {
    const summary = { mode: 'clear', dryRun, declined: true, kept: complete } as const;
    return { outputs: { removed: [] }, summary, failed: true };
  }
  const { removed, failures } = await removeAll(backend, removal, { dryRun, reporter, signal });
  if (!dryRun && inputs.retention === undefined && failures.length === 0) await removeLease(backend, lease, signal);
  const kept = complete - removed.filter(({ what }) => what === 'snapshot').length;
  return {
    outputs: { removed, ...(failures.length === 0 ? {} : { failures }) },
    summary: { mode: 'clear', dryRun, declined: false, kept },
    failed: failures.length > 0,
  };
}

function chooseRemoval(survey: Survey, { retention }: Pick<ClearInputs, 'retention'>): Removal {
  const { now, snapshots, plans } = survey;
  const leftovers = survey.leftovers.filter((leftover) => isAbandoned(leftover, survey));
  if (retention !== undefined) {
    return { snapshots: chooseKept(snapshots, retention, now).remove, leftovers, plans: [], now };
  }
  const complete = snapshots.filter(({ state }) => state === 'complete');
  return { snapshots: complete.toSorted((a, b) => (a.id < b.id ? -1 : 1)), leftovers, plans, now };
}

/** @throws TransshipError `NOT_EMPTY` when there is something that Transship did not write */
function refuseForeign({ foreign, foreignCount }: Survey, path: string): void {
  if (foreignCount === 0) return;
  const named = foreign.slice(0, NAMED);
  const more = foreignCount > named.length ? ` and at least ${foreignCount - named.length} more` : '';
  throw new TransshipError(
    'NOT_EMPTY',
    `${path} holds what Transship did not write: ${named.join(', ')}${more}. Nothing was deleted.`,
    { hint: 'Give the path that the snapshots are in, or move the rest away.' },
  );
}

/** @throws TransshipError `MANAGED` when a manager keeps the path up to date */
function refuseLive(lease: StoredLease | undefined, path: string): void {
  if (lease === undefined || !isLive(lease.text, lease.age, LEASE_DURATION)) return;
  throw new TransshipError(
    'MANAGED',
    `${path} is kept up to date by ${describeLease(parseLease(lease.text))}. Nothing was deleted.`,
    { hint: 'Stop that manager first. To delete only what is old, give retention.' },
  );
}

/** One that ran out is of no use any more; one that was written meanwhile stays. */
async function removeLease(
  { lease: store }: Pick<Backend, 'lease'>,
  known: StoredLease | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (store === undefined || known === undefined) return;
  const there = await store.read(signal);
  if (there?.version === known.version) await store.remove(signal);
}

/** An export that still runs looks as one does that was interrupted. */
function tellYoung(survey: Survey, { reporter }: Pick<RunContext, 'reporter'>): void {
  const young = survey.leftovers.filter((leftover) => !isAbandoned(leftover, survey));
  if (young.length === 0) return;
  const lines = young.slice(0, NAMED).map(({ location, size, modified }) => {
    const age = Math.max(0, Math.floor((survey.now.getTime() - modified.getTime()) / 1000));
    return `  ${location} (${formatSize(size)}, last written ${formatAge(age)} ago)`;
  });
  if (young.length > NAMED) lines.push(`  and ${young.length - NAMED} more`);
  reporter.info(
    `${countOf(young.length, 'unfinished thing')} of less than a day ${young.length === 1 ? 'stays' : 'stay'}, for an export may be running:\n${lines.join('\n')}`,
  );
}

async function ask(
  items: readonly RemovedItem[],
  path: string,
  context: Pick<RunContext, 'reporter' | 'confirm'>,
): Promise<boolean> {
  const table = removedTable(items);
  if (table !== undefined) context.reporter.info(`To be deleted:\n${tableLines(table, createPaint(false)).join('\n')}`);
  return (await context.confirm?.(`Delete ${describeRemoved(items)} from ${path}?`)) === true;
}
