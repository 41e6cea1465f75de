import { createByteReader } from './byte-reader.ts';
import { damaged } from './damage.ts';
import type { Entry, EntryType } from './entry.ts';
import { createPathGuard } from './paths.ts';
import { abortable, type Bytes, handOut, joinPieces } from './streams.ts';
import { ROOT_PATH, readTarEntry } from './tar-entry.ts';
import { BLOCK_BYTES, padded, TarProblem } from './tar-header.ts';
import { fillHoles, otherRanges } from './tar-sparse.ts';
import { allZeros } from './zeros.ts';

/** An entry as it stands in a file system. */
export interface FilesystemEntry extends Entry {
  readonly type: EntryType;
  readonly mode: number;
}

/** How the tar of a file system is read. */
export interface FilesystemOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of what is left out, by its path: devices and pipes hold no data, and not every target could make them. */
  readonly onSkip?: ((path: string) => void) | undefined;
}

export { ROOT_PATH } from './tar-entry.ts';

/** Bodies up to this size are read whole, as those of archives are. */
const SMALL_BYTES = 256 * 1024;

/**
 * Reads a tar of a file system as GNU tar packs one: folders, links, modes, owners, times, and sparse files with their holes.
 * Bodies of more than 256 KiB are streams: each can be read once, before the next entry is asked for; what is not read
 * is skipped. A leading `./` is left out of paths; the folder itself is {@link ROOT_PATH}.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` naming a path or link that leads out, or leads through a link, and for parts
 *   of archives over several tapes
 * @throws TransshipError `ARCHIVE_DAMAGED` for a tar that is cut or damaged
 */
export async function* readFilesystem(
  source: Bytes,
  { signal, onSkip = () => {} }: FilesystemOptions = {},
): AsyncGenerator<FilesystemEntry> {
  const iterator: AsyncIterator<Uint8Array> = abortable(source, signal);
  const reader = createByteReader(iterator);
  let last = 'its start';
  const cut = () => damaged(`The tar is cut: it ends inside or right after ${last}.`);
  const take = async (count: number) => {
    const bytes = await reader.take(count);
    if (bytes.byteLength < count) throw cut();
    return bytes;
  };
  async function* takePieces(count: number) {
    for (let left = count; left > 0; ) {
      const piece = await reader.some(left);
      if (piece.byteLength === 0) throw cut();
      left -= piece.byteLength;
      yield piece;
    }
  }
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TarProblem)) throw error;
      throw damaged(`The tar is damaged inside or right after ${last}: ${error.message}.`, error);
    }
  };

  const checkPath = createPathGuard();
  const skipped = new Set<string>();
  const globalPax: [string, string][] = [];
  try {
    for (;;) {
      const entry = await explained(() =>
        readTarEntry(take, globalPax, (path) => {
          last = path;
        }),
      );
      if (entry === undefined) break;
      const { type, map, stored, size, ...facts } = entry;
      const { path, linkTarget = '' } = facts;
      if (type === 'skip' || (type === 'hardlink' && skipped.has(linkTarget))) {
        skipped.add(path);
        onSkip(path);
        continue;
      }
      if (path !== ROOT_PATH || type !== 'directory') checkPath(path, { type, linkTarget });
      if (type !== 'file') {
        yield { ...facts, type, size: 0, body: new Uint8Array() };
        continue;
      }
      const pieces = takePieces(stored);
      const { body, drain } = handOut(map === undefined ? pieces : fillHoles(pieces, map), path);
      const holes = map === undefined ? {} : { holes: otherRanges(map.data, size) };
      yield { ...facts, ...holes, type, size, body: size <= SMALL_BYTES ? await readAll(body, size) : body };
      await drain();
      await take(padded(stored) - stored);
    }
    // Two blocks of zeros end a tar; one may be all that is left of it.
    if (!allZeros(await take(BLOCK_BYTES))) throw damaged(`The tar is damaged: a block of zeros follows ${last}.`);
    for await (const piece of reader.rest()) {
      if (!allZeros(piece)) throw damaged('The tar is followed by something else.');
    }
  } finally {
    await iterator.return?.();
  }
}

async function readAll(body: Bytes, size: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return joinPieces(pieces, size);
}
