import { createHash, hash } from 'node:crypto';
import * as z from 'zod/mini';
import { messageOf, TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import type { Body } from './entry.ts';
import { pathProblem } from './paths.ts';

/** The last file but one of an archive: what is in it. */
export const INDEX_PATH = '_index.json';

/** The last file of an archive: a line for each other file, for `sha1sum -c manifest`. */
export const MANIFEST_PATH = 'manifest';

/** The most bytes of an index or manifest, which are read whole: some 1.5 million files. */
export const MAX_INDEX_BYTES = 256 * 1024 * 1024;

const INDEX_VERSION = 1;

/** The digests of one file, in hex. */
export interface Digests {
  readonly sha1: string;
  readonly sha256: string;
}

/** A body that is digested as it passes. */
export interface DigestedBody {
  readonly body: Body;
  /** Complete once the body was read to its end. */
  digests(): Digests;
}

/** Digests a body as it passes: SHA-1 for `sha1sum` and KubeVirt's archives, SHA-256 for proof. */
export function digestBody(body: Body): DigestedBody {
  if (body instanceof Uint8Array) {
    const digests = { sha1: hash('sha1', body), sha256: hash('sha256', body) };
    return { body, digests: () => digests };
  }
  const sha1 = createHash('sha1');
  const sha256 = createHash('sha256');
  async function* pass(pieces: AsyncIterable<Uint8Array>) {
    for await (const piece of pieces) {
      sha1.update(piece);
      sha256.update(piece);
      yield piece;
    }
  }
  return { body: pass(body), digests: () => ({ sha1: sha1.digest('hex'), sha256: sha256.digest('hex') }) };
}

/** What `_index.json` says of one file. */
export interface IndexedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
  /**
   * Where its header starts in the uncompressed tar, in bytes; tools that pack an archive anew may move it. A tree's
   * files have none.
   */
  readonly offset?: number | undefined;
}

/** What `_index.json` holds: every file but itself and the manifest, in the order they stand in the archive. */
export interface ArchiveIndex {
  readonly files: readonly IndexedFile[];
  /** How many files are named, and their bytes in all. */
  readonly counts: { readonly files: number; readonly bytes: number };
}

const indexSchema = z.object({
  formatVersion: z.literal(INDEX_VERSION),
  counts: z.object({ files: z.int().check(z.nonnegative()), bytes: z.int().check(z.nonnegative()) }),
  files: z.array(
    z.object({
      path: z.string(),
      size: z.int().check(z.nonnegative()),
      sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
      offset: z.optional(z.int().check(z.nonnegative())),
    }),
  ),
});

/** The index as JSON, a file a line. */
export function formatIndex(files: readonly IndexedFile[]): string {
  const counts = { files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) };
  const lines = files.map(({ path, size, sha256, offset }) => JSON.stringify({ path, size, sha256, offset }));
  return `{"formatVersion":${INDEX_VERSION},"counts":${JSON.stringify(counts)},"files":[\n${lines.join(',\n')}\n]}\n`;
}

/**
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for the index of a newer Transship
 * @throws TransshipError `ARCHIVE_DAMAGED` for anything else that is no index
 */
export function parseIndex(text: string): ArchiveIndex {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw damaged(`${INDEX_PATH} is no JSON: ${messageOf(error)}.`, error);
  }
  const version = z.object({ formatVersion: z.int().check(z.minimum(INDEX_VERSION + 1)) }).safeParse(json);
  if (version.success) {
    throw new TransshipError(
      'ARCHIVE_UNSUPPORTED',
      `${INDEX_PATH} has format version ${version.data.formatVersion}; this Transship reads ${INDEX_VERSION}.`,
      { hint: 'Use the version of Transship that wrote the archive, or a newer one.' },
    );
  }
  const index = indexSchema.safeParse(json);
  if (!index.success) throw damaged(`${INDEX_PATH} is not as written: ${z.prettifyError(index.error)}`, index.error);
  const { files, counts } = index.data;
  return { files, counts };
}

/** The manifest as `sha1sum` prints it. */
export function formatManifest(files: Iterable<readonly [path: string, sha1: string]>): string {
  let text = '';
  for (const [path, sha1] of files) text += `${sha1}  ${path}\n`;
  return text;
}

/**
 * Reads a manifest: of each path its SHA-1 in hex. A leading `./` is left out.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` naming a line that is no line of `sha1sum`, or a path that is there twice
 */
export function parseManifest(text: string): Map<string, string> {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw damaged(`${MANIFEST_PATH} is cut: its last line has no end.`);
  const files = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    // Two blanks in text mode, a blank and an asterisk in binary mode; `find` puts a `./` before its paths.
    const match = /^([0-9a-f]{40}) [ *](?:\.\/+)*(.+)$/s.exec(line);
    const [, sha1, path] = match ?? [];
    if (sha1 === undefined || path === undefined || pathProblem(path) !== undefined) {
      throw damaged(`${MANIFEST_PATH} is damaged: line ${index + 1} is ${JSON.stringify(line.slice(0, 200))}.`);
    }
    if (files.has(path)) throw damaged(`${MANIFEST_PATH} is damaged: it names ${path} twice.`);
    files.set(path, sha1);
  }
  return files;
}
