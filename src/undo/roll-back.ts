import { ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectFailure } from '../report/results.ts';
import { waitUntilGone } from '../resources/gone.ts';
import { DEFINITIONS, NAMESPACES, waveOf } from '../resources/order.ts';
import { forEachAtOnce } from '../resources/pool.ts';
import { idOf, nameObject } from '../resources/resource.ts';
import { readRefusal, saidBy } from '../resources/write-refusals.ts';
import type { UndoContext } from './context.ts';
import type { Journal, JournalEntry } from './journal.ts';
import { putBack, putOwnersBack } from './put-back.ts';
import { removeCreated } from './remove-created.ts';
import { type HelmSettings, takeInstallBack, takeUpgradeBack } from './take-back-release.ts';
import type { RollBackResult } from './undo.ts';

/** Entries that are taken back side by side, as far as memory goes. */
const MOST_AT_ONCE = 1000;

/** Entries that need no order among them, newest first, by their places in the journal. */
interface Run {
  readonly created: number[];
  readonly changing: number[];
  /** Namespaces and CRDs that were created: they go when all else is done, for what others have put into them. */
  readonly foundations: { readonly namespaces: number[]; readonly definitions: number[] };
  /** Where the next one begins: so many entries are left. */
  readonly left: number;
}

/**
 * Takes back what a journal tells of, the last first: runs of entries about kinds of one wave (see resources/order.ts)
 * side by side, what was created before what was changed, so that names, ports and quota are free again; releases one by
 * one, for one may need another.
 */
export async function rollBackAll(
  journal: Journal,
  context: UndoContext,
  helm: HelmSettings,
  { concurrency, reporter }: { readonly concurrency: number; readonly reporter: Reporter },
): Promise<RollBackResult> {
  const { signal, clock, timeout, outage } = context;
  const counts = { removed: 0, putBack: 0, uninstalled: 0, rolledBack: 0 };
  const failures: ObjectFailure[] = [];
  let closed: string | undefined;

  function stopped(): string | undefined {
    if (signal?.aborted === true) return 'The run was cancelled before it was taken back.';
    return closed ?? outage.lost();
  }

  function fail(object: string, error: unknown): void {
    if (readRefusal(error).is === 'closed') closed = messageOf(error);
    const message = explain(error);
    failures.push(
      signal?.aborted === true ? { object, outcome: 'skipped', message } : { object, outcome: 'failed', message },
    );
  }

  /** Does something about one entry, unless nothing more is to be done. */
  async function attempt(index: number, work: (entry: JournalEntry) => Promise<void>): Promise<void> {
    const entry = await journal.read(index);
    if (entry === undefined) return;
    const obstacle = stopped();
    if (obstacle !== undefined) {
      failures.push({ object: nameEntry(entry), outcome: 'skipped', message: obstacle });
      return;
    }
    try {
      await work(entry);
    } catch (error) {
      fail(nameEntry(entry), error);
    }
  }

  async function remove(created: readonly number[]): Promise<void> {
    const ending: { path: string; name: string; uid: string }[] = [];
    await forEachAtOnce(created, concurrency, (index) =>
      attempt(index, async (entry) => {
        if (entry.step !== 'created') return;
        const is = await removeCreated(context, entry);
        if (is === 'gone') counts.removed += 1;
        else if (is !== 'absent') ending.push({ path: entry.path, name: nameEntry(entry), uid: is });
      }),
    );
    // All together have so long: one that hangs is seldom alone.
    const deadline = clock.now() + timeout;
    const left = () => Math.max(1, Math.ceil((deadline - clock.now()) / 1000)) * 1000;
    await forEachAtOnce(ending, concurrency, async ({ path, name, uid }) => {
      try {
        await waitUntilGone({ ...context, timeout: left() }, path, name, uid);
        counts.removed += 1;
      } catch (error) {
        fail(name, error);
      }
    });
  }

  async function putAllBack(changing: readonly number[]): Promise<void> {
    await forEachAtOnce(changing, concurrency, (index) =>
      attempt(index, async (entry) => {
        if (entry.step === 'changing' && (await putBack(context, entry.path, entry.before))) counts.putBack += 1;
      }),
    );
  }

  async function takeReleaseBack(index: number): Promise<void> {
    await attempt(index, async (entry) => {
      if (entry.step === 'installing') {
        reporter.progress(`Uninstalling ${entry.namespace}/${entry.name}`);
        if (await takeInstallBack(context, helm, entry)) counts.uninstalled += 1;
      } else if (entry.step === 'upgrading') {
        reporter.progress(`Rolling back ${entry.namespace}/${entry.name}`);
        const records = () => recordsOf(journal, index - entry.records, index);
        if (await takeUpgradeBack(context, helm, entry, records)) counts.rolledBack += 1;
      }
    });
  }

  const namespaces: number[] = [];
  const definitions: number[] = [];
  const total = journal.length();
  for (let left = total; left > 0; ) {
    reporter.progress(
      `Taking back what was done: ${(total - left).toLocaleString('en')} of ${total.toLocaleString('en')}`,
    );
    const last = await journal.read(left - 1);
    if (last?.step === 'installing' || last?.step === 'upgrading') {
      await takeReleaseBack(left - 1);
      left -= 1 + (last.step === 'upgrading' ? last.records : 0);
    } else {
      const run = await findRun(journal, left);
      await remove(run.created);
      await putAllBack(run.changing);
      namespaces.push(...run.foundations.namespaces);
      definitions.push(...run.foundations.definitions);
      left = run.left;
    }
  }
  if (stopped() === undefined) {
    for (const { name, error } of await putOwnersBack(context)) fail(name, error);
  }
  await remove(namespaces);
  await remove(definitions);
  return { ...counts, failures };
}

/** The longest run of entries before `left` that need no order; at least one. */
async function findRun(journal: Journal, left: number): Promise<Run> {
  const created: number[] = [];
  const changing: number[] = [];
  const foundations: Run['foundations'] = { namespaces: [], definitions: [] };
  const paths = { created: new Set<string>(), changing: new Set<string>() };
  let wave: number | undefined;
  let at = left;
  for (; at > 0 && left - at < MOST_AT_ONCE; at -= 1) {
    const entry = await journal.read(at - 1);
    if (entry === undefined || entry.step === 'record') continue;
    if (entry.step !== 'created' && entry.step !== 'changing') break;
    const { path, step } = entry;
    // What was changed is put back before what was created earlier is removed.
    if (paths.changing.has(path) || (step === 'created' && paths.created.has(path))) break;
    const its = waveOfEntry(path, step === 'created' ? entry.id : idOf(entry.before));
    wave ??= its;
    if (wave !== its) break;
    paths[step].add(path);
    if (step === 'changing') changing.push(at - 1);
    else if (its === NAMESPACES) foundations.namespaces.push(at - 1);
    else if (its === DEFINITIONS) foundations.definitions.push(at - 1);
    else created.push(at - 1);
  }
  return { created, changing, foundations, left: at };
}

function waveOfEntry(path: string, { group, kind }: { readonly group: string; readonly kind: string }): number {
  return waveOf({ group, kind, namespaced: /\/namespaces\/[^/]+\//.test(path) }, false);
}

async function* recordsOf(journal: Journal, first: number, end: number): AsyncGenerator<KubeObject> {
  for (let index = first; index < end; index += 1) {
    const entry = await journal.read(index);
    if (entry?.step === 'record') yield entry.before;
  }
}

function nameEntry(entry: JournalEntry): string {
  if (entry.step === 'created') return nameObject(entry.id);
  if (entry.step === 'changing' || entry.step === 'record') return nameObject(idOf(entry.before));
  return `Release ${entry.namespace}/${entry.name}`;
}

function explain(error: unknown): string {
  const said = error instanceof ClusterError ? saidBy(error) : messageOf(error);
  const sentence = /[.!?]$/.test(said) ? said : `${said}.`;
  const hint = error instanceof TransshipError ? error.hint : undefined;
  return hint === undefined ? sentence : `${sentence} ${hint}`;
}
