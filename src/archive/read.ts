import { createByteReader } from './byte-reader.ts';
import { decompress } from './compression.ts';
import { decrypt } from './encryption.ts';
import type { Entry } from './entry.ts';
import type { Bytes } from './streams.ts';
import { readTar } from './tar.ts';
import { verifyEntries } from './verify.ts';

/** What a snapshot's file may hold instead of a tar, compressed and encrypted all the same. */
export interface OtherFormat {
  /** Whether the bytes begin so, of which up to 512 are given. */
  detect(head: Uint8Array): boolean;
  /** Reads the entries, and throws where they are not as they were written. */
  read(bytes: Bytes): AsyncIterable<Entry>;
}

const HEAD_BYTES = 512;

/**
 * Reads an archive of any compression, encrypted or not, and checks every size and digest as it passes. Yields what was given to
 * `writeArchive`; large bodies are streams that can be read once, before the next entry is asked for.
 *
 * The digests stand at the end: nothing may be done with an entry before the iteration has ended without an error.
 * `spoolArchive` keeps the entries until then.
 *
 * @param identities - age's secret keys; for an archive that is encrypted
 * @param other - a format that is read too
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` when the archive is encrypted and none of the identities opens it
 * @throws TransshipError `ARCHIVE_DAMAGED` (an ArchiveDamagedError) naming what is cut, differs, is missing or too much
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another format, or one of a newer Transship
 */
export function readArchive(
  source: Bytes,
  signal?: AbortSignal,
  identities: readonly string[] = [],
  other?: OtherFormat,
): AsyncGenerator<Entry> {
  const plain = decompress(decrypt(source, identities), signal);
  return other === undefined ? verifyEntries(readTar(plain, signal)) : readEither(plain, other, signal);
}

async function* readEither(
  plain: AsyncGenerator<Uint8Array>,
  other: OtherFormat,
  signal: AbortSignal | undefined,
): AsyncGenerator<Entry> {
  try {
    const reader = createByteReader(plain);
    const head = await reader.take(HEAD_BYTES);
    const bytes = prepend(head, reader.rest());
    yield* other.detect(head) ? other.read(bytes) : verifyEntries(readTar(bytes, signal));
  } finally {
    await plain.return(undefined);
  }
}

async function* prepend(head: Uint8Array, rest: Bytes): AsyncGenerator<Uint8Array> {
  yield head;
  yield* rest;
}
