import { openTemporaryFile, type TemporaryFile } from '../archive/temporary-file.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import type { ObjectId } from '../resources/resource.ts';

/** An object that the import has created. */
export interface Created {
  readonly step: 'created';
  readonly path: string;
  readonly id: ObjectId;
  /** Undefined where the answer was lost: it may be there or not. */
  readonly uid: string | undefined;
}

/** An object that the import was about to change or to delete. */
export interface Changing {
  readonly step: 'changing';
  readonly path: string;
  readonly before: KubeObject;
}

/** A new release that Helm was about to install. */
export interface Installing {
  readonly step: 'installing';
  readonly namespace: string;
  readonly name: string;
}

/** A release that Helm was about to upgrade or to uninstall; the records of it come right before. */
export interface Upgrading {
  readonly step: 'upgrading';
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  /** How many. */
  readonly records: number;
}

/** An object that held a record of a release. */
export interface RecordBefore {
  readonly step: 'record';
  readonly before: KubeObject;
}

export type JournalEntry = Created | Changing | Installing | Upgrading | RecordBefore;

/** What an import did, in its order. On disk, for objects may be large; only where each entry ends is in memory. */
export interface Journal {
  /** Adds entries that follow each other, whatever else is added at the same time. */
  add(entries: readonly JournalEntry[]): Promise<void>;
  length(): number;
  /** Undefined for one that was not written, as on a full disk: what it tells of has not been done. */
  read(index: number): Promise<JournalEntry | undefined>;
  /** Gives the disk space back. */
  close(): Promise<void>;
}

const PURPOSE = {
  verb: 'note what the import changes',
  done: "What the import changes can't be noted",
  need: 'An atomic import needs room for all objects that it changes',
};

/**
 * Makes an empty journal, one line of JSON an entry. Its file, which may hold secrets, is this user's alone and has no
 * name; there is none before the first entry.
 *
 * @param directory - this user's alone
 */
export function createJournal(directory: string): Journal {
  let file: Promise<TemporaryFile> | undefined;
  const ends: number[] = [];
  const unwritten = new Map<number, JournalEntry | undefined>();

  return {
    async add(entries) {
      const first = ends.length;
      const start = ends.at(-1) ?? 0;
      const lines = entries.map((entry) => Buffer.from(`${JSON.stringify(entry)}\n`));
      let end = start;
      for (const line of lines) {
        end += line.byteLength;
        ends.push(end);
      }
      try {
        file ??= openTemporaryFile({ directory, purpose: PURPOSE });
        await (await file).write(Buffer.concat(lines), start);
      } catch (error) {
        // What was created is there already; all else will not be done.
        for (const [at, entry] of entries.entries()) {
          unwritten.set(first + at, entry.step === 'created' ? entry : undefined);
        }
        throw error;
      }
    },
    length: () => ends.length,
    async read(index) {
      if (unwritten.has(index)) return unwritten.get(index);
      const [start, end] = [index === 0 ? 0 : ends[index - 1], ends[index]];
      if (file === undefined || start === undefined || end === undefined) return undefined;
      const entry: JournalEntry = JSON.parse((await (await file).read(start, end - start)).toString('utf8'));
      return entry;
    },
    async close() {
      const opened = await file?.catch(() => undefined);
      file = undefined;
      await opened?.close();
    },
  };
}
