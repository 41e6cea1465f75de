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
   *   `manifest` end in `.age`. Bodies that are streams are read before the next entry is asked for
   * @throws TransshipError `SNAPSHOT_EXISTS` when there already is one with that id: nothing is ever overwritten
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   * @throws TransshipError `INPUT` when this backend keeps archives only
   */
  writeTree(id: string, cluster: string, entries: AsyncIterable<Entry>, signal?: AbortSignal): Promise<WrittenSnapshot>;

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
}
