import type { StoredSnapshot, WrittenSnapshot } from '../backends/backend.ts';
import type { NewId } from './ids.ts';

/** A snapshot that is made and lies on this machine's disk. */
export interface Made<C> {
  readonly id: string;
  readonly files: number;
  readonly bytes: number;
  /** What tells it from another one. */
  readonly contents: C;
  remove(): Promise<void>;
}

/** A complete snapshot that is stored. */
export interface Stored<C> {
  readonly snapshot: WrittenSnapshot;
  /** Undefined where it can't be read, such as of one that is encrypted. */
  readonly contents: C | undefined;
}

/** What long work is given. */
export interface Work {
  readonly signal: AbortSignal;
  /** To be called whenever something moves. */
  beat(): void;
}

/** An export that is asked for. */
export interface Making<C> extends NewId, Work {
  /** From the API server itself, or from what the watches have brought. */
  readonly from: 'server' | 'mirror';
  /** The one made before, whose unchanged files need not be kept twice. */
  readonly previous: Made<C> | undefined;
}

/** The right to write here. */
export interface HeldLease {
  /** Fires when another manager has it; its reason is the error to end with, `MANAGED`. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** What watches the cluster. */
export interface Watching {
  stats(): WatchStats;
  close(): Promise<void>;
}

export interface WatchStats {
  /** Objects that are watched. */
  readonly objects: number;
  /** Watches that broke and were opened again. */
  readonly reconnects: number;
  /** Lists that had to be read again, for the server no longer had what came after the last one. */
  readonly relists: number;
  /** Watches that are broken now. */
  readonly broken: number;
}

/** All that the daemon does to the world; of snapshots it knows only whether their contents are the same. */
export interface DaemonParts<C> {
  /** @throws TransshipError `MANAGED` when another manager writes here */
  acquire(signal: AbortSignal): Promise<HeldLease>;
  /** All that is stored at the path. */
  list(signal: AbortSignal): Promise<readonly StoredSnapshot[]>;
  /** Of these, the newest complete one of this cluster that was stored in the way that is asked for now. */
  findNewest(stored: readonly StoredSnapshot[], signal: AbortSignal): Promise<Stored<C> | undefined>;
  read(stored: StoredSnapshot, signal: AbortSignal): Promise<C | undefined>;
  /** Starts to watch, and returns once all is known; undefined where only the clock counts. */
  readonly watch: ((onChange: () => void, signal: AbortSignal) => Promise<Watching>) | undefined;
  make(making: Making<C>): Promise<Made<C>>;
  /** How many files differ; 0 when both hold the same. */
  compare(before: C, after: C): number;
  /**
   * Stores it, and just before it is whole checks that the lease is still held.
   *
   * @param base - what was stored before, of which as much is used as helps
   */
  store(made: Made<C>, base: Stored<C> | undefined, work: Work): Promise<Stored<C>>;
  /** The same under another id; what it was made from is left as it is. */
  rename(made: Made<C>, id: NewId, signal: AbortSignal): Promise<Made<C>>;
  /** Removes what an earlier try to push has left unfinished. */
  discard(unfinished: StoredSnapshot, signal: AbortSignal): Promise<void>;
  /** Deletes what the retention does not keep, but not this one; undefined where all is kept. */
  readonly retain: ((newest: StoredSnapshot, signal: AbortSignal) => Promise<void>) | undefined;
}
