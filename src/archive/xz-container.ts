import { crc32 } from 'node:zlib';
import { damaged } from './damage.ts';

/** One block of an xz stream, as its index names it: its bytes without padding, and what they decompress to. */
export type XzBlock = readonly [unpadded: number, uncompressed: number];

const FLAGS = Buffer.from([0x00, 0x04]);
const FOOTER_MAGIC = Buffer.from('YZ');
export const XZ_HEADER_BYTES = 12;
export const XZ_FOOTER_BYTES = 12;

/** How much of an index is read at the most: some ten million blocks. */
const MAX_INDEX_BYTES = 128 * 1024 * 1024;

/** The start of a stream whose blocks have CRC64: https://tukaani.org/xz/xz-file-format.txt, 2.1.1. */
export function xzHeader(): Buffer {
  return Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), FLAGS, uint32(crc32(FLAGS))]);
}

/** The end of a stream with these blocks: its index and footer. */
export function xzTail(blocks: readonly XzBlock[]): Buffer {
  const body = Buffer.concat([Buffer.from([0x00]), Buffer.from([blocks.length, ...blocks.flat()].flatMap(multibyte))]);
  const padded = Buffer.concat([body, Buffer.alloc(padding(body.byteLength))]);
  const index = Buffer.concat([padded, uint32(crc32(padded))]);
  const backward = Buffer.concat([uint32(index.byteLength / 4 - 1), FLAGS]);
  return Buffer.concat([index, uint32(crc32(backward)), backward, FOOTER_MAGIC]);
}

/** How many bytes blocks take, padding included. */
export function blocksLength(blocks: readonly XzBlock[]): number {
  return blocks.reduce((sum, [unpadded]) => sum + unpadded + padding(unpadded), 0);
}

/**
 * How many bytes the index of a stream takes that ends with this footer.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` where these twelve bytes are no footer
 */
export function xzIndexLength(footer: Buffer): number {
  const backward = footer.subarray(4, 10);
  if (!footer.subarray(10).equals(FOOTER_MAGIC) || footer.readUInt32LE(0) !== crc32(backward)) {
    throw damaged('The xz stream is cut or damaged: it has no footer.');
  }
  const length = (backward.readUInt32LE(0) + 1) * 4;
  if (length > MAX_INDEX_BYTES) throw damaged(`The xz stream is damaged: its index has ${length} bytes.`);
  return length;
}

/**
 * Reads an index.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for anything that is none
 */
export function parseXzIndex(index: Buffer): XzBlock[] {
  const end = index.byteLength - 4;
  if (end < 4 || index[0] !== 0 || index.readUInt32LE(end) !== crc32(index.subarray(0, end))) {
    throw damaged('The xz stream is damaged: its index is none.');
  }
  let at = 1;
  const next = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = at < end ? index.readUInt8(at) : 0x80;
      at += 1;
      value += (byte & 0x7f) * factor;
      if (at > end || !Number.isSafeInteger(value)) throw damaged('The xz stream is damaged: its index is cut.');
      if (byte < 0x80) return value;
    }
  };
  const blocks: XzBlock[] = [];
  for (let count = next(); count > 0; count -= 1) blocks.push([next(), next()]);
  return blocks;
}

/** Splits a stream of one or more blocks into the bytes of its blocks and what its index says of them. */
export function takeBlocks(stream: Buffer): { bytes: Buffer; blocks: XzBlock[] } {
  const footer = stream.byteLength - XZ_FOOTER_BYTES;
  const index = footer - xzIndexLength(stream.subarray(footer));
  if (!stream.subarray(0, XZ_HEADER_BYTES).equals(xzHeader())) throw new Error('xz was asked for CRC64.');
  return { bytes: stream.subarray(XZ_HEADER_BYTES, index), blocks: parseXzIndex(stream.subarray(index, footer)) };
}

/** Little-endian, seven bits a byte. */
function multibyte(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}
