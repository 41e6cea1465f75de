import { TransshipError } from '../errors.ts';
import { decompress } from './compression.ts';
import { decrypt } from './encryption.ts';
import { ROOT_PATH, readFilesystem } from './read-filesystem.ts';
import type { Bytes } from './streams.ts';

/**
 * Reads an archive as far as its first file or folder, to tell what it is.
 *
 * @returns undefined for what can't be read so far: who reads all of it says why
 * @throws TransshipError `CANCELLED` when the signal fires
 */
export async function readFirstPath(
  source: Bytes,
  identities: readonly string[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const bytes = decompress(decrypt(source, identities), signal);
    for await (const { path } of readFilesystem(bytes, { signal })) if (path !== ROOT_PATH) return path;
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code === 'CANCELLED' || error.code === 'BACKEND') throw error;
  }
  return undefined;
}
