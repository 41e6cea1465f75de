import { createHash, randomBytes } from 'node:crypto';
import { link, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { LeaseStore } from './backend.ts';
import { streamOf } from './bytes.ts';
import { codeOf, failTo, fileError, removeIfThere, syncFolder, writeNewFile } from './files.ts';
import type { LocalPlace } from './local-archives.ts';
import { folderTime } from './local-clock.ts';
import { type LinkFile, NO_LINKS } from './place-file.ts';
import { LEASE_NAME, leaseName, leaseNumberOf, partialLeaseName } from './place-paths.ts';

/*
 * A lease is the file `_manager.<n>.json` with the highest n. None is ever written to or replaced: who replaces it makes
 * the next one, as a second name for a finished file, which only one of several can, and removes the older ones after it.
 *
 * A writer that was stopped in between may find the next number free again, as that one was made, replaced and removed
 * meanwhile. As older ones are removed first, the one that it meant to replace is gone then: it looks for that afterwards,
 * and takes its own back.
 */

/** How often a lease is looked for that goes away while it is read: a network's file system may show it for long. */
const TRIES = 20;
const GAP_MILLISECONDS = 50;

/** A lease as it is found. */
interface FoundLease {
  readonly number: number;
  readonly text: string;
  /** Milliseconds of the folder's clock. */
  readonly changed: number;
}

/**
 * Keeps a lease in a folder.
 *
 * @param prepare - makes the folder, when it may
 * @param linkFile - replaced in tests
 */
export function createLocalLease(
  locate: () => Promise<LocalPlace>,
  prepare: (folder: string) => Promise<unknown>,
  linkFile: LinkFile = link,
): LeaseStore {
  const findFolder = async () => {
    const { folder, file } = await locate();
    if (file === undefined) return folder;
    throw new TransshipError(
      'INPUT',
      `path: ${JSON.stringify(join(folder, file))} is one file; a manager needs a folder.`,
      {
        hint: 'Give a folder, in which there is room for the snapshots to come.',
      },
    );
  };
  return {
    async read(signal) {
      const folder = await findFolder();
      const found = await findNewest(folder, signal);
      if (found === undefined) return undefined;
      const age = (await folderTime(folder)) - found.changed;
      return { text: found.text, version: versionOf(found), age: Math.max(0, age) };
    },
    async write(text, expected, signal) {
      const folder = await findFolder();
      const newest = await findNewest(folder, signal);
      if ((newest && versionOf(newest)) !== expected) return undefined;
      if (newest === undefined) await prepare(folder);
      return writeNext(folder, text, newest, linkFile);
    },
    async remove() {
      const folder = await findFolder();
      const numbers = await findNumbers(folder);
      for (const name of [...numbers.map(leaseName), LEASE_NAME]) await removeIfThere(join(folder, name));
      if (numbers.length > 0) await syncFolder(folder);
    },
  };
}

/** @returns the version; undefined when another one was faster */
async function writeNext(
  folder: string,
  text: string,
  before: FoundLease | undefined,
  linkFile: LinkFile,
): Promise<string | undefined> {
  const number = (before?.number ?? 0) + 1;
  const path = join(folder, leaseName(number));
  const partial = join(folder, partialLeaseName(randomBytes(4).toString('hex')));
  await writeNewFile(partial, streamOf(Buffer.from(text)));
  try {
    if (!(await giveName(partial, path, linkFile))) return undefined;
    if (!(await isNext(folder, number, before))) {
      await removeIfThere(path);
      return undefined;
    }
    for (const older of (await findNumbers(folder)).filter((one) => one < number)) {
      await removeIfThere(join(folder, leaseName(older)));
    }
    await syncFolder(folder);
    return versionOf({ number, text });
  } finally {
    await removeIfThere(partial);
  }
}

/** @returns false when there is a file of that name */
async function giveName(partial: string, path: string, linkFile: LinkFile): Promise<boolean> {
  try {
    await linkFile(partial, path);
    return true;
  } catch (error) {
    // NFS: an answer that was lost is asked for again, and says so of one's own: https://man7.org/linux/man-pages/man2/open.2.html
    if (codeOf(error) === 'EEXIST') return (await stat(partial).catch(failTo('read', partial))).nlink === 2;
    if (!NO_LINKS.includes(codeOf(error))) throw fileError('write', path, error);
    throw new TransshipError(
      'BACKEND',
      `Cannot write ${path}: the file system has no hard links, without which two managers could write here.`,
      { hint: 'Choose a path on another file system, or S3; or export on a schedule without a manager.', cause: error },
    );
  }
}

/**
 * Whether the number was really free, and not free again. Also not when another one has replaced it already: which of the
 * two it is makes no difference by then.
 */
async function isNext(folder: string, number: number, before: FoundLease | undefined): Promise<boolean> {
  if (before === undefined) return (await findNumbers(folder)).every((one) => one <= number);
  const text = await readIfThere(join(folder, leaseName(before.number)));
  return text === before.text;
}

async function findNewest(folder: string, signal: AbortSignal | undefined): Promise<FoundLease | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    if (signal?.aborted) throw cancelledBy(signal);
    const number = (await findNumbers(folder)).at(-1);
    if (number === undefined) return undefined;
    const found = await readLease(folder, number);
    if (found !== undefined) return found;
    if (attempt === TRIES) {
      throw new TransshipError('BACKEND', `Cannot read ${join(folder, leaseName(number))}: it is there and is not.`, {
        hint: 'Run again; on a network file system, check how long its client believes what it has seen.',
      });
    }
    // Replaced since the folder was read.
    if (attempt > 1) await delay(GAP_MILLISECONDS);
  }
}

async function readLease(folder: string, number: number): Promise<FoundLease | undefined> {
  const path = join(folder, leaseName(number));
  const file = await open(path, 'r').catch((error: unknown) => {
    if (['ENOENT', 'ESTALE'].includes(codeOf(error))) return undefined;
    throw fileError('read', path, error);
  });
  if (file === undefined) return undefined;
  try {
    const { mtimeMs: changed } = await file.stat();
    return { number, text: await file.readFile('utf8'), changed };
  } catch (error) {
    if (codeOf(error) === 'ESTALE') return undefined;
    throw fileError('read', path, error);
  } finally {
    await file.close();
  }
}

/** Those of all leases, in order. */
async function findNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw fileError('read', folder, error);
  });
  return names.flatMap((name) => leaseNumberOf(name) ?? []).sort((a, b) => a - b);
}

function versionOf({ number, text }: Pick<FoundLease, 'number' | 'text'>): string {
  return `${number}-${createHash('sha256').update(text).digest('hex')}`;
}

function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ESTALE'].includes(codeOf(error))) return undefined;
    throw fileError('read', path, error);
  });
}
