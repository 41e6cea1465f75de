import { createHash } from 'node:crypto';
import { type Disk, KIB } from './disks.ts';

/** A disk that was uploaded or downloaded: what came in, byte for byte, as long as the recorder kept it. */
export interface ReceivedDisk extends Disk {
  /** Bytes of blocks that are not zeros. */
  readonly stored: number;
}

/** Takes in a disk as it comes. */
export interface DiskRecorder {
  /** Bytes so far. */
  readonly size: number;
  write(bytes: Uint8Array): void;
  finish(): ReceivedDisk;
}

const BLOCK = 64 * KIB;
const ZEROS = new Uint8Array(BLOCK);

/**
 * Starts to record a disk: its digest, and its blocks that are not zeros, so that a sparse disk of any size fits into memory.
 *
 * @param options - `keep: false`: only the digest and the size; the disk cannot be read afterwards
 */
export function recordDisk({ keep = true }: { keep?: boolean } = {}): DiskRecorder {
  const hash = createHash('sha256');
  const blocks = new Map<number, Uint8Array>();
  let size = 0;
  let stored = 0;
  const store = (at: number, bytes: Uint8Array): void => {
    const number = Math.floor(at / BLOCK);
    const known = blocks.get(number);
    if (known === undefined && isZeros(bytes)) return;
    const block = known ?? new Uint8Array(BLOCK);
    if (known === undefined) {
      blocks.set(number, block);
      stored += BLOCK;
    }
    block.set(bytes, at % BLOCK);
  };
  return {
    get size() {
      return size;
    },
    write(bytes) {
      hash.update(bytes);
      for (let at = 0; keep && at < bytes.byteLength; ) {
        const length = Math.min(BLOCK - ((size + at) % BLOCK), bytes.byteLength - at);
        store(size + at, bytes.subarray(at, at + length));
        at += length;
      }
      size += bytes.byteLength;
    },
    finish() {
      const digest = hash.digest('hex');
      return {
        size,
        stored,
        sha256: () => digest,
        read(start, end) {
          if (!keep) throw new Error('The bytes of this disk were not kept');
          const bytes = new Uint8Array(end - start);
          for (let at = start; at < end; ) {
            const length = Math.min(BLOCK - (at % BLOCK), end - at);
            const block = blocks.get(Math.floor(at / BLOCK));
            if (block !== undefined) bytes.set(block.subarray(at % BLOCK, (at % BLOCK) + length), at - start);
            at += length;
          }
          return bytes;
        },
      };
    },
  };
}

/** A disk with zeros after it, as a volume is when it has more room than what was written to it. */
export function grownDisk(disk: Disk, size: number): Disk {
  if (size <= disk.size) return disk;
  const read = (start: number, end: number): Uint8Array => {
    const bytes = new Uint8Array(end - start);
    if (start < disk.size) bytes.set(disk.read(start, Math.min(end, disk.size)));
    return bytes;
  };
  return { size, read, sha256: () => disk.sha256() };
}

function isZeros(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.byteLength)) === 0;
}
