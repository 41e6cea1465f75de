import { hash } from 'node:crypto';
import { damaged } from '../archive/damage.ts';
import { INDEX_PATH, type IndexedFile, MANIFEST_PATH, parseIndex, parseManifest } from '../archive/digests.ts';
import { readBody } from '../archive/entry.ts';
import { measureAll } from '../archive/measure.ts';
import { readArchive } from '../archive/read.ts';
import { SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { compareManifest, refuseProblems } from '../archive/verify.ts';
import type { Backend, StoredFile, StoredSnapshot, TreeView, WrittenSnapshot } from '../backends/backend.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { type ContentFile, type Contents, scopeOf } from './contents.ts';

/** A stored snapshot of which it is known what it holds. */
export interface StoredContents {
  readonly snapshot: WrittenSnapshot;
  readonly contents: Contents;
  /** How the next tree is written beside it; undefined for archives, and where the tree can't be trusted for that. */
  readonly base?: StoredBase | undefined;
}

/** The files of a stored tree that others may be copied from. */
export interface StoredBase {
  /** By their paths as stored. */
  readonly files: ReadonlyMap<string, StoredFile>;
  /** Of an encrypted tree, to whom, and of each stored file its SHA-1 in hex. */
  readonly encrypted?: { readonly to: readonly string[]; readonly sha1: ReadonlyMap<string, string> } | undefined;
}

/** How to read. */
export interface ReadContentsOptions {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Clocks of the machines of one storage may differ by so much, in milliseconds. */
const CLOCK_TOLERANCE = 2000;

/**
 * Finds out what a stored snapshot holds: of a tree from its index, without reading its files, of an archive by reading
 * it. Undefined, and the reporter is told why, when it is encrypted, damaged or gone: then the next one is written as if
 * there were none.
 *
 * @throws TransshipError `BACKEND` when the storage refuses or fails
 * @throws TransshipError `CANCELLED` when the signal fires
 */
export async function readStoredContents(
  backend: Backend,
  snapshot: StoredSnapshot,
  { reporter, signal }: ReadContentsOptions,
): Promise<StoredContents | undefined> {
  const giveUp = (reason: string) => {
    reporter.info(`What ${snapshot.location} holds is not known: ${reason} All is written anew.`);
    return undefined;
  };
  if (snapshot.encrypted === true) return giveUp('it is encrypted, and only its readers have the key.');
  try {
    if (snapshot.layout === 'archive') return { snapshot, contents: await readArchived(backend, snapshot, signal) };
    const tree = await backend.openTree(snapshot, signal);
    const contents = await readTreeContents(tree);
    const touched = findTouched(tree);
    if (touched === undefined) return { snapshot, contents, base: { files: tree.files } };
    reporter.info(`${touched} in ${snapshot.location} was written after its manifest: no file is copied from there.`);
    return { snapshot, contents };
  } catch (error) {
    if (!(error instanceof TransshipError) || !WORTHLESS.includes(error.code)) throw error;
    return giveUp(error.message);
  }
}

/** `INPUT` is the error of an encrypted archive whose name does not say so. */
const WORTHLESS = ['ARCHIVE_DAMAGED', 'ARCHIVE_UNSUPPORTED', 'SNAPSHOT_NOT_FOUND', 'INPUT'];

async function readArchived(
  backend: Backend,
  snapshot: StoredSnapshot,
  signal: AbortSignal | undefined,
): Promise<Contents> {
  const files = new Map<string, ContentFile>();
  let scope = '';
  for await (const entry of readArchive(backend.read(snapshot, signal), signal)) {
    const { path, size } = entry;
    const body = path === SNAPSHOT_PATH ? await readBody(entry) : entry.body;
    if (body instanceof Uint8Array) {
      if (path === SNAPSHOT_PATH) scope = scopeOf(body);
      files.set(path, { size, sha256: hash('sha256', body) });
    } else {
      const { digest } = await measureAll(body);
      files.set(path, { size, sha256: digest.slice('sha256:'.length) });
    }
  }
  return { scope, files };
}

/** Reads what says what is in a tree, checks that by itself, and that the files are there. */
async function readTreeContents(tree: TreeView): Promise<Contents> {
  const manifest = parseManifest((await readOf(tree, MANIFEST_PATH)).toString());
  const [index, snapshot] = await Promise.all([readOf(tree, INDEX_PATH), readOf(tree, SNAPSHOT_PATH)]);
  const read = new Map([
    [INDEX_PATH, hash('sha1', index)],
    [SNAPSHOT_PATH, hash('sha1', snapshot)],
  ]);
  const paths = [...tree.files.keys()].filter((path) => path !== MANIFEST_PATH);
  // Of what is not read it is known that it is there.
  const found = new Map(paths.map((path) => [path, read.get(path) ?? manifest.get(path) ?? '']));
  const { files } = parseIndex(index.toString());
  refuseProblems([...compareManifest(found, manifest), ...compareSizes(files, tree, manifest)]);
  return { scope: scopeOf(snapshot), files: new Map(files.map(({ path, size, sha256 }) => [path, { size, sha256 }])) };
}

async function readOf(tree: TreeView, path: string): Promise<Buffer> {
  if (!tree.files.has(path)) throw damaged(`It has no ${path}.`);
  return tree.read(path);
}

function* compareSizes(
  indexed: readonly IndexedFile[],
  tree: TreeView,
  manifest: ReadonlyMap<string, string>,
): Generator<string> {
  for (const { path, size } of indexed) {
    const found = tree.files.get(path)?.size;
    if (found !== size) yield `${path} has ${found ?? 'no'} bytes; ${INDEX_PATH} says ${size}.`;
  }
  if (indexed.length + 1 !== manifest.size) {
    yield `${INDEX_PATH} names ${indexed.length} files and ${MANIFEST_PATH} ${manifest.size}, itself not counted.`;
  }
}

/** A file that is newer than the manifest, which is written last: somebody put it there, and its digest may be another. */
function findTouched({ files }: TreeView): string | undefined {
  const written = files.get(MANIFEST_PATH)?.modified ?? 0;
  return [...files].find(([, { modified }]) => modified > written + CLOCK_TOLERANCE)?.[0];
}
