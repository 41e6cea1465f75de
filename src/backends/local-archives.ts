import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { snapshotId } from '../archive/snapshot.ts';
import type { StoredSnapshot } from './backend.ts';
import { codeOf, failTo, fileError } from './files.ts';
import { PARTIAL_FILE } from './place-paths.ts';
import { FILE_BASE, isEncryptedName, parseSnapshotFileName, sortSnapshots } from './selector.ts';

/** Where snapshots are: all in a folder, or one in a file. */
export interface LocalPlace {
  readonly folder: string;
  /** The file's name, when the path is one file. */
  readonly file?: string;
}

/** The archives of a place, also unfinished ones. */
export async function listArchives(place: LocalPlace): Promise<StoredSnapshot[]> {
  const names = await readdir(place.folder).catch(failTo('read', place.folder));
  const found = await Promise.all(names.map((name) => describeFile(place, name)));
  return sortSnapshots(found.filter((snapshot) => snapshot !== undefined));
}

/** What a file of the folder is to this place; undefined when it has nothing to do with it. */
async function describeFile(place: LocalPlace, name: string): Promise<StoredSnapshot | undefined> {
  const finalName = PARTIAL_FILE.exec(name)?.[1];
  const parsed = parseSnapshotFileName(finalName ?? name);
  const belongs = place.file === undefined ? parsed?.base === FILE_BASE : place.file === (finalName ?? name);
  if (!belongs) return undefined;
  const location = join(place.folder, name);
  const stats = await stat(location).catch((error: unknown) => {
    // Removed or put in place since the folder was read.
    if (codeOf(error) === 'ENOENT') return undefined;
    throw fileError('read', location, error);
  });
  if (stats === undefined || !stats.isFile()) return undefined;
  return {
    id: parsed?.id ?? snapshotId(stats.mtime),
    layout: 'archive',
    location,
    size: stats.size,
    state: finalName === undefined ? 'complete' : 'unfinished',
    encrypted: isEncryptedName(finalName ?? name),
  };
}
