/** The bytes of a stored archive. */
export type Bytes = AsyncIterable<Uint8Array>;

/** What a backend knows of one stored snapshot without reading it. */
export interface StoredSnapshot {
  /** `YY-MM-DD_HH-MM-SS`, UTC. */
  readonly id: string;
  /** Where it is, as a user would type it: a file path, an `s3://` URL, an artifact's URL. */
  readonly location: string;
  /** Bytes as stored; of an unfinished snapshot, as far as known. */
  readonly size: number;
  /** `unfinished` is what an interrupted export left behind: never offered as `latest`, never imported. */
  readonly state: 'complete' | 'unfinished';
  /** The artifact's id, for the artifact backend. */
  readonly artifactId?: number | undefined;
  /** `sha256:<hex>` of the stored bytes, where the backend knows it without reading them. */
  readonly digest?: string | undefined;
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
   * @param suffix - the file name ending for the compression, such as `.tar.zst`
   * @throws TransshipError `SNAPSHOT_EXISTS` when there already is one with that id: nothing is ever overwritten
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  write(id: string, suffix: string, bytes: Bytes, signal?: AbortSignal): Promise<WrittenSnapshot>;

  /** All snapshots at this path, newest first; unfinished ones included and marked. */
  list(): Promise<StoredSnapshot[]>;

  /**
   * Finds one snapshot.
   *
   * @param selector - an id or `latest` (the newest complete one)
   * @throws TransshipError `SNAPSHOT_NOT_FOUND` naming what there is instead
   */
  find(selector: string): Promise<StoredSnapshot>;

  /** Reads the stored bytes from the start. A connection that breaks is resumed where the storage can do ranges. */
  read(snapshot: StoredSnapshot, signal?: AbortSignal): Bytes;
}
