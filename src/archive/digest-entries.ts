import { createHash, hash } from 'node:crypto';
import { TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import {
  type DigestedBody,
  type Digests,
  digestBody,
  formatIndex,
  formatManifest,
  INDEX_PATH,
  type IndexedFile,
  MANIFEST_PATH,
  MAX_INDEX_BYTES,
} from './digests.ts';
import { type Body, type Entry, entryOf, isFile } from './entry.ts';

/**
 * The entries, followed by `_index.json` and `manifest` of all files that went before. Digests are taken as bodies pass: one
 * that is a stream must have been read to its end before the next entry is asked for, but for one whose digests are known.
 *
 * @param totals - counts the files that were given, and their bytes
 * @param spanOf - how many bytes an entry takes where one stands behind the other; only then does the index say where
 *   each starts
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for an entry that is one of those that are added, and for too many
 * @throws TransshipError `ARCHIVE_DAMAGED` for a body that has not the digests that were known
 */
export async function* digestEntries(
  entries: AsyncIterable<Entry>,
  totals: { files: number; bytes: number },
  spanOf?: (path: string, size: number, entry: Entry) => number,
): AsyncGenerator<Entry> {
  const files: IndexedFile[] = [];
  const manifest: [string, string][] = [];
  let offset = 0;
  for await (const entry of entries) {
    const { path, size, body } = entry;
    if (path === INDEX_PATH || path === MANIFEST_PATH) {
      throw new TransshipError('ARCHIVE_UNSUPPORTED', `${path} is written by the archive itself.`);
    }
    const start = offset;
    offset += spanOf?.(path, size, entry) ?? 0;
    if (!isFile(entry)) {
      yield entry;
      continue;
    }
    const digested = entry.digests === undefined ? digestBody(body) : checkBody(path, body, entry.digests);
    // Resumes when the body has been written.
    yield { ...entry, body: digested.body };
    const { sha1, sha256 } = digested.digests();
    files.push(spanOf === undefined ? { path, size, sha256 } : { path, size, sha256, offset: start });
    manifest.push([path, sha1]);
    totals.files++;
    totals.bytes += size;
  }
  const index = entryOf(INDEX_PATH, formatIndex(files));
  if (index.size > MAX_INDEX_BYTES) {
    throw new TransshipError('ARCHIVE_UNSUPPORTED', `The archive has too many files: ${totals.files}.`, {
      hint: 'Export fewer namespaces at once, or fewer revisions.',
    });
  }
  const { body, digests } = digestBody(index.body);
  yield { ...index, body };
  manifest.push([INDEX_PATH, digests().sha1]);
  yield entryOf(MANIFEST_PATH, formatManifest(manifest));
}

/** A body whose digests are known; when it is read, they are checked. */
function checkBody(path: string, body: Body, known: Digests): DigestedBody {
  const check = (sha256: string) => {
    if (sha256 !== known.sha256) throw damaged(`The body of ${path} is not the one it was.`);
  };
  const digests = () => known;
  if (body instanceof Uint8Array) {
    check(hash('sha256', body));
    return { body, digests };
  }
  async function* pass(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const sha256 = createHash('sha256');
    for await (const piece of pieces) {
      sha256.update(piece);
      yield piece;
    }
    check(sha256.digest('hex'));
  }
  return { body: pass(body), digests };
}
