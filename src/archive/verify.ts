import { messageOf, TransshipError } from '../errors.ts';
import { ArchiveDamagedError, damaged } from './damage.ts';
import {
  type ArchiveIndex,
  type Digests,
  digestBody,
  INDEX_PATH,
  MANIFEST_PATH,
  MAX_INDEX_BYTES,
  parseIndex,
  parseManifest,
} from './digests.ts';
import { type Entry, isFile, readBody } from './entry.ts';
import { type Bytes, handOut } from './streams.ts';

/** What was read of one file. */
interface SeenFile extends Digests {
  readonly size: number;
}

/**
 * Checks every size and digest of a snapshot's files as they pass, and leaves out `_index.json` and `manifest`, which
 * must be the last ones. Bodies that are streams can be read once, before the next entry is asked for; what a reader
 * leaves is read here.
 *
 * The digests stand at the end: nothing may be done with an entry before the iteration has ended without an error.
 *
 * @param storedOf - asked at the end: of each stored file its SHA-1, where those are not the entries themselves; they are
 *   what the manifest names then
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming what differs, is missing or too much
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for the index of a newer Transship
 */
export async function* verifyEntries(
  entries: AsyncIterable<Entry>,
  storedOf: () => ReadonlyMap<string, string> | undefined = () => undefined,
): AsyncGenerator<Entry> {
  const seen = new Map<string, SeenFile>();
  let index: ArchiveIndex | undefined;
  let manifest: Map<string, string> | undefined;
  for await (const entry of entries) {
    const { path, size, body } = entry;
    if (manifest !== undefined) throw damaged(`${path} follows the manifest, which must be the last file.`);
    if (path === MANIFEST_PATH) {
      manifest = parseManifest(await readText({ path, size, body }));
      continue;
    }
    if (index !== undefined) throw damaged(`${path} follows ${INDEX_PATH}, which must be the last file but one.`);
    if (!isFile(entry)) {
      yield entry;
      continue;
    }
    const digested = digestBody(body);
    if (path === INDEX_PATH) {
      index = parseIndex(await readText({ path, size, body: digested.body }));
    } else if (digested.body instanceof Uint8Array) {
      yield { ...entry, body: digested.body };
    } else {
      const { body: handed, drain } = handOut(digested.body, path);
      yield { ...entry, body: handed };
      await drain();
    }
    seen.set(path, { size, ...digested.digests() });
  }
  const last = [...seen.keys()].at(-1);
  if (index === undefined || manifest === undefined) {
    const missing = index === undefined ? INDEX_PATH : MANIFEST_PATH;
    throw damaged(`The snapshot is not complete: it has no ${missing} after ${last ?? 'its start'}.`);
  }
  const stored = storedOf() ?? new Map([...seen].map(([path, { sha1 }]) => [path, sha1]));
  refuseProblems([...compareIndex(seen, index), ...compareManifest(stored, manifest)]);
}

/**
 * Checks the digests of a snapshot's files against its manifest alone, and reads all of them. That is what can be done
 * with encrypted files without a key.
 *
 * @param inspect - reads one file, and throws what is wrong with it
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming all that differs, is missing or too much
 */
export async function verifyStored(
  entries: AsyncIterable<Entry>,
  inspect: (body: Bytes) => Promise<unknown>,
): Promise<void> {
  const seen = new Map<string, string>();
  const problems: string[] = [];
  let manifest: Map<string, string> | undefined;
  for await (const { path, size, body } of entries) {
    if (manifest !== undefined) throw damaged(`${path} follows the manifest, which must be the last file.`);
    if (path === MANIFEST_PATH) {
      manifest = parseManifest(await readText({ path, size, body }));
      continue;
    }
    const digested = digestBody(body);
    const { body: handed, drain } = handOut(
      digested.body instanceof Uint8Array ? once(digested.body) : digested.body,
      path,
    );
    try {
      await inspect(handed);
    } catch (error) {
      if (!(error instanceof TransshipError && error.code === 'ARCHIVE_DAMAGED')) throw error;
      problems.push(`${path}: ${error.message}`);
    }
    await drain();
    seen.set(path, digested.digests().sha1);
  }
  if (manifest === undefined) throw damaged(`The snapshot is not complete: it has no ${MANIFEST_PATH}.`);
  refuseProblems([...problems, ...compareManifest(seen, manifest)]);
}

/** @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) with all problems, where there are some */
export function refuseProblems([first, ...others]: readonly string[]): void {
  if (first !== undefined) throw new ArchiveDamagedError([first, ...others]);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function* compareIndex(seen: ReadonlyMap<string, SeenFile>, index: ArchiveIndex): Generator<string> {
  const named = new Set<string>();
  let bytes = 0;
  for (const { path, size, sha256 } of index.files) {
    if (named.has(path)) yield `${INDEX_PATH} names ${path} twice.`;
    named.add(path);
    bytes += size;
    const file = path === INDEX_PATH ? undefined : seen.get(path);
    if (file === undefined) yield `${path} is missing: ${INDEX_PATH} names it.`;
    else if (file.size !== size) yield `${path} has ${file.size} bytes; ${INDEX_PATH} says ${size}.`;
    else if (file.sha256 !== sha256) yield differs(path, 'SHA-256', file.sha256, INDEX_PATH, sha256);
  }
  for (const path of seen.keys()) {
    if (path !== INDEX_PATH && !named.has(path)) yield `${path} is not one of the files that ${INDEX_PATH} names.`;
  }
  const { counts } = index;
  if (counts.files !== index.files.length || counts.bytes !== bytes) {
    yield `${INDEX_PATH} counts ${counts.files} files and ${counts.bytes} bytes; it names ${index.files.length} and ${bytes}.`;
  }
}

/** What is wrong between the files that were read, by their SHA-1, and those that a manifest names. */
export function* compareManifest(
  seen: ReadonlyMap<string, string>,
  manifest: ReadonlyMap<string, string>,
): Generator<string> {
  for (const [path, expected] of manifest) {
    const sha1 = seen.get(path);
    if (sha1 === undefined) yield `${path} is missing: the manifest names it.`;
    else if (sha1 !== expected) yield differs(path, 'SHA-1', sha1, 'the manifest', expected);
  }
  for (const path of seen.keys()) {
    if (!manifest.has(path)) yield `${path} is not one of the files that the manifest names.`;
  }
}

function differs(path: string, digest: string, actual: string, where: string, expected: string): string {
  return `${path} is damaged: its ${digest} is ${actual}; ${where} says ${expected}.`;
}

/** Reads a manifest or an index whole. */
export async function readText(entry: Entry): Promise<string> {
  const bytes = await readBody(entry, MAX_INDEX_BYTES);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw damaged(`${entry.path} is damaged: ${messageOf(error)}.`, error);
  }
}
