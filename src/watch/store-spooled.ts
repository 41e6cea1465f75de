import { type Compression, suffixOf } from '../archive/compression.ts';
import { MANIFEST_PATH, parseManifest } from '../archive/digests.ts';
import type { EncryptedFile } from '../archive/encrypted-tree.ts';
import { AGE_SUFFIX, withAge } from '../archive/encryption-header.ts';
import { type Entry, readBody } from '../archive/entry.ts';
import { SNAPSHOT_PATH } from '../archive/snapshot.ts';
import type { Bytes } from '../archive/streams.ts';
import { writeTree } from '../archive/tree.ts';
import { writeArchive } from '../archive/write.ts';
import type { Backend, StoredFile, TreeBase } from '../backends/backend.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { SpooledSnapshot } from './spool.ts';
import type { StoredBase, StoredContents } from './stored-contents.ts';

/** How and where to store a snapshot. */
export interface StoreOptions {
  /** The name of the cluster's context. */
  readonly cluster: string;
  readonly layout: 'archive' | 'tree';
  /** Of an archive. */
  readonly compression: Compression;
  /** age's public keys; not encrypted when left out. */
  readonly encryptTo?: readonly string[] | undefined;
  /** What is stored at the same path already: of a tree only what differs is sent. */
  readonly base?: StoredContents | undefined;
  /**
   * What is done just before the last bytes, which make the snapshot whole. When it throws, nothing is left, as far as
   * possible, and the error is rethrown.
   */
  readonly beforeLast?: (() => Promise<void>) | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Larger files are sent: a copy of so much takes the service its time, and S3 refuses one of 5 GiB. */
const MOST_COPIED = 1024 * 1024 * 1024;
/** Bodies up to this size are read whole before they are encrypted or sent. */
const SMALL_BYTES = 1024 * 1024;

/**
 * Stores a spooled snapshot, which stays in the spool. When a tree can't be written beside its base, it is written
 * without, and the reporter is told.
 *
 * @returns what was stored, with its size and digest, the bytes that were sent, and what makes it the base of the next one
 * @throws TransshipError `SNAPSHOT_EXISTS` when there already is one with that id
 * @throws TransshipError `BACKEND` when the storage refuses or fails; `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_DAMAGED` when a file of the spool is not what was put there
 */
export async function storeSpooled(
  backend: Backend,
  spooled: SpooledSnapshot,
  options: StoreOptions,
): Promise<StoredContents & { readonly sent: number }> {
  if (options.layout === 'archive') return storeArchive(backend, spooled, options);
  const copied = options.base === undefined ? undefined : findUnchanged(spooled, options.base, options.encryptTo);
  if (copied === undefined || copied.base.files.size === 0) return storeTree(backend, spooled, options);
  try {
    return await storeTree(backend, spooled, options, copied);
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code !== 'BASE_GONE') throw error;
    options.reporter.warn(
      `${error.message} All of snapshot ${spooled.id} is sent.${error.hint === undefined ? '' : ` ${error.hint}`}`,
    );
    return storeTree(backend, spooled, options);
  }
}

async function storeArchive(
  backend: Backend,
  spooled: SpooledSnapshot,
  { compression, encryptTo, beforeLast, signal }: StoreOptions,
): Promise<StoredContents & { readonly sent: number }> {
  const { id, created, scope, files } = spooled;
  const archive = writeArchive(spooled.entries(), { compression, mtime: created, encryptTo, signal });
  const suffix = withAge(suffixOf(compression), encryptTo);
  const written = await backend.write(id, suffix, holdLast(archive.bytes, beforeLast), signal);
  const { size, digest } = archive.summary();
  return { snapshot: { ...written, size, digest, sent: size }, contents: { scope, files }, sent: size };
}

/** Gives the last piece when all before it was taken and `beforeLast` has returned. */
async function* holdLast(bytes: Bytes, beforeLast: (() => Promise<void>) | undefined): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined;
  for await (const piece of bytes) {
    if (held !== undefined) yield held;
    held = piece;
  }
  await beforeLast?.();
  if (held !== undefined) yield held;
}

/** What of a base is the same. */
interface Unchanged {
  readonly base: TreeBase;
  /** The plain paths of these files. */
  readonly paths: ReadonlySet<string>;
  /** Of an encrypted tree, by plain paths. */
  readonly encrypted: ReadonlyMap<string, EncryptedFile>;
}

/** Finds the files whose stored bytes can be those of the new tree, too. */
function findUnchanged(
  spooled: SpooledSnapshot,
  { snapshot, contents, base }: StoredContents,
  encryptTo: readonly string[] | undefined,
): Unchanged | undefined {
  if (base === undefined || !isFor(base, encryptTo)) return undefined;
  const files = new Map<string, StoredFile>();
  const paths = new Set<string>();
  const encrypted = new Map<string, EncryptedFile>();
  for (const [path, { sha256 }] of spooled.files) {
    // The first file is the claim to the id, whatever is in it.
    if (path === SNAPSHOT_PATH || contents.files.get(path)?.sha256 !== sha256) continue;
    const name = base.encrypted === undefined ? path : `${path}${AGE_SUFFIX}`;
    const stored = base.files.get(name);
    // A service that tells no ETag could copy anything.
    if (stored === undefined || stored.version === '' || stored.size > MOST_COPIED) continue;
    if (base.encrypted !== undefined) {
      const sha1 = base.encrypted.sha1.get(name);
      if (sha1 === undefined) continue;
      encrypted.set(path, { size: stored.size, sha1 });
    }
    files.set(name, stored);
    paths.add(path);
  }
  return { base: { snapshot, files }, paths, encrypted };
}

/** Whether a base is encrypted to the same recipients, or not at all as well. */
function isFor({ encrypted }: StoredBase, encryptTo: readonly string[] | undefined): boolean {
  const listed = (recipients: readonly string[] | undefined) =>
    recipients
      ?.map((one) => one.trim())
      .toSorted()
      .join(' ');
  return listed(encrypted?.to) === listed(encryptTo);
}

async function storeTree(
  backend: Backend,
  spooled: SpooledSnapshot,
  { cluster, encryptTo, beforeLast, signal }: StoreOptions,
  unchanged?: Unchanged,
): Promise<StoredContents & { readonly sent: number }> {
  const { id, scope, files: plain } = spooled;
  const tree = writeTree(readSmall(spooled, unchanged), signal, encryptTo, unchanged?.encrypted);
  let manifest = '';
  async function* entries(): AsyncGenerator<Entry> {
    for await (const entry of tree.entries) {
      if (entry.path === MANIFEST_PATH) {
        manifest = (await readBody(entry)).toString();
        await beforeLast?.();
      }
      yield entry;
    }
  }
  const written = await backend.writeTree(id, cluster, entries(), signal, unchanged?.base);
  const { size, digest } = tree.summary();
  const { files = new Map<string, StoredFile>(), sent = size } = written;
  const encrypted = encryptTo && { to: encryptTo, sha1: parseManifest(manifest) };
  return {
    snapshot: { ...written, size, digest },
    contents: { scope, files: plain },
    base: { files, encrypted },
    sent,
  };
}

/** The entries, the bodies of small files in memory but for those that are not read. */
async function* readSmall(spooled: SpooledSnapshot, unchanged: Unchanged | undefined): AsyncGenerator<Entry> {
  for await (const entry of spooled.entries()) {
    const { path, size } = entry;
    const isLeft = unchanged?.paths.has(path) === true || size > SMALL_BYTES;
    yield isLeft ? entry : { ...entry, body: await readBody(entry) };
  }
}
