import { chmod, link, mkdir, open, rm, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Disk } from './disks.ts';

/** What a claim holds: a disk, or files in a folder. */
export type Volume = { readonly disk: Disk } | { readonly folder: string };

/** What claims hold, by namespace and name. A claim that nothing was put into holds nothing. */
export interface Volumes {
  get(namespace: string, claim: string): Volume | undefined;
  set(namespace: string, claim: string, volume: Volume): void;
  delete(namespace: string, claim: string): void;
}

export function createVolumes(): Volumes {
  const known = new Map<string, Volume>();
  return {
    get: (namespace, claim) => known.get(`${namespace}/${claim}`),
    set: (namespace, claim, volume) => void known.set(`${namespace}/${claim}`, volume),
    delete: (namespace, claim) => void known.delete(`${namespace}/${claim}`),
  };
}

/** One file of a volume that is a folder. */
export interface VolumeFile {
  /** Relative to the volume. */
  readonly path: string;
  /** Default: 0644 for a file, 0755 for a folder. */
  readonly mode?: number;
  readonly modified?: Date;
  /** A file's bytes. */
  readonly text?: string | Uint8Array;
  /** A sparse file: so many bytes, with data in some places. */
  readonly sparse?: { readonly size: number; readonly data: readonly { at: number; bytes: Uint8Array }[] };
  readonly folder?: true;
  /** Where a symbolic link leads. */
  readonly symlink?: string;
  /** The path of the file in this volume that a hard link is another name of; it comes before. */
  readonly hardlink?: string;
}

/**
 * Writes a volume of files, holes and links as they are on a real file system.
 *
 * @param folder - made; the caller removes it
 */
export async function writeFolder(folder: string, files: readonly VolumeFile[]): Promise<Volume> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const file of files) {
    const path = join(folder, file.path);
    await mkdir(dirname(path), { recursive: true });
    if (file.symlink !== undefined) {
      await symlink(file.symlink, path);
      continue;
    }
    if (file.hardlink !== undefined) {
      await link(join(folder, file.hardlink), path);
      continue;
    }
    if (file.folder) await mkdir(path, { recursive: true });
    else await writeFileOf(path, file);
    if (file.mode !== undefined) await chmod(path, file.mode);
    if (file.modified !== undefined) await utimes(path, file.modified, file.modified);
  }
  return { folder };
}

async function writeFileOf(path: string, { text = '', sparse }: VolumeFile): Promise<void> {
  const handle = await open(path, 'w');
  try {
    if (sparse === undefined) {
      await handle.writeFile(text);
      return;
    }
    await handle.truncate(sparse.size);
    for (const { at, bytes } of sparse.data) await handle.write(bytes, 0, bytes.byteLength, at);
  } finally {
    await handle.close();
  }
}
