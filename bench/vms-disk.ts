import { createCipheriv, createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { GIB, MIB } from '../test/kubevirt/disks.ts';
import { writeProse } from './prose.ts';

/** Bytes of the disk that most figures are measured with. */
export const MIXED_BYTES = 2 * GIB;
/** Of each disk that is moved side by side with others: the start of the same. */
export const SIDE_BY_SIDE_BYTES = GIB / 2;
export const SPARSE_BYTES = 16 * GIB;
const SPARSE_DATA_BYTES = MIB;
const PLACES = [0.1, 0.35, 0.6, 0.9];

/** Where the data of the sparse disk is: away from the borders of blocks, pieces and ranges. */
export const SPARSE_PLACES = PLACES.map((share) => ({
  at: Math.floor(SPARSE_BYTES * share) + 4321,
  length: SPARSE_DATA_BYTES / PLACES.length,
}));

/** Text that is repeated at distances beyond what zstd and xz look back at these levels. */
const PROSE_BYTES = 16 * MIB;
const PROSE_STEP = 3_333_337;

/**
 * Writes a disk of which each 10 MiB are 4 of zeros, 3 of text and 3 of random bytes.
 *
 * @returns its SHA-256 in hex
 */
export async function writeMixedDisk(path: string): Promise<string> {
  const sha256 = createHash('sha256');
  const prose = writeProse(7, PROSE_BYTES);
  const random = createRandomBytes();
  const file = await open(path, 'w');
  try {
    for (let at = 0, stretch = 0; at < MIXED_BYTES; stretch++) {
      const text = (stretch * PROSE_STEP) % (PROSE_BYTES - 3 * MIB);
      const bytes = Buffer.concat([Buffer.alloc(4 * MIB), prose.subarray(text, text + 3 * MIB), random(3 * MIB)]);
      const part = bytes.subarray(0, MIXED_BYTES - at);
      await file.write(part);
      sha256.update(part);
      at += part.byteLength;
    }
    return sha256.digest('hex');
  } finally {
    await file.close();
  }
}

/** Writes what the sparse disk has at {@link SPARSE_PLACES}. */
export async function writeSparseData(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.write(createRandomBytes()(SPARSE_DATA_BYTES));
  } finally {
    await file.close();
  }
}

/** Always the same, but no compression makes them smaller. */
function createRandomBytes(): (count: number) => Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16));
  return (count) => cipher.update(Buffer.alloc(count));
}
