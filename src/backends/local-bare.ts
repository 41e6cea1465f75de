import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { JOURNAL_SUFFIX } from '../archive/frame-journal.ts';
import { PARTIAL_SUFFIX } from '../archive/framed-file.ts';
import type { Leftover } from './backend.ts';
import { codeOf, failTo, fileError } from './files.ts';
import { localLocks, removeHelpers } from './local-group.ts';
import { MARKER_NAME } from './part-group.ts';
import { claim, lockNumberOf, releasing, takenOver } from './part-lock.ts';

/*
 * A path that is one file may be that of a virtual machine, whose export can be gone on with: `<file>.partial` is what is
 * stored of it, and beside it are files that begin like it.
 */

/** What an interrupted export of the file has left; undefined when there is nothing. */
export async function describeBareLeftover(folder: string, file: string): Promise<Leftover | undefined> {
  const names = await findHelpers(folder, file);
  const [first, ...others] = names.map((name) => join(folder, name));
  if (first === undefined) return undefined;
  const { size, modified } = await measureFiles([first, ...others]);
  const what = first.endsWith(PARTIAL_SUFFIX) ? 'snapshot' : 'parts';
  return { what, location: first, size, modified };
}

/**
 * Removes what an interrupted export of the file has left.
 *
 * @throws TransshipError `BACKEND`, also while an export is writing it, when that is to be refused
 */
export async function removeBareLeftover(folder: string, file: string, whenHeld: 'leave' | 'refuse'): Promise<void> {
  const names = await findHelpers(folder, file);
  if (names.length === 0) return;
  const helpers = { folder, start: `${file}.` };
  const location = join(folder, file);
  const claimed = await claim(localLocks(helpers), location);
  if (claimed === undefined) {
    if (whenHeld === 'leave') return;
    throw takenOver(location);
  }
  await releasing(claimed, async () => {
    // Without it, no export goes on with the rest.
    const marker = `${location}.${MARKER_NAME}`;
    await rm(marker, { force: true }).catch(failTo('write', marker));
    await claimed.stop();
    await removeHelpers(helpers, isHelper);
  });
}

/** Bytes of some files, and when the last of them was written; one that has gone counts for nothing. */
export async function measureFiles(paths: readonly string[]): Promise<{ size: number; modified: Date }> {
  let size = 0;
  let changed = 0;
  for (const path of paths) {
    const stats = await lstat(path).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw fileError('read', path, error);
    });
    size += stats?.size ?? 0;
    changed = Math.max(changed, stats?.mtimeMs ?? 0);
  }
  return { size, modified: new Date(changed) };
}

/** What is stored of it comes first. */
async function findHelpers(folder: string, file: string): Promise<string[]> {
  const start = `${file}.`;
  const names = await readdir(folder).catch(failTo('read', folder));
  const found = names.filter((name) => name.startsWith(start) && isHelper(name.slice(start.length)));
  const rankOf = (name: string) => (name.endsWith(PARTIAL_SUFFIX) ? 0 : 1);
  return found.toSorted((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1));
}

/** Whether a file that begins like the one of the path is there to go on with its export. */
function isHelper(name: string): boolean {
  if (name === MARKER_NAME || /^_export\.json\.[0-9a-f]{8}\.partial$/.test(name)) return true;
  return `.${name}` === PARTIAL_SUFFIX || `.${name}` === JOURNAL_SUFFIX || lockNumberOf(name) !== undefined;
}
