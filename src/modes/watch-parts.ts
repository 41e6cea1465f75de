import type { Entry } from '../archive/entry.ts';
import type { Backend, LeaseStore, StoredSnapshot } from '../backends/backend.ts';
import { folderName } from '../backends/trees.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import type { WatchInputs } from '../inputs.ts';
import type { Lease } from '../manager/lease.ts';
import { driversOf } from '../releases/drivers.ts';
import { countOf } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import { applyRetention } from '../retention/apply.ts';
import { collectGarbage } from '../watch/collect-garbage.ts';
import { type Contents, compareContents } from '../watch/contents.ts';
import type { NewId } from '../watch/ids.ts';
import { type Mirror, openMirror } from '../watch/mirror.ts';
import type { DaemonParts, Made, Stored } from '../watch/parts.ts';
import { renameEntries } from '../watch/rename-entries.ts';
import { createSpool, type SpooledSnapshot } from '../watch/spool.ts';
import { storeSpooled } from '../watch/store-spooled.ts';
import { readStoredContents, type StoredBase } from '../watch/stored-contents.ts';
import { collectSnapshot } from './collect.ts';
import { takeLease } from './managing.ts';
import type { RunContext } from './run.ts';

/** Milliseconds for which a watch may be broken: each ends now and then, and is opened again. */
const MOST_BROKEN = 60_000;

/** What is known of a snapshot that is made or stored. */
export interface Known {
  readonly contents: Contents;
  /** There as long as it lies on this machine. */
  readonly spooled?: SpooledSnapshot | undefined;
  /** There when it is stored, where others can be written beside it. */
  readonly base?: StoredBase | undefined;
}

/** What the daemon works on. */
export interface Place {
  readonly cluster: Cluster;
  readonly backend: Backend;
  readonly store: LeaseStore;
  readonly namespaces: readonly string[];
  readonly inputs: WatchInputs;
  readonly context: RunContext;
  /** For what each export would tell again. */
  readonly quiet: QuietReporter;
}

/** Joins what the rooms can do into what the daemon does. */
export function makeParts({ cluster, backend, store, namespaces, inputs, context, quiet }: Place): DaemonParts<Known> {
  const { reporter, temporaryDirectory, env } = context;
  const spool = createSpool(temporaryDirectory);
  let lease: Lease | undefined;
  let mirror: Mirror | undefined;

  async function keep(
    entries: AsyncIterable<Entry>,
    { id, created }: NewId,
    previous: SpooledSnapshot | undefined,
    signal: AbortSignal,
  ): Promise<Made<Known>> {
    const spooled = await spool.add({ id, created, entries }, previous, signal);
    const { bytes, files, remove } = spooled;
    return { id, files: files.size, bytes, remove, contents: { contents: spooled, spooled } };
  }

  async function read(stored: StoredSnapshot, signal: AbortSignal): Promise<Known | undefined> {
    const found = await readStoredContents(backend, stored, { reporter, signal });
    return found && { contents: found.contents, base: found.base };
  }

  const isOurs = ({ layout, cluster: folder }: StoredSnapshot) =>
    layout === 'archive' || folder === folderName(cluster.context);
  /** Who changes the layout, or begins to encrypt, wants a snapshot of that kind. */
  const isAsAsked = ({ layout, encrypted }: StoredSnapshot) =>
    layout === inputs.layout && (encrypted ?? false) === (inputs['encrypt-to'] !== undefined);

  return {
    async acquire(signal) {
      const manager = inputs.manager ?? `${cluster.namespace}/transship`;
      lease = await takeLease(store, cluster, { ...inputs, manager }, { reporter, signal, env });
      return lease;
    },
    list: () => backend.list(),
    async findNewest(all, signal) {
      const newest = all.find((stored) => stored.state === 'complete' && isOurs(stored));
      if (newest === undefined) return undefined;
      return { snapshot: newest, contents: isAsAsked(newest) ? await read(newest, signal) : undefined };
    },
    read,
    watch: inputs['on-change']
      ? async (onChange, signal) => {
          const { selector, exclude } = inputs;
          const opened = await openMirror(cluster, {
            namespaces,
            include: inputs.include,
            drivers: driversOf(env.HELM_DRIVER),
            resources: {
              ...{ selector, exclude },
              clusterResources: inputs['cluster-resources'],
              restoreStatus: inputs['restore-status'],
            },
            ...{ temporaryDirectory, onChange, reporter, signal },
          });
          mirror = opened;
          collectGarbage();
          return { stats: () => statsOf(opened), close: opened.close };
        }
      : undefined,
    async make({ id, created, from, previous, signal, beat }) {
      quiet.begin();
      const source = from === 'mirror' && mirror !== undefined ? mirror.cluster : cluster;
      const collection = collectSnapshot(source, {
        ...{ id, created, namespaces, inputs },
        manager: lease?.manager,
        context: { ...context, reporter: quiet, signal },
      });
      try {
        return await keep(beating(collection.entries, beat), { id, created }, previous?.contents.spooled, signal);
      } finally {
        collectGarbage();
      }
    },
    compare: (before, after) => countChanges(before.contents, after.contents),
    async store({ id, contents: { spooled } }, base, { signal, beat }): Promise<Stored<Known>> {
      if (spooled === undefined) throw new Error(`Snapshot ${id} is not on this machine.`);
      const {
        snapshot,
        contents,
        base: own,
      } = await storeSpooled(
        backend,
        { ...spooled, entries: () => beating(spooled.entries(), beat) },
        {
          cluster: cluster.context,
          layout: inputs.layout,
          compression: inputs.compression ?? 'zstd',
          encryptTo: inputs['encrypt-to'],
          base: base?.contents && { snapshot: base.snapshot, ...base.contents },
          beforeLast: () => held(lease).check(signal),
          ...{ reporter, signal },
        },
      );
      collectGarbage();
      return { snapshot, contents: { contents, base: own } };
    },
    async rename({ id: old, contents: { spooled } }, id, signal) {
      if (spooled === undefined) throw new Error(`Snapshot ${old} is not on this machine.`);
      return keep(renameEntries(spooled.entries(), id), id, spooled, signal);
    },
    async discard(unfinished, signal) {
      if (isOurs(unfinished) && unfinished.layout === 'tree') await backend.remove(unfinished, signal);
    },
    retain:
      inputs.retention &&
      (async (of, signal) => {
        await held(lease).check(signal);
        const { retention = {} } = inputs;
        const { removed, failures } = await applyRetention(backend, retention, {
          ...{ of, signal, reporter: quiet, dryRun: false },
        });
        if (removed.length > 0) {
          reporter.info(`The retention has deleted ${removed.map(({ location }) => location).join(', ')}.`, {
            removed: removed.length,
          });
        }
        const [first] = failures;
        if (first === undefined) return;
        throw new TransshipError(
          'BACKEND',
          `${countOf(failures.length, 'thing')} could not be deleted, first ${first.object}: ${first.message}`,
        );
      }),
  };
}

function held(lease: Lease | undefined): Lease {
  if (lease === undefined) throw new Error('There is no lease.');
  return lease;
}

function statsOf(mirror: Mirror) {
  const { objects, reconnects, relists, behind, behindFor } = mirror.stats();
  return { objects, reconnects, relists, broken: behindFor > MOST_BROKEN ? behind : 0 };
}

/** How many files differ; the scope counts as one. */
function countChanges(before: Contents, after: Contents): number {
  const { added, changed, removed, scope } = compareContents(before, after);
  return added.length + changed.length + removed.length + Number(scope);
}

async function* beating(entries: AsyncIterable<Entry>, beat: () => void): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    beat();
    yield entry;
  }
}

/** Tells what is new since the export before. */
export interface QuietReporter extends Reporter {
  /** To be called before each export. */
  begin(): void;
}

/** A reporter that leaves to the details what the export before has told too, and all that is no warning. */
export function createQuietReporter(reporter: Reporter): QuietReporter {
  let before = new Set<string>();
  let now = new Set<string>();
  return {
    ...reporter,
    begin() {
      before = now;
      now = new Set();
    },
    info: reporter.debug,
    progress() {},
    warn(message, title, fields) {
      const isKnown = before.has(message) || now.has(message);
      now.add(message);
      if (isKnown) reporter.debug(message);
      else reporter.warn(message, title, fields);
    },
  };
}
