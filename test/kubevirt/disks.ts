import { createCipheriv, createHash } from 'node:crypto';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** A raw disk that is computed where it is read: one of many GiB costs neither memory nor room. */
export interface Disk {
  /** Bytes. */
  readonly size: number;
  /**
   * The bytes from `start` to `end`, `end` left out. They may be shared with others: for reading only. Ask for a piece of
   * at most {@link PIECE} bytes, as they are in memory at once.
   */
  read(start: number, end: number): Uint8Array;
  /** SHA-256 of the whole disk in hexadecimal, computed when it is asked for the first time: about 1 s a GiB. */
  sha256(): string;
}

/** How much of a disk is read at once, in bytes. */
export const PIECE = 256 * KIB;

/** A part of a disk that is not zeros. */
interface Extent {
  readonly start: number;
  readonly end: number;
  /** Bytes counted from the start of the disk. */
  fill(start: number, end: number): Uint8Array;
}

const ZEROS = new Uint8Array(PIECE);

/** A disk of nothing but zeros. */
export function blankDisk(size: number): Disk {
  return diskOf(size, []);
}

/** A disk of zeros with incompressible data in some places, by default 1 MiB of it in four. */
export function sparseDisk(size: number, places: readonly { at: number; length: number }[] = fourPlaces(size)): Disk {
  return diskOf(
    size,
    places.map(({ at, length }) => randomExtent(at, at + length, 'sparse')),
  );
}

/**
 * A disk of 16 GiB with 1 MiB of data. Its digest is known: to compute it would take 10 s and more.
 */
export function sparseGiantDisk(): Disk {
  return { ...sparseDisk(16 * GIB), sha256: () => SPARSE_GIANT_SHA256 };
}

// What `digestOf(sparseDisk(16 * GIB))` gives.
const SPARSE_GIANT_SHA256 = 'da0b16801b36f1736cfefd28db08d25a69639fe93ea705c4f00c47188e718e2b';

/** A disk that no compression makes smaller. */
export function incompressibleDisk(size: number, seed = 'incompressible'): Disk {
  return diskOf(size, [randomExtent(0, size, seed)]);
}

/** A disk of lines of text. */
export function textDisk(size: number): Disk {
  return diskOf(size, [textExtent(0, size)]);
}

/** A disk with some of everything: of each 10 MiB, 4 are zeros, 3 are text and 3 are incompressible. */
export function mixedDisk(size: number, seed = 'mixed'): Disk {
  const extents: Extent[] = [];
  for (let start = 0; start < size; start += 10 * MIB) {
    const to = (end: number) => Math.min(start + end * MIB, size);
    if (to(4) < to(7)) extents.push(textExtent(to(4), to(7)));
    if (to(7) < to(10)) extents.push(randomExtent(to(7), to(10), seed));
  }
  return diskOf(size, extents);
}

/**
 * A disk that begins and ends as a partitioned one does, without boot code: a protective MBR, a GUID partition table with
 * one partition of 1 MiB of text, and the backup table in the last sectors. Its first sectors compress to almost
 * nothing.
 *
 * @param options - `sector`: bytes, 512 (default) or 4096
 */
export function gptDisk(size: number, { sector = 512 }: { sector?: 512 | 4096 } = {}): Disk {
  const sectors = Math.floor(size / sector);
  const table = partitionTable(sectors, sector);
  const begin = { start: 0, end: table.head.byteLength };
  const last = { start: (sectors - 1) * sector, end: sectors * sector };
  return diskOf(size, [
    { ...begin, fill: (start, end) => table.head.subarray(start, end) },
    textExtent(MIB, Math.min(2 * MIB, last.start)),
    { ...last, fill: (start, end) => table.tail.subarray(start - last.start, end - last.start) },
  ]);
}

/** The digest of a disk, read piece by piece. */
export function digestOf(disk: Pick<Disk, 'size' | 'read'>): string {
  const hash = createHash('sha256');
  for (const piece of piecesOf(disk)) hash.update(piece);
  return hash.digest('hex');
}

/** A disk, or a part of it, in pieces of at most {@link PIECE} bytes. */
export function* piecesOf(disk: Pick<Disk, 'size' | 'read'>, start = 0, end = disk.size): Generator<Uint8Array> {
  for (let at = start; at < end; at += PIECE) {
    yield disk.read(at, Math.min(at + PIECE, end));
  }
}

/** The whole of a small disk. */
export function bytesOf(disk: Disk): Buffer {
  return Buffer.concat([...piecesOf(disk)]);
}

function diskOf(size: number, extents: readonly Extent[]): Disk {
  let digest: string | undefined;
  const read = (start: number, end: number): Uint8Array => {
    const touched = extents.filter((extent) => extent.start < end && extent.end > start);
    const [only] = touched;
    if (only === undefined) return end - start <= PIECE ? ZEROS.subarray(0, end - start) : new Uint8Array(end - start);
    if (only.start <= start && only.end >= end) return only.fill(start, end);
    const bytes = new Uint8Array(end - start);
    for (const extent of touched) {
      const from = Math.max(start, extent.start);
      bytes.set(extent.fill(from, Math.min(end, extent.end)), from - start);
    }
    return bytes;
  };
  return {
    size,
    read,
    sha256() {
      digest ??= digestOf({ size, read });
      return digest;
    },
  };
}

function fourPlaces(size: number): { at: number; length: number }[] {
  // Away from the borders of pieces and ranges.
  const shares = [0.1, 0.35, 0.6, 0.9];
  return shares.map((share) => ({ at: Math.floor(size * share) + 4321, length: MIB / 4 }));
}

/** AES in counter mode: as good as random, and readable from anywhere. */
function randomExtent(start: number, end: number, seed: string): Extent {
  const key = createHash('sha256').update(seed).digest();
  return {
    start,
    end,
    fill(from, to) {
      const skipped = from % 16;
      const counter = Buffer.alloc(16);
      counter.writeBigUInt64BE(BigInt((from - skipped) / 16), 8);
      const cipher = createCipheriv('aes-256-ctr', key, counter);
      const length = to - from + skipped;
      return cipher.update(length <= PIECE ? ZEROS.subarray(0, length) : new Uint8Array(length)).subarray(skipped);
    },
  };
}

const TEXT = textBlock();

function textExtent(start: number, end: number): Extent {
  return {
    start,
    end,
    fill(from, to) {
      const start = from % TEXT.byteLength;
      if (start + to - from <= TEXT.byteLength) return TEXT.subarray(start, start + to - from);
      const bytes = Buffer.alloc(to - from);
      for (let at = from; at < to; ) {
        const inBlock = at % TEXT.byteLength;
        const length = Math.min(TEXT.byteLength - inBlock, to - at);
        bytes.set(TEXT.subarray(inBlock, inBlock + length), at - from);
        at += length;
      }
      return bytes;
    },
  };
}

/** A megabyte of lines, no two of them the same. */
function textBlock(): Buffer {
  const words = 'the volume holds a file system with logs and settings that nobody has read for many years'.split(' ');
  const lines: string[] = [];
  for (let length = 0, seed = 1; length < MIB; ) {
    const line: string[] = [`${lines.length}:`];
    for (let word = 0; word < 12; word += 1) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      line.push(words[(seed >>> 16) % words.length] ?? '');
    }
    lines.push(`${line.join(' ')}\n`);
    length += lines[lines.length - 1]?.length ?? 0;
  }
  return Buffer.from(lines.join('')).subarray(0, MIB);
}

// https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html
function partitionTable(sectors: number, sector: number): { head: Uint8Array; tail: Uint8Array } {
  const tableSectors = (128 * 128) / sector;
  const head = Buffer.alloc((2 + tableSectors) * sector);
  head.writeUInt8(0xee, 446 + 4);
  head.writeUInt32LE(1, 446 + 8);
  head.writeUInt32LE(Math.min(sectors - 1, 0xff_ff_ff_ff), 446 + 12);
  head.writeUInt16LE(0xaa55, 510);
  const header = (own: number, other: number, entries: number): Buffer => {
    const bytes = Buffer.alloc(sector);
    bytes.write('EFI PART', 0, 'latin1');
    bytes.writeUInt32LE(0x00_01_00_00, 8);
    bytes.writeUInt32LE(92, 12);
    bytes.writeBigUInt64LE(BigInt(own), 24);
    bytes.writeBigUInt64LE(BigInt(other), 32);
    bytes.writeBigUInt64LE(BigInt(2 + tableSectors), 40);
    bytes.writeBigUInt64LE(BigInt(sectors - 2 - tableSectors), 48);
    bytes.write('transship-tests!', 56, 'latin1');
    bytes.writeBigUInt64LE(BigInt(entries), 72);
    bytes.writeUInt32LE(128, 80);
    bytes.writeUInt32LE(128, 84);
    return bytes;
  };
  head.set(header(1, sectors - 1, 2), sector);
  // One Linux partition from 1 MiB to 2 MiB.
  head.write('af3dc60f838472478e793d69d8477de4', 2 * sector, 'hex');
  head.writeBigUInt64LE(BigInt(MIB / sector), 2 * sector + 32);
  head.writeBigUInt64LE(BigInt((2 * MIB) / sector - 1), 2 * sector + 40);
  return { head, tail: header(sectors - 1, 1, sectors - 1 - tableSectors) };
}
