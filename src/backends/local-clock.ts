import { randomBytes } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { partialLeaseName } from './place-paths.ts';

/**
 * The time of the machine that keeps a folder, in milliseconds: that of a file made in it. This machine's, where none can
 * be made, as on a full disk or by a user who may only read.
 */
export async function folderTime(folder: string): Promise<number> {
  const path = join(folder, partialLeaseName(randomBytes(4).toString('hex')));
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      return (await file.stat()).mtimeMs;
    } finally {
      await file.close();
      await unlink(path);
    }
  } catch {
    return Date.now();
  }
}
