import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TransshipError } from '../errors.ts';

/** A file for what does not fit into memory. */
export interface TemporaryFile {
  /** Writes all of the bytes, at a position in bytes. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /**
   * Reads just so many bytes, which must have been written.
   *
   * @param into - memory that has room for them; default new memory
   */
  read(position: number, length: number, into?: Buffer): Promise<Buffer>;
  /** Gives the disk space behind so many bytes back. */
  cut(length: number): Promise<void>;
  /** Gives the disk space back. */
  close(): Promise<void>;
}

export interface TemporaryFileOptions {
  /** This user's alone. */
  readonly directory: string;
  /** What it is for, in the words of messages: see `diskError`. */
  readonly purpose: { readonly verb: string; readonly done: string; readonly need: string };
  /** Opens an empty file, for reading and writing, by its path. Replaced in tests. */
  readonly openFile?: ((path: string) => Promise<FileHandle>) | undefined;
}

/**
 * Opens a temporary file. It has mode 0600 and, but on Windows, no name, so that nothing is left of it however the
 * process ends.
 *
 * @throws TransshipError `BACKEND`, also from its methods, when the disk is full or the directory can't be written
 */
export async function openTemporaryFile(options: TemporaryFileOptions): Promise<TemporaryFile> {
  const { directory, openFile = openPrivate } = options;
  const onDisk = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw diskError(error, options);
    }
  };
  const path = join(directory, `transship-${randomUUID()}.spool`);
  const file = await onDisk(() => openFile(path));
  const named = await removeName(path);
  return {
    async write(bytes, position) {
      for (let done = 0; done < bytes.byteLength; ) {
        const { bytesWritten } = await onDisk(() => file.write(bytes, done, undefined, position + done));
        done += bytesWritten;
      }
    },
    async read(position, length, into) {
      const buffer = into?.subarray(0, length) ?? Buffer.allocUnsafe(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await onDisk(() => file.read(buffer, done, length - done, position + done));
        if (bytesRead === 0) throw new TransshipError('BACKEND', `A temporary file in ${directory} was cut.`);
        done += bytesRead;
      }
      return buffer;
    },
    cut: (length) => onDisk(() => file.truncate(length)),
    async close() {
      await file.close();
      if (named) await unlink(path);
    },
  };
}

function openPrivate(path: string): Promise<FileHandle> {
  return open(path, 'wx+', 0o600);
}

/** Returns whether the file kept its name: Windows keeps it as long as the file is open. */
async function removeName(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return false;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ENOENT');
  }
}

function diskError(error: unknown, { directory, purpose }: TemporaryFileOptions): TransshipError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') {
    const message = `${purpose.done} into ${directory}: ${messageOf(error)}.`;
    return new TransshipError('BACKEND', message, { cause: error });
  }
  return new TransshipError('BACKEND', `There is no room left in ${directory} to ${purpose.verb}.`, {
    hint: `${purpose.need}: free some, or point RUNNER_TEMP or TMPDIR at a larger disk.`,
    cause: error,
  });
}
