import { decompress } from './compression.ts';
import { decrypt } from './encryption.ts';
import type { Entry } from './entry.ts';
import type { Bytes } from './streams.ts';
import { readTar } from './tar.ts';
import { verifyEntries } from './verify.ts';

/**
 * Reads an archive of any compression, encrypted or not, and checks every size and digest as it passes. Yields what was given to
 * `writeArchive`; large bodies are streams that can be read once, before the next entry is asked for.
 *
 * The digests stand at the end: nothing may be done with an entry before the iteration has ended without an error.
 * `spoolArchive` keeps the entries until then.
 *
 * @param identities - age's secret keys; for an archive that is encrypted
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` when the archive is encrypted and none of the identities opens it
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming what is cut, differs, is missing or too much
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another format, or one of a newer Transship
 */
export function readArchive(
  source: Bytes,
  signal?: AbortSignal,
  identities: readonly string[] = [],
): AsyncGenerator<Entry> {
  return verifyEntries(readTar(decompress(decrypt(source, identities), signal), signal));
}
