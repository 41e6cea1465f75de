import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { streamOf } from './bytes.ts';
import { codeOf, failTo, fileError, syncFolder, writeNewFile } from './files.ts';

/**
 * Writes a plan's file and its folder, both this user's alone.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function writeLocalPlan(file: string, bytes: Buffer, signal?: AbortSignal): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw fileError('write', folder, error);
  });
  const partial = `${file}.${randomBytes(4).toString('hex')}.partial`;
  await writeNewFile(partial, streamOf(bytes), signal);
  try {
    // Of one id there is one content: it does not matter which of two writers is last.
    await rename(partial, file).catch(failTo('write', file));
  } catch (error) {
    await unlink(partial).catch(() => {});
    throw error;
  }
  await syncFolder(folder);
}

/**
 * Reads a plan's file; undefined when there is none.
 *
 * @throws TransshipError `BACKEND`
 */
export function readLocalPlan(file: string): Promise<Buffer | undefined> {
  return readFile(file).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined;
    throw fileError('read', file, error);
  });
}
