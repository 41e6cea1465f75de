import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

const SQLITE_BUSY = 5;
const POLL_MS = 200;

/**
 * Runs `work` while no other process, and no other call in this one, holds the lock at `path`. The lock is SQLite's on an
 * empty database, so it is the kernel's: it ends with its holder, however that ends, and can't go stale as a file with a
 * process id can.
 *
 * @param onWait - called once a poll while somebody else holds it, with the milliseconds waited so far
 */
export async function withLock<T>(path: string, onWait: (ms: number) => void, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const database = new DatabaseSync(path);
  try {
    const since = Date.now();
    while (!tryLock(database)) {
      onWait(Date.now() - since);
      await sleep(POLL_MS);
    }
    return await work();
  } finally {
    database.close();
  }
}

function tryLock(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return false;
    throw error;
  }
}
