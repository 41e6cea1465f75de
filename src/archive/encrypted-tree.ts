import { messageOf, TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import { digestBody, formatManifest, MANIFEST_PATH } from './digests.ts';
import { AGE_SUFFIX, createEncryption, decryptAll, startDecrypting } from './encryption.ts';
import { type Entry, entryOf } from './entry.ts';
import { pathProblem } from './paths.ts';
import { SNAPSHOT_PATH } from './snapshot.ts';

/** An encrypted file that is stored already. */
export interface EncryptedFile {
  /** Bytes as stored. */
  readonly size: number;
  /** Of the stored bytes, in hex. */
  readonly sha1: string;
}

/** The first file of an encrypted tree. */
const ENCRYPTED_SNAPSHOT_PATH = `${SNAPSHOT_PATH}${AGE_SUFFIX}`;

/**
 * Encrypts a tree's files, each on its own, as `<path>.age`. Only the manifest stays plain; it becomes one of the encrypted
 * files, so that anyone can check what is stored.
 *
 * @param entries - all files of a tree, the manifest last
 * @param stored - by their plain paths, those that are not encrypted again: their bytes will be taken from where they are,
 *   and their bodies can't be read
 * @throws TransshipError `INPUT` naming a recipient that is none
 */
export async function* encryptEntries(
  entries: AsyncIterable<Entry>,
  recipients: readonly string[],
  stored: ReadonlyMap<string, EncryptedFile> = new Map(),
): AsyncGenerator<Entry> {
  const encryption = await createEncryption(recipients);
  const manifest: [string, string][] = [];
  for await (const { path, size, body } of entries) {
    if (path === MANIFEST_PATH) {
      yield entryOf(MANIFEST_PATH, formatManifest(manifest));
      continue;
    }
    const name = `${path}${AGE_SUFFIX}`;
    const known = stored.get(path);
    if (known !== undefined) {
      yield { path: name, size: known.size, body: notHere(name) };
      manifest.push([name, known.sha1]);
      continue;
    }
    const encrypted = body instanceof Uint8Array ? await encryption.encryptAll(body) : encryption.encrypt(body);
    const digested = digestBody(encrypted);
    // Resumes when the body has been read.
    yield { path: name, size: encryption.sizeOf(size), body: digested.body };
    manifest.push([name, digested.digests().sha1]);
  }
}

// biome-ignore lint/correctness/useYield: there is nothing to give
async function* notHere(name: string): AsyncGenerator<Uint8Array> {
  throw new Error(`${name} is to be copied; its bytes are not here.`);
}

/** A tree's files on their way in, in plain. */
export interface DecryptedEntries {
  readonly entries: AsyncGenerator<Entry>;
  /** Of each stored file its SHA-1, which is what the manifest names; undefined when the tree is not encrypted. */
  stored(): ReadonlyMap<string, string> | undefined;
}

/**
 * Decrypts the files of a tree; those of one that is not encrypted pass untouched. The first file tells which.
 *
 * @throws TransshipError naming the file, as `decrypt` does
 */
export function decryptEntries(entries: AsyncIterable<Entry>, identities: readonly string[]): DecryptedEntries {
  let stored: Map<string, string> | undefined;

  async function* decrypted(): AsyncGenerator<Entry> {
    let first = true;
    for await (const entry of entries) {
      if (first && entry.path === ENCRYPTED_SNAPSHOT_PATH) stored = new Map();
      first = false;
      if (stored === undefined || entry.path === MANIFEST_PATH) yield entry;
      else yield* decryptEntry(entry, identities, stored);
    }
  }
  return { entries: decrypted(), stored: () => stored };
}

async function* decryptEntry(
  { path, size, body }: Entry,
  identities: readonly string[],
  stored: Map<string, string>,
): AsyncGenerator<Entry> {
  if (!path.endsWith(AGE_SUFFIX)) throw damaged(`${path} is not encrypted, as the snapshot is.`);
  const plainPath = path.slice(0, -AGE_SUFFIX.length);
  const problem = pathProblem(plainPath);
  if (problem !== undefined) throw damaged(`The path ${JSON.stringify(plainPath)} ${problem}.`);
  const digested = digestBody(body);
  if (digested.body instanceof Uint8Array) {
    const plain = await decryptAll(digested.body, identities).catch(failOf(path));
    yield { path: plainPath, size: plain.byteLength, body: plain };
  } else {
    const decrypting = await startDecrypting(digested.body, size, identities).catch(failOf(path));
    try {
      yield { path: plainPath, size: decrypting.size, body: naming(path, decrypting.bytes) };
    } finally {
      await decrypting.close();
    }
  }
  stored.set(path, digested.digests().sha1);
}

async function* naming(path: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } catch (error) {
    failOf(path)(error);
  }
}

/** For `.catch()`: says which file is damaged. */
function failOf(path: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof TransshipError && error.code === 'ARCHIVE_DAMAGED')) throw error;
    throw damaged(`${path}: ${messageOf(error)}`, error);
  };
}
