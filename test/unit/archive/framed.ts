import { open } from 'node:fs/promises';
import type { RandomAccess } from '../../../src/archive/frame-reader.ts';
import type { FramedEntry, Piece } from '../../../src/archive/frames.ts';
import { noise } from './helpers.ts';

/** Small enough that a few files take dozens of frames. */
export const FRAME_BYTES = 16 * 1024;
export const MTIME = new Date('2026-01-02T03:04:05Z');

/** A disk with data that does not compress, a hole, text, an odd tail. */
export const disk = Buffer.concat([
  noise(70_001),
  Buffer.alloc(300_000),
  Buffer.from('root:x:0:0:root:/root:/bin/bash\n'.repeat(4_000)),
  Buffer.alloc(9_999),
  noise(5_000, 7),
]);

/** A body that tells from where it was read, and may be cut at a byte. */
export function diskBody(content: Buffer, watch: { opened: number[] }, cutAt = Infinity): FramedEntry['body'] {
  return async function* (from: number) {
    watch.opened.push(from);
    for (let at = from; at < content.byteLength; at += 5_000) {
      if (at + 5_000 > cutAt) {
        yield content.subarray(at, Math.max(at, cutAt));
        throw new Error('connection reset');
      }
      yield content.subarray(at, at + 5_000);
    }
  };
}

export const LONG_NAME = `volumes/data/${'ä'.repeat(80)}.txt`;

/** The files of a VM archive: small ones, a disk, a hole as long as some frames, more small ones, an empty one. */
export function machine(watch: { opened: number[] } = { opened: [] }, cutAt = Infinity) {
  return async function* (): AsyncGenerator<FramedEntry> {
    const vm = Buffer.from('kind: VirtualMachine\n');
    yield { path: 'resources/vm.yaml', size: vm.byteLength, body: vm };
    yield { path: 'volumes/root/disk.img', size: disk.byteLength, body: diskBody(disk, watch, cutAt) };
    yield { path: 'volumes/blank/disk.img', size: 100_000, body: (from) => hole(100_000 - from) };
    yield { path: LONG_NAME, size: 40_000, body: noise(40_000, 3) };
    yield { path: 'volumes/data/empty', size: 0, body: Buffer.alloc(0) };
  };
}

async function* hole(zeros: number): AsyncGenerator<Piece> {
  yield { zeros };
}

export async function collectPieces(pieces: AsyncIterable<Piece>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece instanceof Uint8Array ? piece : Buffer.alloc(piece.zeros));
  return Buffer.concat(parts);
}

/** Bytes that are read from anywhere; counts those that were. */
export function accessTo(bytes: Buffer): RandomAccess & { readonly count: () => number } {
  let read = 0;
  return {
    size: bytes.byteLength,
    count: () => read,
    async read(start, length) {
      read += length;
      return bytes.subarray(start, start + length);
    },
  };
}

/** Cuts a file, as a machine that lost its power may leave it. */
export async function cutFile(path: string, size: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.truncate(size);
  await file.close();
}
