import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { JOURNAL_SUFFIX, parseJournal } from '../archive/frame-journal.ts';
import { streamOf } from './bytes.ts';
import { codeOf, failTo, fileError, syncFolder, writeNewFile } from './files.ts';
import {
  formatMarker,
  formatRecord,
  type GroupMarker,
  groupIdsAmong,
  groupName,
  MARKER_NAME,
  nextId,
  type PartRecord,
  parseMarker,
  parseRecord,
  partNameOf,
  RECORD_SUFFIX,
} from './part-group.ts';
import { type Claim, claim, type LockPlace, lockName, lockNumberOf } from './part-lock.ts';

/** Where the files are by which an export can be gone on with. */
export interface Helpers {
  readonly folder: string;
  /** What their names begin with: nothing in a folder of their own. */
  readonly start: string;
}

/** A folder of parts that this process may write. */
export interface LocalGroup {
  readonly id: string;
  readonly folder: string;
  readonly claim: Claim;
}

/** How long nothing may change in a group before a writer on another machine is taken for dead. */
const SILENCE_MILLISECONDS = 10 * 60_000;

/** Locks beside the files that they are for. */
export function localLocks({ folder, start }: Helpers): LockPlace {
  const pathOf = (number: number) => join(folder, `${start}${lockName(number)}`);
  return {
    silence: SILENCE_MILLISECONDS,
    async newest() {
      const names = await namesIn({ folder, start });
      const numbers = names.flatMap((name) => lockNumberOf(name) ?? []);
      if (numbers.length === 0) return undefined;
      const number = Math.max(...numbers);
      const text = (await readIfThere(pathOf(number)))?.toString('utf8') ?? '';
      const times = await Promise.all(names.map((name) => changeOf(join(folder, `${start}${name}`))));
      return { number, text, changed: Math.max(...times) };
    },
    async create(number, text) {
      try {
        await writeNewFile(pathOf(number), streamOf(Buffer.from(text)));
        return true;
      } catch (error) {
        if (error instanceof Error && codeOf(error.cause) === 'EEXIST') return false;
        throw error;
      }
    },
    async refresh(number) {
      const now = new Date();
      await utimes(pathOf(number), now, now);
    },
    async remove(number) {
      await rm(pathOf(number), { force: true }).catch(failTo('write', pathOf(number)));
    },
  };
}

/**
 * Takes over an export of the scope that was interrupted, or begins a group.
 *
 * @param parent - the folder that groups are in
 * @param complete - the ids of the snapshots that are complete
 */
export async function beginLocalGroup(
  parent: string,
  id: string,
  scope: string,
  complete: ReadonlySet<string>,
): Promise<LocalGroup> {
  for (const found of groupIdsAmong(await readdir(parent).catch(failTo('read', parent)))) {
    if (complete.has(found)) continue;
    const folder = join(parent, groupName(found));
    const isWanted = async () => (await readMarker({ folder, start: '' }))?.scope === scope;
    if (!(await isWanted())) continue;
    const claimed = await claim(localLocks({ folder, start: '' }), folder);
    if (claimed === undefined) continue;
    // It may have been finished, and all locks removed, since its marker was read.
    if (await isWanted()) return { id: found, folder, claim: claimed };
    await claimed.release();
  }
  return makeGroup(parent, id, scope, complete);
}

async function makeGroup(
  parent: string,
  first: string,
  scope: string,
  complete: ReadonlySet<string>,
): Promise<LocalGroup> {
  for (let id = first; ; id = nextId(id)) {
    if (complete.has(id)) continue;
    const folder = join(parent, groupName(id));
    const made = await mkdir(folder, { mode: 0o700 }).then(
      () => true,
      (error: unknown) => {
        if (codeOf(error) === 'EEXIST') return false;
        throw fileError('write', folder, error);
      },
    );
    if (!made) continue;
    await writeMarker({ folder, start: '' }, { id, scope, begun: new Date().toISOString() });
    const claimed = await claim(localLocks({ folder, start: '' }), folder);
    if (claimed === undefined) continue;
    await syncFolder(parent);
    return { id, folder, claim: claimed };
  }
}

export async function readMarker({ folder, start }: Helpers): Promise<GroupMarker | undefined> {
  return parseMarker(await readIfThere(join(folder, `${start}${MARKER_NAME}`)));
}

export function writeMarker({ folder, start }: Helpers, marker: GroupMarker): Promise<void> {
  return writeSmall(join(folder, `${start}${MARKER_NAME}`), formatMarker(marker));
}

/** What is known of a part that is whole. */
export async function readRecord(location: string): Promise<PartRecord | undefined> {
  return parseRecord(await readIfThere(`${location}${RECORD_SUFFIX}`));
}

export function writeRecord(location: string, record: PartRecord): Promise<void> {
  return writeSmall(`${location}${RECORD_SUFFIX}`, formatRecord(record));
}

/** What the parts of a group were made of, by name; of one that is made anew, what that is made of. */
export async function findSources(folder: string): Promise<Map<string, string>> {
  const files = await readdir(folder).catch(failTo('read', folder));
  const sources = new Map<string, string>();
  for (const file of files.filter((name) => name.endsWith(RECORD_SUFFIX))) {
    const record = await readRecord(join(folder, file.slice(0, -RECORD_SUFFIX.length)));
    if (record !== undefined) sources.set(record.name, record.source);
  }
  for (const file of files.filter((name) => name.endsWith(JOURNAL_SUFFIX))) {
    const name = partNameOf(file.slice(0, -JOURNAL_SUFFIX.length));
    const source = await readJournalSource(join(folder, file));
    if (name !== undefined && source !== undefined) sources.set(name, source);
  }
  return sources;
}

export async function readJournalSource(path: string): Promise<string | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const journal = parseJournal(text.toString('utf8'));
  return 'problem' in journal ? undefined : journal.head.source;
}

/** Removes all of a group but what is named; locks last. A group that becomes empty goes too. */
export async function removeOthers(folder: string, keep: ReadonlySet<string>): Promise<void> {
  await removeHelpers({ folder, start: '' }, (name) => !keep.has(name));
  if (keep.size === 0) await rmdir(folder).catch(failTo('write', folder));
}

/** Removes the helpers that are chosen by what their names go on with, and all locks at the end. */
export async function removeHelpers(helpers: Helpers, choose: (name: string) => boolean): Promise<void> {
  const names = await namesIn(helpers);
  const isLock = (name: string) => lockNumberOf(name) !== undefined;
  for (const name of [...names.filter((one) => choose(one) && !isLock(one)), ...names.filter(isLock)]) {
    const path = join(helpers.folder, `${helpers.start}${name}`);
    await rm(path, { force: true }).catch(failTo('write', path));
  }
  await syncFolder(helpers.folder);
}

/** Bytes in a group; undefined for an empty one, and one that has gone. */
export async function sizeOfGroup(folder: string): Promise<number | undefined> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return [];
    throw fileError('read', folder, error);
  });
  if (names.length === 0) return undefined;
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The files that begin so, without that. */
async function namesIn({ folder, start }: Helpers): Promise<string[]> {
  const names = await readdir(folder).catch(failTo('read', folder));
  return names.filter((name) => name.startsWith(start)).map((name) => name.slice(start.length));
}

function changeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    // Removed since the folder was read.
    () => 0,
  );
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined;
    throw fileError('read', path, error);
  });
}

/** Writes a small file, also over an old one: whoever reads it reads all of it. */
async function writeSmall(path: string, text: string): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`;
  await writeNewFile(partial, streamOf(Buffer.from(text)));
  await rename(partial, path).catch(async (error: unknown) => {
    await unlink(partial).catch(() => {});
    throw fileError('write', path, error);
  });
}
