import type { Entry } from '../archive/entry.ts';
import type { PartReader, PartStore } from '../archive/part.ts';

/** The bytes of a stored archive. */
export type Bytes = AsyncIterable<Uint8Array>;

/** What a backend knows of one stored snapshot without reading it. */
export interface StoredSnapshot {
  /** `YY-MM-DD_HH-MM-SS`, UTC. */
  readonly id: string;
  /** One compressed file, or a folder of plain ones. */
  readonly layout: 'archive' | 'tree';
  /** The name of the folder of the cluster that a tree is of; archives are in none. */
  readonly cluster?: string | undefined;
  /** Where it is, as a user would type it: a path of a file or folder, an `s3://` URL, an artifact's URL. */
  readonly location: string;
  /** Bytes as stored, of a tree those of all files; of an unfinished snapshot, as far as known. */
  readonly size: number;
  /** `unfinished` is what an interrupted export left behind: never offered as `latest`, never imported. */
  readonly state: 'complete' | 'unfinished';
  /** The artifact's id, for the artifact backend. */
  readonly artifactId?: number | undefined;
  /** `sha256:<hex>` of the stored bytes, where the backend knows it without reading them. */
  readonly digest?: string | undefined;
  /** Whether its name, or that of its first file, says that it is encrypted; absent when that says nothing of it. */
  readonly encrypted?: boolean | undefined;
}

/** What `write` returns: the stored snapshot and what only the writer knows. */
export interface WrittenSnapshot extends StoredSnapshot {
  /** The page of the artifact, for the artifact backend. */
  readonly artifactUrl?: string | undefined;
  /** Bytes that were sent, where others were copied; of trees. */
  readonly sent?: number | undefined;
  /** The files of a tree, by their paths; but for one whose version could not be learned. */
  readonly files?: ReadonlyMap<string, StoredFile> | undefined;
}

/** A file of a stored tree. */
export interface StoredFile {
  /** Bytes. */
  readonly size: number;
  /** Stands for exactly these bytes at that place: an ETag, an inode and when it last changed. */
  readonly version: string;
}

/** A stored tree that is looked at. */
export interface TreeView {
  /** All its files, by their paths. */
  readonly files: ReadonlyMap<
    string,
    StoredFile & { /** When it was last written, in milliseconds. */ readonly modified: number }
  >;
  /**
   * Reads a file into memory, such as its index.
   *
   * @throws TransshipError `BACKEND`, `CANCELLED`; `SNAPSHOT_NOT_FOUND` when it is not there
   */
  read(path: string): Promise<Buffer>;
}

/** A tree that is stored, as what another one is written beside. */
export interface TreeBase {
  readonly snapshot: StoredSnapshot;
  /**
   * Of the files of that tree those whose stored bytes are the ones of the entry of that path. They are copied where the
   * storage is, without sending them or reading the entry.
   */
  readonly files: ReadonlyMap<string, StoredFile>;
}

/** What is in the way of a snapshot, or was one: nothing that could be imported. */
export interface Leftover {
  /** An unfinished archive or tree, an upload that was never completed, the parts of an export that did not end. */
  readonly what: 'snapshot' | 'upload' | 'parts';
  /** What a user would type, or what they would recognise. */
  readonly location: string;
  /** Bytes, as far as known. */
  readonly size: number;
  /** The last sign of life, by the storage's clock. */
  readonly modified: Date;
  /** Which of several uploads to the same location it is. */
  readonly uploadId?: string | undefined;
}

/** All that is at a path. */
export interface Survey {
  /** As `list` gives them. */
  readonly snapshots: readonly StoredSnapshot[];
  readonly leftovers: readonly Leftover[];
  /** The storage's time when it was looked at. */
  readonly now: Date;
  /** What Transship did not write, the first of it by name. */
  readonly foreign: readonly string[];
  /** How much of that there is, at least. */
  readonly foreignCount: number;
  /** Saved plans, which belong to no snapshot. */
  readonly plans: readonly string[];
}

/** The text of a lease. */
export interface StoredLease {
  readonly text: string;
  /** Stands for exactly this text: an ETag, a number. */
  readonly version: string;
  /** Milliseconds since it was written, by the storage's clock. */
  readonly age: number;
}

/** One small text at a path, `_manager.json`, that is only ever replaced by who has read it. */
export interface LeaseStore {
  /** @throws TransshipError `BACKEND` when the storage refuses or fails */
  read(signal?: AbortSignal): Promise<StoredLease | undefined>;
  /**
   * Writes the text, of several at once only one.
   *
   * @param expected - the version that is replaced; undefined when there should be none
   * @returns the new version; undefined when another one is there by now
   * @throws TransshipError `BACKEND` when the storage refuses or fails, or knows no conditional writes. After a failure
   *   on the way it may have been written all the same
   */
  write(text: string, expected: string | undefined, signal?: AbortSignal): Promise<string | undefined>;
  /** Removes it, whatever it is. */
  remove(signal?: AbortSignal): Promise<void>;
}

/** Where snapshots are kept. An instance is bound to one `path` (a folder, file, `s3://bucket/prefix`, artifact name). */
export interface Backend {
  readonly name: 'local' | 's3' | 'artifact';

  /**
   * Stores one archive under `id`. It becomes visible as complete only when its last byte is in place; when `bytes`
   * throws or `signal` fires, nothing is left that could be taken for a snapshot, and the error is rethrown.
   *
   * @param suffix - the file name ending for compression and encryption, such as `.tar.zst` or `.tar.zst.age`
   * @throws TransshipError `SNAPSHOT_EXISTS` when there already is one with that id: nothing is ever overwritten
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  write(id: string, suffix: string, bytes: Bytes, signal?: AbortSignal): Promise<WrittenSnapshot>;

  /**
   * Stores a tree as `<path>/<cluster>/backup/<id>/`. It becomes visible as complete only when its last file is in
   * place; when `entries` throws or `signal` fires, what was written is removed again as far as possible, and the error
   * is rethrown.
   *
   * @param cluster - the name of its context; see `folderName`
   * @param entries - all files: `_snapshot.json` first, `_index.json` and `manifest` last; of an encrypted tree all but
   *   `manifest` end in `.age`. Bodies that are streams are read before the next entry is asked for; `manifest` is asked
   *   for when all before it is in place
   * @param base - a tree at the same path, of which files are copied
   * @throws TransshipError `SNAPSHOT_EXISTS` when there already is one with that id: nothing is ever overwritten
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   * @throws TransshipError `INPUT` when this backend keeps archives only
   * @throws TransshipError `BASE_GONE` when a file of `base` is not there, not as it was, or can't be copied: nothing is
   *   left of the new tree, as far as possible, and it can be written without a base
   */
  writeTree(
    id: string,
    cluster: string,
    entries: AsyncIterable<Entry>,
    signal?: AbortSignal,
    base?: TreeBase,
  ): Promise<WrittenSnapshot>;

  /** All snapshots at this path, newest first; archives and trees; unfinished ones included and marked. */
  list(): Promise<StoredSnapshot[]>;

  /**
   * Finds one snapshot.
   *
   * @param selector - an id or `latest` (the newest complete one)
   * @throws TransshipError `SNAPSHOT_NOT_FOUND` naming what there is instead
   * @throws TransshipError `INPUT` when it can't be told which cluster's is meant
   */
  find(selector: string): Promise<StoredSnapshot>;

  /**
   * Reads an archive's stored bytes from the start. A connection that breaks is resumed where the storage can do ranges.
   */
  read(snapshot: StoredSnapshot, signal?: AbortSignal): Bytes;

  /**
   * Reads a tree's files: `_snapshot.json` first, `_index.json` and `manifest` last. Nothing is checked. Bodies that are
   * streams can be read once, before the next entry is asked for.
   *
   * @throws TransshipError `INPUT` when this backend keeps archives only
   */
  readTree(snapshot: StoredSnapshot, signal?: AbortSignal): AsyncIterable<Entry>;

  /**
   * Looks at the files of a tree.
   *
   * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there are none
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   * @throws TransshipError `INPUT` when this backend keeps archives only
   */
  openTree(snapshot: StoredSnapshot, signal?: AbortSignal): Promise<TreeView>;

  /**
   * Begins the parts of a snapshot: archives of their own, beside the snapshot's, which belong to it once it names them.
   * An interrupted export of the same scope is gone on with, and then its id is taken instead.
   *
   * @param id - of the snapshot that is begun
   * @param scope - what is exported and how, compared as it is
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  beginParts(id: string, scope: string, signal?: AbortSignal): Promise<PartStore>;

  /**
   * Opens a part of a snapshot.
   *
   * @param file - {@link WrittenPart.file}
   * @param temporaryDirectory - for what can't be read from anywhere: it is brought here first
   * @throws TransshipError `SNAPSHOT_NOT_FOUND` when it is not there
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  openPart(
    snapshot: StoredSnapshot,
    file: string,
    temporaryDirectory: string,
    signal?: AbortSignal,
  ): Promise<PartReader>;

  /**
   * Keeps a saved plan beside the snapshots, where no list of these shows it. One that is there already stays: a plan's
   * id stands for its content.
   *
   * @returns where it is, as {@link StoredSnapshot.location}
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  writePlan(id: string, bytes: Buffer, signal?: AbortSignal): Promise<string>;

  /**
   * Reads a saved plan; undefined when there is none of that id.
   *
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  readPlan(id: string, signal?: AbortSignal): Promise<Buffer | undefined>;

  /** Looks at all that is at this path, also at what is no snapshot. */
  survey(signal?: AbortSignal): Promise<Survey>;

  /**
   * Deletes a snapshot with its parts. What says that it is whole goes first: one that is deleted half is not listed as
   * complete. One that is gone already is no failure.
   *
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  remove(snapshot: StoredSnapshot, signal?: AbortSignal): Promise<void>;

  /**
   * Deletes what {@link survey} found.
   *
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  removeLeftover(leftover: Leftover, signal?: AbortSignal): Promise<void>;

  /**
   * Deletes a saved plan, as {@link Survey.plans} names it. One that is gone already is no failure.
   *
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  removePlan(plan: string, signal?: AbortSignal): Promise<void>;

  /** The lease of who keeps this path up to date; undefined where nobody can, for a backend of artifacts. */
  readonly lease: LeaseStore | undefined;
}
