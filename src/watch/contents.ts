import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';

/** What a snapshot holds, to tell whether another one holds the same. */
export interface Contents {
  /** See {@link scopeOf}. */
  readonly scope: string;
  /** All files by their paths, `_index.json` and `manifest` not among them. */
  readonly files: ReadonlyMap<string, ContentFile>;
}

/** A file of a snapshot. */
export interface ContentFile {
  /** Bytes. */
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
}

/** How one snapshot differs from another: paths, in the order of the snapshots. */
export interface ContentChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Whether it is of another cluster, was asked to hold something else, or has another manager. */
  readonly scope: boolean;
}

/**
 * What of `_snapshot.json` makes a snapshot another one: which cluster it is of, what it was asked to hold, and who keeps
 * it up to date. Its id and time always differ. The versions of cluster and tool, the name of the context and the kinds
 * that the cluster serves tell where the objects are from and how to read them; what that changes of the objects shows in
 * their files, and a cluster that for a while does not serve a kind it has no objects of is not worth a snapshot.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED`, `ARCHIVE_UNSUPPORTED` when it is no `_snapshot.json` of this version
 */
export function scopeOf(snapshot: Uint8Array): string {
  const { cluster, scope, manager } = parseSnapshot(snapshot);
  return JSON.stringify([cluster.uid, scope, manager]);
}

/** Compares what two snapshots hold. */
export function compareContents(before: Contents, after: Contents): ContentChanges {
  const added: string[] = [];
  const changed: string[] = [];
  for (const [path, { sha256 }] of after.files) {
    const known = before.files.get(path);
    if (known === undefined) added.push(path);
    else if (path !== SNAPSHOT_PATH && known.sha256 !== sha256) changed.push(path);
  }
  const removed = [...before.files.keys()].filter((path) => !after.files.has(path));
  return { added, changed, removed, scope: before.scope !== after.scope };
}

/** Whether there is any difference. */
export function hasChanges({ added, changed, removed, scope }: ContentChanges): boolean {
  return scope || added.length + changed.length + removed.length > 0;
}
