import type { Entry } from '../archive/entry.ts';
import { symlinkProblem } from '../archive/paths.ts';
import { ROOT_PATH } from '../archive/read-filesystem.ts';
import { TransshipError } from '../errors.ts';

/** The folder of a claim's volume in a VM archive. */
export function volumeFolder(pvc: string): string {
  return `volumes/${pvc}`;
}

/** Puts an entry of a volume where a VM archive has it. A hard link's target moves along; a symlink is what it was. */
export function intoArchive<T extends Entry>(entry: T, pvc: string): T {
  const folder = volumeFolder(pvc);
  const path = entry.path === ROOT_PATH ? folder : `${folder}/${entry.path}`;
  return entry.type === 'hardlink'
    ? { ...entry, path, linkTarget: `${folder}/${entry.linkTarget}` }
    : { ...entry, path };
}

/**
 * The reverse of {@link intoArchive}; undefined for an entry of something else.
 *
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a link that leads out of the volume
 */
export function fromArchive<T extends Entry>(entry: T, pvc: string): T | undefined {
  const folder = volumeFolder(pvc);
  if (entry.path === folder) return { ...entry, path: ROOT_PATH };
  if (!entry.path.startsWith(`${folder}/`)) return undefined;
  const path = entry.path.slice(folder.length + 1);
  const { linkTarget = '' } = entry;
  if (entry.type === 'hardlink') {
    if (!linkTarget.startsWith(`${folder}/`)) throw leadsOut(entry.path, linkTarget);
    return { ...entry, path, linkTarget: linkTarget.slice(folder.length + 1) };
  }
  if (entry.type === 'symlink' && symlinkProblem(path, linkTarget) !== undefined)
    throw leadsOut(entry.path, linkTarget);
  return { ...entry, path };
}

function leadsOut(path: string, target: string): TransshipError {
  return new TransshipError(
    'ARCHIVE_UNSUPPORTED',
    `The link ${JSON.stringify(path)} points to ${JSON.stringify(target)}, which is outside its volume.`,
  );
}
