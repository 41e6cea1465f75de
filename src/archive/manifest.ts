import { createHash } from 'node:crypto';
import { TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import { formatManifest, MANIFEST_PATH, parseManifest } from './digests.ts';
import { type Body, type Entry, entryOf, isFile } from './entry.ts';
import { handOut } from './streams.ts';
import { compareManifest, readText, refuseProblems } from './verify.ts';

/*
 * Archives that have a manifest and no index, as KubeVirt's VM archives:
 * https://github.com/kubevirt/community/pull/155
 */

/**
 * The entries, followed by the `manifest` of the files among them. SHA-1 alone is computed: it is half the work of both
 * digests, and disks are large. A body that is a stream must have been read to its end before the next entry is asked
 * for.
 *
 * @param totals - counts the files that were given, and their bytes
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for an entry that is a manifest itself
 */
export async function* addManifest(
  entries: AsyncIterable<Entry>,
  totals: { files: number; bytes: number },
): AsyncGenerator<Entry> {
  const manifest: [string, string][] = [];
  for await (const entry of entries) {
    if (entry.path === MANIFEST_PATH) {
      throw new TransshipError('ARCHIVE_UNSUPPORTED', `${MANIFEST_PATH} is written by the archive itself.`);
    }
    if (!isFile(entry)) {
      yield entry;
      continue;
    }
    const { body, digest } = digestSha1(entry.body);
    // Resumes when the body has been written.
    yield { ...entry, body };
    manifest.push([entry.path, digest()]);
    totals.files++;
    totals.bytes += entry.size;
  }
  yield entryOf(MANIFEST_PATH, formatManifest(manifest));
}

/**
 * Checks the files of such an archive against its manifest as they pass, and leaves it out. Other tools may have put it
 * anywhere, and may have listed hard links too.
 *
 * Nothing may be done with an entry before the iteration has ended without an error.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming what differs, is missing or too much
 */
export async function* verifyManifest(entries: AsyncIterable<Entry>): AsyncGenerator<Entry> {
  const seen = new Map<string, string>();
  const links: [path: string, target: string][] = [];
  let manifest: Map<string, string> | undefined;
  for await (const entry of entries) {
    const { path } = entry;
    if (path === MANIFEST_PATH) {
      manifest = parseManifest(await readText(entry));
    } else if (isFile(entry)) {
      const digested = digestSha1(entry.body);
      if (digested.body instanceof Uint8Array) {
        yield entry;
      } else {
        const { body, drain } = handOut(digested.body, path);
        yield { ...entry, body };
        await drain();
      }
      seen.set(path, digested.digest());
    } else {
      if (entry.type === 'hardlink') links.push([path, entry.linkTarget ?? '']);
      yield entry;
    }
  }
  if (manifest === undefined) throw damaged(`The archive is not complete: it has no ${MANIFEST_PATH}.`);
  for (const [path, target] of links) {
    const sha1 = seen.get(target);
    if (sha1 !== undefined && manifest.has(path)) seen.set(path, sha1);
  }
  refuseProblems([...compareManifest(seen, manifest)]);
}

function digestSha1(body: Body): { body: Body; digest: () => string } {
  const sha1 = createHash('sha1');
  if (body instanceof Uint8Array) sha1.update(body);
  async function* pass(pieces: AsyncIterable<Uint8Array>) {
    for await (const piece of pieces) {
      sha1.update(piece);
      yield piece;
    }
  }
  return { body: body instanceof Uint8Array ? body : pass(body), digest: () => sha1.digest('hex') };
}
