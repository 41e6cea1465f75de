import { mkdir } from 'node:fs/promises';
import { runCommand } from './run-command.ts';

/** A folder that is nearly full, and how to start a program so that it meets the end of it. */
export interface LittleRoom {
  readonly prefix: readonly string[];
  free(): Promise<void>;
}

/**
 * Gives a folder 64 KiB: as a file system of its own where this user may mount one, else by the limit on the size of
 * files that a process may write.
 */
export async function makeLittleRoom(folder: string): Promise<LittleRoom> {
  await mkdir(folder);
  const mounted = await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
  if (mounted.exitCode === 0) {
    return { prefix: [], free: async () => void (await runCommand('umount', [folder])) };
  }
  return { prefix: ['/bin/bash', '-c', 'ulimit -f 64; exec "$@"', 'limited'], free: async () => undefined };
}
