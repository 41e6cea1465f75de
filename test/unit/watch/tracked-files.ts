import { type FileHandle, open } from 'node:fs/promises';
import { onTestFinished } from 'vitest';

/** Opens files and keeps count of them; they are closed after the test. */
export interface TrackedFiles {
  openFile(path: string): Promise<FileHandle>;
  /** How many are open now. */
  open(): number;
  /** Bytes that were written since the last time it was asked. */
  written(): number;
  /** Bytes of those that are open. */
  size(): Promise<number>;
  /** The disk is full after so many bytes more. */
  limit(bytes: number): void;
}

export function trackFiles(): TrackedFiles {
  const files = new Set<FileHandle>();
  let written = 0;
  let room = Number.POSITIVE_INFINITY;
  onTestFinished(async () => {
    for (const file of files) await file.close();
  });
  return {
    async openFile(path) {
      const file = await open(path, 'wx+', 0o600);
      const [write, close] = [file.write.bind(file), file.close.bind(file)];
      Object.assign(file, {
        async write(bytes: Uint8Array, offset: number, _length: undefined, position: number) {
          if (room < bytes.byteLength) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
          const result = await write(bytes, offset, undefined, position);
          written += result.bytesWritten;
          room -= result.bytesWritten;
          return result;
        },
        async close() {
          files.delete(file);
          await close();
        },
      });
      files.add(file);
      return file;
    },
    open: () => files.size,
    written() {
      const bytes = written;
      written = 0;
      return bytes;
    },
    async size() {
      const stats = await Promise.all([...files].map((file) => file.stat()));
      return stats.reduce((sum, { size }) => sum + size, 0);
    },
    limit(bytes) {
      room = bytes;
    },
  };
}
