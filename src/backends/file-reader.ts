import { open } from 'node:fs/promises';
import type { PartReader } from '../archive/part.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import { failTo } from './files.ts';

const READ_SIZE = 1024 * 1024;

/**
 * Opens a file to be read from anywhere.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND`, `BACKEND`; also from what it returns, and `CANCELLED`
 */
export async function openFile(path: string, signal?: AbortSignal): Promise<PartReader> {
  const file = await open(path, 'r').catch(failTo('read', path));
  const read = async (start: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      if (signal?.aborted) throw cancelledBy(signal);
      const { bytesRead } = await file.read(buffer, done, length - done, start + done).catch(failTo('read', path));
      if (bytesRead === 0) {
        throw new TransshipError('BACKEND', `Cannot read ${path}: it ends before byte ${start + length}.`);
      }
      done += bytesRead;
    }
    return buffer;
  };
  try {
    const stats = await file.stat().catch(failTo('read', path));
    if (!stats.isFile()) throw new TransshipError('SNAPSHOT_NOT_FOUND', `${path} is not a file.`);
    const { size } = stats;
    return {
      size,
      read,
      async *bytes() {
        for (let at = 0; at < size; at += READ_SIZE) yield await read(at, Math.min(READ_SIZE, size - at));
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
