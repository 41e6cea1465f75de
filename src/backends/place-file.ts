import { link, open, rename, stat, unlink } from 'node:fs/promises';
import { TransshipError } from '../errors.ts';
import { codeOf, failTo, fileError } from './files.ts';
import { snapshotExists } from './selector.ts';

/** What systems answer where a file system has no hard links (exFAT, many network and object file systems). */
export const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'UNKNOWN'];

/** The system call that gives a file a second name; replaced in tests by one that has no links. */
export type LinkFile = (existing: string, name: string) => Promise<void>;

/**
 * Gives a finished file its final name, but never the name of an existing one, also when two writers race: `link` fails
 * where `rename` overwrites, and Node has no renameat2 with RENAME_NOREPLACE.
 *
 * @throws TransshipError `SNAPSHOT_EXISTS` when the name is taken
 * @throws TransshipError `BACKEND` when the file system refuses
 */
export async function placeFile(partial: string, location: string, linkFile: LinkFile = link): Promise<void> {
  try {
    await linkFile(partial, location);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw snapshotExists(location, error);
    if (!NO_LINKS.includes(codeOf(error))) throw fileError('write', location, error);
    await renameUnderLock(partial, location);
    return;
  }
  await unlink(partial).catch(failTo('write', partial));
}

/** Without links, all writers of one name take turns through a lock file. */
async function renameUnderLock(partial: string, location: string): Promise<void> {
  const lock = `${location}.lock`;
  const handle = await open(lock, 'wx', 0o600).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw fileError('write', lock, error);
    throw new TransshipError('SNAPSHOT_EXISTS', `Another export is writing ${location}: ${lock} exists.`, {
      hint: 'If none is running, one was killed at its end: remove that file and export again.',
      cause: error,
    });
  });
  try {
    await handle.close();
    const taken = await stat(location).then(
      () => true,
      (error: unknown) => {
        if (codeOf(error) === 'ENOENT') return false;
        throw fileError('write', location, error);
      },
    );
    if (taken) throw snapshotExists(location);
    await rename(partial, location).catch(failTo('write', location));
  } finally {
    await unlink(lock).catch(failTo('write', lock));
  }
}
