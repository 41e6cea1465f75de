import { posix } from 'node:path';
import { TransshipError } from '../errors.ts';
import type { Entry } from './entry.ts';

/** PATH_MAX of Linux; a longer path could not be unpacked by tar. */
const MAX_PATH_BYTES = 4096;

/**
 * What is wrong with a path as the name of an archive's file, as the end of a sentence; undefined when nothing is.
 * Stricter than tar: what is allowed is the same file for every tool on every system, and is one plain line of
 * `sha1sum` (which escapes backslashes and line breaks).
 */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (!path.isWellFormed() || path.includes('\uFFFD')) return 'is not valid UTF-8';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001F\u007F]/.test(path)) return 'has a control character';
  if (path.includes('\\')) return 'has a backslash';
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return 'is absolute';
  if (/(^|\/)\.\.(\/|$)/.test(path)) return 'leads out of the archive';
  if (/(^|\/)\.?(\/|$)/.test(path)) return 'has an empty segment';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  return undefined;
}

/** What file systems have in common: https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file */
const MAX_NAME_BYTES = 255;

/**
 * What is wrong with a path as one file of a tree, as {@link pathProblem} says it: a tree must be able to move between
 * S3 and the file systems of all platforms.
 */
export function treePathProblem(path: string): string | undefined {
  const problem = pathProblem(path);
  if (problem !== undefined) return problem;
  const sign = /[<>:"|?*]/.exec(path)?.[0];
  if (sign !== undefined) return `has a ${sign}, which not every file system takes`;
  if (/[ .](\/|$)/.test(path)) return 'has a name that ends in a blank or dot, which not every file system takes';
  const long = path.split('/').some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES);
  return long ? `has a name longer than ${MAX_NAME_BYTES} bytes` : undefined;
}

/** What a guard looks at besides the path. */
type Guarded = Pick<Entry, 'type' | 'linkTarget'>;

/**
 * Checks the paths of one archive, one after the other, and where its links point.
 *
 * @param problemOf - what is wrong with one path
 * @returns a function that throws TransshipError `ARCHIVE_UNSUPPORTED` naming a path that is not allowed, was there
 *   before, leads through a symlink, or is a file where another path needs a folder; and a link that points outside
 */
export function createPathGuard(problemOf = pathProblem): (path: string, entry?: Guarded) => void {
  // All but folders.
  const files = new Map<string, Guarded['type']>();
  const folders = new Set<string>();
  const namedFolders = new Set<string>();
  return (path, { type, linkTarget = '' } = {}) => {
    const problem = problemOf(path);
    if (problem !== undefined) throw refused(path, problem);
    if (files.has(path) || namedFolders.has(path)) {
      const isBoth = type === 'directory' ? files.has(path) : namedFolders.has(path);
      throw refused(path, isBoth ? 'is a file and a folder' : 'is there twice');
    }
    if (type !== 'directory' && folders.has(path)) throw refused(path, 'is a file and a folder');
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, end);
      // A known folder's parents are known as well.
      if (folders.has(folder)) break;
      if (files.get(folder) === 'symlink') throw refused(path, `leads through the symlink ${folder}`);
      if (files.has(folder)) throw refused(folder, 'is a file and a folder');
      folders.add(folder);
    }
    if (type === 'directory') {
      folders.add(path);
      namedFolders.add(path);
      return;
    }
    if (type === 'symlink') {
      const trouble = symlinkProblem(path, linkTarget);
      if (trouble !== undefined) throw refusedLink(path, linkTarget, trouble);
    }
    // Tar can only make a link to what it has unpacked; that its path is safe was checked then.
    if (type === 'hardlink' && !files.has(linkTarget)) {
      throw refusedLink(path, linkTarget, 'is no file before it');
    }
    files.set(path, type);
  };
}

/**
 * What is wrong with what a symlink points to, as the end of a sentence; undefined when nothing is. `..` may only lead: a
 * name before it could be another symlink, and then it is not known where it goes up from. So whatever such links are
 * followed, they stay inside.
 */
export function symlinkProblem(path: string, target: string): string | undefined {
  if (target === '') return 'is nothing';
  if (!target.isWellFormed() || target.includes('\uFFFD')) return 'is not valid UTF-8';
  if (target.includes('\0')) return 'has a control character';
  if (posix.isAbsolute(target)) return 'is absolute';
  const segments = target.split('/').filter((segment) => segment !== '' && segment !== '.');
  const names = segments.findIndex((segment) => segment !== '..');
  const up = names === -1 ? segments.length : names;
  if (segments.includes('..', up)) return 'goes up again after a name';
  return up >= path.split('/').length ? 'leads outside' : undefined;
}

function refused(path: string, problem: string): TransshipError {
  return new TransshipError('ARCHIVE_UNSUPPORTED', `The path ${JSON.stringify(path)} ${problem}.`, {
    hint: 'Paths in an archive are relative, with / between names, and each stands for one file.',
  });
}

function refusedLink(path: string, target: string, problem: string): TransshipError {
  return new TransshipError(
    'ARCHIVE_UNSUPPORTED',
    `The link ${JSON.stringify(path)} points to ${JSON.stringify(target)}, which ${problem}.`,
    { hint: 'Links may only point to what is beside them, by a relative path.' },
  );
}
