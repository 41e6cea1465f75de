import { createReadStream } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { messageOf, TransshipError } from '../errors.ts';
import type { Bytes } from './backend.ts';
import { untilAborted } from './bytes.ts';

const READ_SIZE = 1024 * 1024;

/**
 * Writes a new file that only this user can read, and returns once its bytes are on the disk. When anything fails, the
 * file is removed again; an error of `bytes` itself is rethrown as it is.
 *
 * @returns the number of bytes written
 * @throws TransshipError `BACKEND` when the file cannot be made or written
 * @throws TransshipError `CANCELLED` when `signal` fires
 */
export async function writeNewFile(path: string, bytes: Bytes, signal?: AbortSignal): Promise<number> {
  const file = await open(path, 'wx', 0o600).catch(failTo('write', path));
  try {
    const size = await writeAll(file, bytes, path, signal);
    await file.sync().catch(failTo('write', path));
    await file.close().catch(failTo('write', path));
    return size;
  } catch (error) {
    // The first error is the one to tell; a file that cannot be removed stays and is listed as unfinished.
    await file.close().catch(() => {});
    await unlink(path).catch(() => {});
    throw error;
  }
}

async function writeAll(
  file: FileHandle,
  bytes: Bytes,
  path: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  let size = 0;
  for await (const chunk of untilAborted(bytes, signal)) {
    let rest = chunk;
    while (rest.byteLength > 0) {
      const { bytesWritten } = await file.write(rest).catch(failTo('write', path));
      rest = rest.subarray(bytesWritten);
    }
    size += chunk.byteLength;
  }
  return size;
}

/**
 * Reads a file from the start.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND`, `BACKEND`, `CANCELLED`
 */
export async function* readPieces(path: string, signal: AbortSignal | undefined): Bytes {
  const stream = createReadStream(path, { highWaterMark: READ_SIZE });
  try {
    yield* untilAborted(stream, signal);
  } catch (error) {
    throw codeOf(error) === '' ? error : fileError('read', path, error);
  } finally {
    stream.destroy();
  }
}

/** Makes the names of new, renamed and removed files in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r').catch(failTo('write', folder));
  try {
    await handle.sync().catch((error: unknown) => {
      // Some network file systems cannot sync a folder; there is nothing else to call.
      if (!['EINVAL', 'ENOTSUP', 'EBADF'].includes(codeOf(error))) throw fileError('write', folder, error);
    });
  } finally {
    await handle.close();
  }
}

/** Removes a file; one that is gone already is no failure. */
export async function removeIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw fileError('write', path, error);
  });
}

/** The code of a failed system call, such as `ENOENT`; empty for any other error. */
export function codeOf(error: unknown): string {
  const isSystemError = error instanceof Error && 'syscall' in error && 'code' in error;
  return isSystemError && typeof error.code === 'string' ? error.code : '';
}

/** For `.catch()`: throws {@link fileError}. */
export function failTo(verb: 'read' | 'write', path: string): (error: unknown) => never {
  return (error) => {
    throw fileError(verb, path, error);
  };
}

/** What a failed system call means to the user. */
export function fileError(verb: 'read' | 'write', path: string, error: unknown): TransshipError {
  const cannot = `Cannot ${verb} ${path}`;
  const make = (reason: string, hint: string) =>
    new TransshipError('BACKEND', `${cannot}: ${reason}.`, { hint, cause: error });
  switch (codeOf(error)) {
    case 'ENOSPC':
      return make('the disk is full', 'Free some space, or choose a path on another disk.');
    case 'EDQUOT':
      return make('the disk quota is used up', 'Free some space, or choose a path on another disk.');
    case 'EFBIG':
      return make(
        'the file would be larger than the file system or a limit allows',
        'Choose a path on another file system, or raise the limit on file sizes (ulimit -f).',
      );
    case 'EACCES':
    case 'EPERM':
      return make('permission denied', `Give this user the right to ${verb} it, or choose another path.`);
    case 'EROFS':
      return make('the file system is read-only', 'Choose a path on another file system.');
    case 'ENOENT':
      return verb === 'read'
        ? new TransshipError('SNAPSHOT_NOT_FOUND', `${path} does not exist.`, {
            hint: 'Check the path.',
            cause: error,
          })
        : make('the folder it belongs in does not exist', 'Make the folder first, or check the path.');
    case 'ENOTDIR':
      return make('a part of the path is a file and not a folder', 'Check the path.');
    case 'EISDIR':
      return make('it is a folder', 'Check the path.');
    case 'ENAMETOOLONG':
      return make('the name is too long', 'Choose a shorter path.');
    case 'EIO':
      return make('the disk failed', 'Check the disk; the kernel log says more.');
    default:
      return new TransshipError('BACKEND', `${cannot}: ${messageOf(error)}`, { cause: error });
  }
}
