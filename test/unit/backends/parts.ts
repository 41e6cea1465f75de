import { createCipheriv, createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { decompress } from '../../../src/archive/compression.ts';
import { frameCodecs } from '../../../src/archive/frame-codec.ts';
import type { FramedEntry } from '../../../src/archive/frames.ts';
import type { NewPart, PartReader } from '../../../src/archive/part.ts';
import { readFilesystem } from '../../../src/archive/read-filesystem.ts';
import { MAX_ZSTD_THREADS } from '../../../src/archive/zstd-threads.ts';

const MIB = 1024 * 1024;

/** So much of what was read is still on its way to where it is stored: frames are packed by as many threads as there are. */
export const LAG_BYTES = Math.min(availableParallelism(), MAX_ZSTD_THREADS) * frameCodecs.zstd.frameBytes;
/** Many frames of noise. */
export const DISK_BYTES = 32 * MIB + LAG_BYTES;
export const SCOPE = 'all machines of shop';

/** What becomes of a source in the middle. */
export type Ending = 'whole' | 'breaks' | 'falls silent';

export interface PartOptions extends Partial<NewPart> {
  /** Bytes of the disk. */
  readonly size?: number;
  /** What its content comes from. */
  readonly seed?: number;
  /** Where it ends before its end, and how. */
  readonly at?: number;
  readonly ending?: Ending;
  /** From where the disk was read. */
  readonly opened?: number[];
  /** Called when the source has fallen silent. */
  readonly onSilence?: () => void;
}

const disks = new Map<string, Buffer>();

/** Noise that is the same in every process. */
export function diskOf(size = DISK_BYTES, seed = 1): Buffer {
  const key = `${size} ${seed}`;
  const disk =
    disks.get(key) ??
    createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(size));
  disks.set(key, disk);
  return disk;
}

/** A machine with one disk. */
export function partOf(options: PartOptions = {}): NewPart {
  const { size = DISK_BYTES, seed = 1, at = size, ending = 'whole', opened, onSilence, ...given } = options;
  const disk = diskOf(size, seed);
  const body = async function* (from: number) {
    opened?.push(from);
    for (let start = from; start < at; start += MIB) yield disk.subarray(start, Math.min(start + MIB, at));
    if (ending === 'breaks') throw new Error('the source broke');
    if (ending === 'whole') return;
    onSilence?.();
    await new Promise(() => {});
  };
  return {
    name: 'shop.db',
    compression: 'zstd',
    mtime: new Date('2026-01-31T12:00:00Z'),
    source: 'snapshot:shop/db:1',
    entries: async function* (): AsyncGenerator<FramedEntry> {
      const vm = Buffer.from('kind: VirtualMachine\n');
      yield { path: 'resources/vm.yaml', size: vm.byteLength, body: vm };
      yield { path: 'volumes/root/disk.img', size, body };
    },
    ...given,
  };
}

/** What an archive has for a disk; its bytes must have been so many, and of that digest. */
export async function readDisk(
  reader: PartReader,
  { size, digest }: { readonly size: number; readonly digest: string },
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.bytes()) pieces.push(piece);
  await reader.close();
  const stored = Buffer.concat(pieces);
  if (stored.byteLength !== size || reader.size !== size) throw new Error(`It has ${stored.byteLength} bytes.`);
  if (digest !== `sha256:${createHash('sha256').update(stored).digest('hex')}`)
    throw new Error('Its digest is another.');
  for await (const entry of readFilesystem(decompress(only(stored)))) {
    const content: Uint8Array[] = [];
    const body = entry.body instanceof Uint8Array ? only(entry.body) : entry.body;
    for await (const piece of body) content.push(piece);
    if (entry.path === 'volumes/root/disk.img') return Buffer.concat(content);
  }
  throw new Error('It has no disk.');
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
