import type { Dirent } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { cancelledBy } from '../errors.ts';
import { mapInOrder } from '../streams.ts';
import type { Leftover, Survey } from './backend.ts';
import { codeOf, fileError } from './files.ts';
import { type LocalPlace, listArchives } from './local-archives.ts';
import { describeBareLeftover, measureFiles } from './local-bare.ts';
import { folderTime } from './local-clock.ts';
import { isPlanFileName, PLANS_FOLDER } from './plans.ts';
import { type FoundFile, surveyPlace } from './survey.ts';

const LOOKS_AT_ONCE = 8;
/** File systems make it at their root, for their own use. */
const FILE_SYSTEMS_OWN = 'lost+found';

/**
 * Looks at all that is at a place. Links are not followed, but for one that is an archive, as it is listed too.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there is no such folder
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function surveyLocal(place: LocalPlace, signal?: AbortSignal): Promise<Survey> {
  const now = new Date(await folderTime(place.folder));
  if (place.file !== undefined) return { ...(await surveyFile(place, place.file)), now };
  const root = place.folder;
  const found = await surveyPlace({
    storage: 'folder',
    name: basename(resolve(root)),
    uploads: [],
    locate: (path) => join(root, ...path.split('/')),
    look: (folder) => lookInto(root, folder, signal),
    walk: (folder) => walk(root, folder, signal),
  });
  return { ...found, now };
}

async function* lookInto(
  root: string,
  folder: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<FoundFile | string> {
  const dirents = await readFolder(root, folder);
  if (dirents === 'unreadable') {
    yield unreadable(folder);
    return;
  }
  const pathOf = ({ name }: Dirent) => (folder === '' ? name : `${folder}/${name}`);
  const items = mapInOrder(dirents, LOOKS_AT_ONCE, async (dirent): Promise<FoundFile | string | undefined> => {
    if (signal?.aborted) throw cancelledBy(signal);
    if (dirent.isDirectory()) return dirent.name === FILE_SYSTEMS_OWN && folder === '' ? undefined : pathOf(dirent);
    return describe(root, pathOf(dirent), folder === '');
  });
  for await (const item of items) if (item !== undefined) yield item;
}

async function* walk(root: string, folder: string, signal: AbortSignal | undefined): AsyncGenerator<FoundFile> {
  for await (const item of lookInto(root, folder, signal)) {
    if (typeof item === 'string') yield* walk(root, item, signal);
    else yield item;
  }
}

/** Nothing where there is no folder; a link is none. */
async function readFolder(root: string, folder: string): Promise<Dirent[] | 'unreadable'> {
  const path = join(root, ...folder.split('/'));
  try {
    if (folder !== '' && !(await lstat(path)).isDirectory()) return [];
    const dirents = await readdir(path, { withFileTypes: true });
    return dirents.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const code = codeOf(error);
    if (folder !== '' && ['ENOENT', 'ENOTDIR'].includes(code)) return [];
    if (folder !== '' && ['EACCES', 'EPERM'].includes(code)) return 'unreadable';
    throw fileError('read', path, error);
  }
}

function unreadable(path: string): FoundFile {
  return { path, size: 0, changed: 0, isOdd: true };
}

/** Undefined for what was removed since the folder was read. */
async function describe(root: string, path: string, followLink: boolean): Promise<FoundFile | undefined> {
  const file = join(root, ...path.split('/'));
  try {
    const own = await lstat(file);
    const target = own.isSymbolicLink() && followLink ? await stat(file).catch(() => own) : own;
    const { size, mtimeMs: changed } = target;
    return target.isFile() ? { path, size, changed } : { path, size, changed, isOdd: true };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw fileError('read', file, error);
  }
}

async function surveyFile(place: LocalPlace, file: string): Promise<Omit<Survey, 'now'>> {
  const snapshots = await listArchives(place);
  const bare = await describeBareLeftover(place.folder, file);
  const others = snapshots.filter(({ location, state }) => state === 'unfinished' && location !== bare?.location);
  const leftovers: Leftover[] = bare === undefined ? [] : [bare];
  for (const { location } of others) {
    leftovers.push({ what: 'snapshot', location, ...(await measureFiles([location])) });
  }
  const folder = join(place.folder, `${file}.${PLANS_FOLDER}`);
  const plans = await readdir(folder).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return [];
    throw fileError('read', folder, error);
  });
  return {
    snapshots,
    leftovers,
    plans: plans.filter(isPlanFileName).map((name) => join(folder, name)),
    foreign: [],
    foreignCount: 0,
  };
}
