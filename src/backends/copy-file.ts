import { type BigIntStats, constants } from 'node:fs';
import { copyFile, lstat, open, unlink } from 'node:fs/promises';
import { TransshipError } from '../errors.ts';
import type { StoredFile } from './backend.ts';
import { codeOf, failTo, fileError } from './files.ts';

/**
 * What stands for a file's bytes as long as nobody writes to it: no program can set back when an inode changed.
 *
 * @throws TransshipError `BACKEND`, `SNAPSHOT_NOT_FOUND`
 */
export async function fileVersion(path: string): Promise<string> {
  return versionOf(await lstat(path, { bigint: true }).catch(failTo('read', path)));
}

/** {@link fileVersion} of what was read of a file already. */
export function versionOf({ ino, ctimeNs }: Pick<BigIntStats, 'ino' | 'ctimeNs'>): string {
  return `${ino}-${ctimeNs}`;
}

/**
 * Copies a file where it is still the one that is known, and returns once the copy is on the disk: a copy of its own,
 * which only this user can read. File systems that can share the blocks of both until one of them is written to.
 *
 * @returns what stands for the copy's bytes
 * @throws TransshipError `BASE_GONE` when it is gone or was changed; `BACKEND` when the copy can't be written
 */
export async function copyUnchanged(source: string, known: StoredFile, path: string): Promise<string> {
  await checkVersion(source, known);
  await copyFile(source, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch((error: unknown) => {
    throw codeOf(error) === 'ENOENT' ? gone(source, error) : fileError('write', path, error);
  });
  try {
    // Nobody wrote to it meanwhile.
    await checkVersion(source, known);
    const file = await open(path, 'r+').catch(failTo('write', path));
    try {
      await file.chmod(0o600).catch(failTo('write', path));
      await file.sync().catch(failTo('write', path));
    } finally {
      await file.close();
    }
    return await fileVersion(path);
  } catch (error) {
    await unlink(path).catch(() => {});
    throw error;
  }
}

async function checkVersion(source: string, { size, version }: StoredFile): Promise<void> {
  const found = await lstat(source, { bigint: true }).catch((error: unknown) => {
    throw ['ENOENT', 'ENOTDIR'].includes(codeOf(error)) ? gone(source, error) : fileError('read', source, error);
  });
  if (!found.isFile() || Number(found.size) !== size || versionOf(found) !== version) throw gone(source);
}

function gone(source: string, cause?: unknown): TransshipError {
  return new TransshipError('BASE_GONE', `${source} can't be copied: it was removed or changed.`, { cause });
}
