import { type FilesystemEntry, ROOT_PATH, readFilesystem } from '../archive/read-filesystem.ts';
import { TransshipError } from '../errors.ts';
import { type DownloadOptions, downloadTar } from './download-tar.ts';

/**
 * An entry of a volume: its path is within the volume, that of the volume's own folder is `.`. Only files have a body;
 * that of a sparse one yields its holes as zeros.
 */
export type VolumeEntry = FilesystemEntry;

/** How many of the names of what was left out are told. */
const NAMES_TOLD = 5;

/**
 * Reads a volume that is a folder: its files, folders and links as they stand, the folder itself first. Devices, pipes and
 * sockets are left out with a warning. Bodies that are streams can be read once, before the next entry is asked for.
 *
 * Nothing may be done with an entry before the iteration has ended without an error.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` naming volume and path or link that leads out of it
 * @throws TransshipError `ARCHIVE_DAMAGED` for a tar that is no tar, or holds nothing: the server failed to read the volume
 * @throws TransshipError `CLUSTER`, `TIMEOUT` as {@link downloadTar} does
 */
export async function* readDirectory(volume: string, options: DownloadOptions): AsyncGenerator<VolumeEntry> {
  const skipped: string[] = [];
  let hasRoot = false;
  try {
    const { signal } = options;
    for await (const entry of readFilesystem(downloadTar(volume, options), {
      signal,
      onSkip: (path) => skipped.push(path),
    })) {
      hasRoot ||= entry.path === ROOT_PATH;
      yield entry;
    }
  } catch (error) {
    throw naming(volume, error);
  }
  // GNU tar packs even an empty volume with its own folder, and nothing at all when it may not read that.
  if (!hasRoot) {
    throw new TransshipError(
      'ARCHIVE_DAMAGED',
      `The volume "${volume}" can't be read: the export server sent an empty tar.`,
      {
        hint: "The log of the export's pod says why; it may lack the permission to read the volume.",
      },
    );
  }
  if (skipped.length > 0) {
    const names = skipped.slice(0, NAMES_TOLD).join(', ');
    const more = skipped.length > NAMES_TOLD ? ` and ${skipped.length - NAMES_TOLD} more` : '';
    options.reporter?.warn(
      `The volume "${volume}" has devices or pipes, which hold no data and are left out: ${names}${more}.`,
      'Files left out',
    );
  }
}

/** Errors of the tar say which file is meant, but know of no volume. */
function naming(volume: string, error: unknown): unknown {
  if (!(error instanceof TransshipError) || !error.code.startsWith('ARCHIVE_')) return error;
  const hint =
    error.code === 'ARCHIVE_DAMAGED'
      ? "The export server may have failed to read the volume: the log of the export's pod says more."
      : error.hint;
  return new TransshipError(error.code, `The volume "${volume}": ${error.message}`, { hint, cause: error });
}
