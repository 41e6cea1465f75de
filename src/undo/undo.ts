import { type Clock, systemClock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type Discovery, discover } from '../cluster/discovery.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectFailure } from '../report/results.ts';
import { createOutage } from '../resources/outage.ts';
import { idOf } from '../resources/resource.ts';
import type { UndoLog } from '../undo.ts';
import { createJournal } from './journal.ts';
import { rollBackAll } from './roll-back.ts';
import type { HelmSettings } from './take-back-release.ts';

export interface UndoOptions extends HelmSettings {
  readonly cluster: Cluster;
  /** For this run alone, readable by this user alone. */
  readonly directory: string;
  /** Milliseconds for what is deleted to be gone, and for an API server that is away. */
  readonly timeout: number;
  /** Objects under way at once; default 8. */
  readonly concurrency?: number | undefined;
  readonly clock?: Clock | undefined;
  /** What the cluster serves by then; asked of the cluster unless given. */
  readonly discover?: ((signal?: AbortSignal) => Promise<Discovery>) | undefined;
}

/** What taking back came to. */
export interface RollBackResult {
  /** Objects that the import had created. */
  readonly removed: number;
  /** Objects that it had changed or deleted. */
  readonly putBack: number;
  /** Releases that were new. */
  readonly uninstalled: number;
  /** Releases that it had upgraded or uninstalled. */
  readonly rolledBack: number;
  /** What could not be taken back (`failed`), and what was not tried any more (`skipped`). */
  readonly failures: readonly ObjectFailure[];
}

/** Remembers what an import does, and takes it back. */
export interface Undo extends UndoLog {
  /**
   * Takes everything back, the last first. What can't be is in the result, and the rest goes on; once `signal` fires,
   * nothing more is tried. May be called again.
   */
  rollBack(reporter: Reporter, signal?: AbortSignal): Promise<RollBackResult>;
  /** Gives the disk space back; to be called in any case. */
  close(): Promise<void>;
}

const CONCURRENCY = 8;

/** Makes the undo log of one import. Nothing is on disk before the first entry. */
export function createUndo(options: UndoOptions): Undo {
  const { cluster, timeout, concurrency = CONCURRENCY, clock = systemClock } = options;
  const journal = createJournal(options.directory);
  return {
    created: (path, live) => journal.add([{ step: 'created', path, id: idOf(live), uid: live.metadata.uid }]),
    changing: (path, before) => journal.add([{ step: 'changing', path, before }]),
    installing: (namespace, name) => journal.add([{ step: 'installing', namespace, name }]),
    upgrading: (namespace, name, revision, records) =>
      journal.add([
        ...records.map((before) => ({ step: 'record', before }) as const),
        { step: 'upgrading', namespace, name, revision, records: records.length },
      ]),
    async rollBack(reporter, signal) {
      const ask = options.discover ?? ((by) => discover(cluster, by));
      let found: Promise<Discovery> | undefined;
      const context = {
        ...{ cluster, clock, timeout, signal },
        outage: createOutage({ cluster, timeout, reporter, clock, signal }),
        discovery: () => {
          found ??= ask(signal);
          return found;
        },
        reborn: new Map<string, string>(),
        ownerless: new Map(),
        uninstalled: new Set<string>(),
      };
      return rollBackAll(journal, context, options, { concurrency, reporter });
    },
    close: () => journal.close(),
  };
}
