import { createHash, type Hash } from 'node:crypto';
import { TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import { digestEntries } from './digest-entries.ts';
import { MANIFEST_PATH } from './digests.ts';
import { decryptEntries, type EncryptedFile, encryptEntries } from './encrypted-tree.ts';
import { inspectEncrypted } from './encryption.ts';
import { type Body, type Entry, isFile } from './entry.ts';
import { createPathGuard, treePathProblem } from './paths.ts';
import { abortable, type Bytes } from './streams.ts';
import { verifyEntries, verifyStored } from './verify.ts';

/** What a tree came to. */
export interface TreeSummary {
  /** Bytes of all its files. */
  readonly size: number;
  /** `sha256:<hex>` of the file `manifest`, which names the digests of all others. */
  readonly digest: string;
  /** How many files were given, and their bytes; the index and the manifest are not counted. */
  readonly files: number;
  readonly bytes: number;
}

/** A tree on its way out. */
export interface TreeWriting {
  /**
   * All files, `_index.json` and `manifest` last; read once, each stream before the next entry is asked for. Only those
   * whose bytes are known to be stored already need not be read.
   */
  readonly entries: AsyncGenerator<Entry>;
  /** What it came to; there only after the last entry. */
  summary(): TreeSummary;
}

/**
 * Makes the files of a tree from entries: adds `_index.json`, which has no offsets here, and `manifest`. Nothing is read
 * before `entries` is.
 *
 * @param encryptTo - age's public keys, to which every file but the manifest is encrypted; not at all when left out
 * @param encrypted - see {@link encryptEntries}
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` naming a recipient that is none
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a path that not every file system takes, is there twice, or is one
 *   of those that are added; and for folders and links
 * @throws TransshipError `ARCHIVE_DAMAGED` for a body that yields fewer or more bytes than its entry's size
 */
export function writeTree(
  entries: AsyncIterable<Entry>,
  signal?: AbortSignal,
  encryptTo?: readonly string[],
  encrypted?: ReadonlyMap<string, EncryptedFile>,
): TreeWriting {
  const totals = { files: 0, bytes: 0 };
  const checkPath = createPathGuard(treePathProblem);
  const digested = digestEntries(refuseOthers(abortable(entries, signal)), totals);
  const measured = measureTree(encryptTo === undefined ? digested : encryptEntries(digested, encryptTo, encrypted));
  let ended = false;

  async function* files(): AsyncGenerator<Entry> {
    for await (const { path, size, body } of measured.entries) {
      checkPath(path);
      yield { path, size, body: checkSize(path, size, abortableBody(body, signal)) };
    }
    ended = true;
  }

  return {
    entries: files(),
    summary: () => {
      if (!ended) throw new Error('A tree has no summary before its last entry.');
      return { ...measured.result(), ...totals };
    },
  };
}

/** A tree on its way in. */
export interface TreeReading {
  /** What was given to {@link writeTree}; as with `readArchive`, nothing may be done with it before the end. */
  readonly entries: AsyncGenerator<Entry>;
  /** What was read; there only after the last entry. */
  result(): Pick<TreeSummary, 'size' | 'digest'>;
}

/**
 * Checks every path, size and digest of a stored tree as its files pass, and decrypts one that is encrypted.
 *
 * @param entries - all files, `_index.json` and `manifest` last
 * @param identities - age's secret keys; for a tree that is encrypted
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` when the tree is encrypted and none of the identities opens it
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming what differs, is missing or too much
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a path that may not be in a snapshot, or the index of a newer Transship
 */
export function readTree(
  entries: AsyncIterable<Entry>,
  signal?: AbortSignal,
  identities: readonly string[] = [],
): TreeReading {
  const measured = measureTree(guardPaths(entries, signal));
  const decrypted = decryptEntries(measured.entries, identities);
  return { entries: verifyEntries(decrypted.entries, decrypted.stored), result: measured.result };
}

/**
 * Checks an encrypted tree without a key: every file against the manifest, and that it can be what age has written.
 * What is in the files is not known.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming all that is wrong
 */
export async function checkEncryptedTree(
  entries: AsyncIterable<Entry>,
  signal?: AbortSignal,
): Promise<Pick<TreeSummary, 'size' | 'digest'>> {
  const measured = measureTree(guardPaths(entries, signal));
  await verifyStored(measured.entries, inspectEncrypted);
  return measured.result();
}

/** No backend of trees can keep folders or links. */
async function* refuseOthers(entries: AsyncIterable<Entry>): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    if (!isFile(entry)) {
      throw new TransshipError(
        'ARCHIVE_UNSUPPORTED',
        `${entry.path} is a ${entry.type}; a tree has plain files only.`,
        {
          hint: 'Choose the layout archive.',
        },
      );
    }
    yield entry;
  }
}

async function* guardPaths(entries: AsyncIterable<Entry>, signal: AbortSignal | undefined): AsyncGenerator<Entry> {
  const checkPath = createPathGuard();
  for await (const { path, size, body } of abortable(entries, signal)) {
    checkPath(path);
    yield { path, size, body: abortableBody(body, signal) };
  }
}

/** Sums the sizes of the files that pass, and digests the manifest. */
function measureTree(files: AsyncIterable<Entry>): TreeReading {
  let size = 0;
  const sha256 = createHash('sha256');
  async function* entries(): AsyncGenerator<Entry> {
    for await (const entry of files) {
      size += entry.size;
      yield entry.path === MANIFEST_PATH ? { ...entry, body: hashed(entry.body, sha256) } : entry;
    }
  }
  return { entries: entries(), result: () => ({ size, digest: `sha256:${sha256.copy().digest('hex')}` }) };
}

function hashed(body: Body, hash: Hash): Body {
  if (body instanceof Uint8Array) {
    hash.update(body);
    return body;
  }
  async function* pass(pieces: Bytes): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      hash.update(piece);
      yield piece;
    }
  }
  return pass(body);
}

function checkSize(path: string, size: number, body: Body): Body {
  const tooMany = () => damaged(`The body of ${path} has more than the ${size} bytes it should have.`);
  const tooFew = (read: number) => damaged(`The body of ${path} ended after ${read} of ${size} bytes.`);
  if (body instanceof Uint8Array) {
    if (body.byteLength > size) throw tooMany();
    if (body.byteLength < size) throw tooFew(body.byteLength);
    return body;
  }
  async function* pass(pieces: Bytes): AsyncGenerator<Uint8Array> {
    let read = 0;
    for await (const piece of pieces) {
      read += piece.byteLength;
      if (read > size) throw tooMany();
      yield piece;
    }
    if (read < size) throw tooFew(read);
  }
  return pass(body);
}

function abortableBody(body: Body, signal: AbortSignal | undefined): Body {
  return body instanceof Uint8Array || signal === undefined ? body : abortable(body, signal);
}
