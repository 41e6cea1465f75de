import type { PartReader } from '../archive/part.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import { createDigesters, verifiedBytes } from './prepare-digests.ts';
import { type OpenArchiveOptions, openArchive } from './prepare-files.ts';

export interface VerifyPartOptions extends OpenArchiveOptions {
  /** Told of bytes as they were compared. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Reads an archive of a machine whole and compares all of it with its manifest; needs no cluster.
 *
 * @returns how many files there are besides the manifest, and their bytes uncompressed
 * @throws TransshipError `ARCHIVE_DAMAGED` naming the file, `ARCHIVE_UNSUPPORTED`, `CANCELLED`
 */
export async function verifyPart(
  reader: PartReader,
  { onBytes, ...options }: VerifyPartOptions,
): Promise<{ files: number; bytes: number }> {
  const { origin, signal } = options;
  const opened = await openArchive(reader, options);
  const digesters = createDigesters();
  let files = 0;
  let total = 0;
  try {
    for (const known of opened.files) {
      const { sha1, file } = known;
      if (sha1 === undefined) continue;
      await digesters.borrow(file.size, async (digester) => {
        for await (const bytes of verifiedBytes(known, digester)) {
          if (signal?.aborted) throw cancelledBy(signal, `verifying ${origin}`);
          onBytes?.(bytes.byteLength);
        }
      });
      files += 1;
      total += file.size;
    }
    return { files, bytes: total };
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code === 'CANCELLED') throw error;
    throw new TransshipError(error.code, `${origin}: ${error.message}`, { hint: error.hint, cause: error });
  } finally {
    await digesters.close();
    await opened.close();
  }
}
