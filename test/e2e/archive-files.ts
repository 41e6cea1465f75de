import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { readBody } from '../../src/archive/entry.ts';
import { readArchive } from '../../src/archive/read.ts';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { asList, asMap } from './live-object.ts';

/** The files of a snapshot by their paths in it. */
export type SnapshotFiles = ReadonlyMap<string, string>;

/** Unpacks an archive, which checks all its digests. */
export async function readArchiveFiles(path: string): Promise<SnapshotFiles> {
  const files = new Map<string, string>();
  for await (const entry of readArchive(createReadStream(path))) {
    files.set(entry.path, (await readBody(entry)).toString('utf8'));
  }
  return files;
}

/** Reads a snapshot that lies there as separate files, without those that only say what is there. */
export async function readTreeFiles(folder: string): Promise<SnapshotFiles> {
  const files = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = relative(folder, join(entry.parentPath, entry.name));
    if (entry.isFile() && path !== '_index.json' && path !== 'manifest') {
      files.set(path, await readFile(join(folder, path), 'utf8'));
    }
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The files that hold objects: all but those that say what the snapshot is. */
export function objectFiles(files: SnapshotFiles): Record<string, string> {
  return Object.fromEntries([...files].filter(([path]) => !path.startsWith('_')).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The objects in one of the files. */
export function objectsOf(files: SnapshotFiles, path: string): KubeObject[] {
  const text = files.get(path);
  if (text === undefined) throw new Error(`There is no ${path}, but ${[...files.keys()].join(', ')}.`);
  const list: unknown = JSON.parse(text);
  return asList(asMap(list)?.items) as KubeObject[];
}

/** One object of a file. */
export function objectOf(files: SnapshotFiles, path: string, name: string): KubeObject {
  const found = objectsOf(files, path).find(({ metadata }) => metadata.name === name);
  if (found === undefined) throw new Error(`${path} has no ${name}.`);
  return found;
}

/** The names of the objects in a file, in its order; none without the file. */
export function namesIn(files: SnapshotFiles, path: string): string[] {
  return files.has(path) ? objectsOf(files, path).map(({ metadata }) => metadata.name) : [];
}
