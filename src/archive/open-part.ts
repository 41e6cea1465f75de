import { openFramedArchive } from './framed-archive.ts';
import type { PartReader } from './part.ts';
import { type PartFiles, type SpoolPartOptions, spoolPart } from './spool-part.ts';
import { abortable } from './streams.ts';

/**
 * Opens a VM archive, of Transship or of another program: straight where it is when that can be read from anywhere, else
 * it is brought to a temporary file first. The reader stays the caller's to close, after this.
 *
 * Nothing is checked but that the archive is whole: see `parseManifest` and `startHasher` for the digests.
 *
 * @throws TransshipError as `openFramedArchive` and `spoolPart` do
 */
export async function openPartFiles(reader: PartReader, options: SpoolPartOptions): Promise<PartFiles> {
  const listing = await openFramedArchive(reader);
  if (listing === undefined) return await spoolPart(reader.bytes(), options);
  const files = [];
  for await (const file of abortable(listing, options.signal)) files.push(file);
  return { files, close: async () => {} };
}
