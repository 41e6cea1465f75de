import { decompress } from './compression.ts';
import { decrypt } from './encryption.ts';
import type { FramedFile } from './framed-archive.ts';
import type { Piece } from './frames.ts';
import { type FilesystemEntry, ROOT_PATH, readFilesystem } from './read-filesystem.ts';
import type { Bytes } from './streams.ts';
import { openTemporaryFile, type TemporaryFile } from './temporary-file.ts';
import { allZeros } from './zeros.ts';

/** How an archive is kept that can't be read from anywhere. */
export interface SpoolPartOptions {
  /** Where the temporary file goes; this user's alone. */
  readonly directory: string;
  /** age's secret keys, for an archive that is encrypted. */
  readonly identities?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The files of an archive that is being read. */
export interface PartFiles {
  /** In the order they stand in the archive. */
  readonly files: readonly FramedFile[];
  /** Gives the disk space back; nothing can be read any more. */
  close(): Promise<void>;
}

/** Data of a file, and where it is in the temporary file. */
interface Extent {
  /** In the file. */
  readonly start: number;
  readonly position: number;
  length: number;
}

/** Zeros are looked for in blocks of this size, and written in pieces of that. */
const BLOCK_BYTES = 64 * 1024;
const PIECE_BYTES = 1024 * 1024;

const PURPOSE = {
  verb: 'unpack the virtual machine',
  done: "The virtual machine can't be unpacked",
  need: 'An archive that is encrypted, or compressed as one piece, is unpacked first: it needs room for what is not zeros in its disks',
};

/**
 * Reads an archive of any compression, encrypted or not, into a temporary file; zeros take no space there. Nothing is
 * left of it however the process ends. Digests are the caller's to check.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` when it is encrypted and none of the identities opens it
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is cut or damaged
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for what is no archive, and for paths and links that lead out
 * @throws TransshipError `BACKEND` when the disk is full or the directory can't be written
 */
export async function spoolPart(
  bytes: Bytes,
  { directory, identities = [], signal }: SpoolPartOptions,
): Promise<PartFiles> {
  const file = await openTemporaryFile({ directory, purpose: PURPOSE });
  try {
    const files: FramedFile[] = [];
    let end = 0;
    for await (const entry of readFilesystem(decompress(decrypt(bytes, identities), signal), { signal })) {
      if (entry.path === ROOT_PATH) continue;
      const extents = await writeBody(entry, file, end);
      const last = extents.at(-1);
      if (last !== undefined) end = last.position + last.length;
      const { body: _body, ...facts } = entry;
      files.push({ ...facts, read: (from = 0) => readExtents(file, extents, from, entry.size) });
    }
    return { files, close: file.close };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes what of a body is not zeros behind what there is. */
async function writeBody({ body }: FilesystemEntry, file: TemporaryFile, start: number): Promise<Extent[]> {
  const extents: Extent[] = [];
  let at = 0;
  let position = start;
  let writing = Promise.resolve();
  const put = async (piece: Uint8Array) => {
    await writing;
    const last = extents.at(-1);
    if (last !== undefined && last.start + last.length === at) last.length += piece.byteLength;
    else extents.push({ start: at, position, length: piece.byteLength });
    // The next bytes are read while these are written; a failure is met when the next ones, or the end, wait for it.
    writing = file.write(piece, position);
    writing.catch(() => {});
    position += piece.byteLength;
    at += piece.byteLength;
  };
  try {
    for await (const piece of body instanceof Uint8Array ? [body] : body) {
      if (allZeros(piece)) {
        at += piece.byteLength;
        continue;
      }
      for (let from = 0; from < piece.byteLength; ) {
        const to = endOfRun(piece, from);
        const part = piece.subarray(from, to);
        if (allZeros(part)) at += part.byteLength;
        else await put(part);
        from = to;
      }
    }
  } finally {
    await writing;
  }
  return extents;
}

/** Where blocks end that are, like the first one, zeros or not. */
function endOfRun(piece: Uint8Array, from: number): number {
  const isZero = allZeros(piece.subarray(from, from + BLOCK_BYTES));
  let to = from + BLOCK_BYTES;
  while (to < piece.byteLength && allZeros(piece.subarray(to, to + BLOCK_BYTES)) === isZero) to += BLOCK_BYTES;
  return Math.min(to, piece.byteLength);
}

async function* readExtents(
  file: TemporaryFile,
  extents: readonly Extent[],
  from: number,
  size: number,
): AsyncGenerator<Piece> {
  let at = from;
  for (const { start, position, length } of extents) {
    if (start + length <= at) continue;
    if (start > at) yield { zeros: start - at };
    for (at = Math.max(at, start); at < start + length; ) {
      const count = Math.min(PIECE_BYTES, start + length - at);
      yield await file.read(position + at - start, count);
      at += count;
    }
  }
  if (at < size) yield { zeros: size - at };
}
