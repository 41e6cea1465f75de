import { damaged } from './damage.ts';
import type { ByteRange } from './entry.ts';
import type { Bytes } from './streams.ts';
import { BLOCK_BYTES, decimalSize, padded, sizeOf, TarProblem, tarNumber } from './tar-header.ts';
import { allZeros, zeros } from './zeros.ts';

/*
 * Sparse files in a tar: only the data is in it, one part after the other, and a map that tells where each belongs. GNU
 * tar has four ways to write that map: https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html
 */

/** What a map says of a file. */
export interface SparseMap {
  /** Bytes, holes included. */
  readonly size: number;
  /** Where there is data, in order; an empty one at the end marks a hole there. */
  readonly data: readonly ByteRange[];
}

/** More parts than that are an attack on memory, or a disk that is better read raw. */
const MAX_PARTS = 1_000_000;

/** `<offset><length>`, twelve bytes each. */
const OLD_PART_BYTES = 24;

/**
 * Reads the map of GNU's own format (type `S`): four parts in the header, the others in blocks that follow it.
 *
 * @param header - its block
 * @param takeBlock - reads the next block
 */
export async function readOldMap(header: Uint8Array, takeBlock: () => Promise<Uint8Array>): Promise<SparseMap> {
  const data: ByteRange[] = [];
  const add = (table: Uint8Array, count: number) => {
    for (let at = 0; at < count * OLD_PART_BYTES; at += OLD_PART_BYTES) {
      const [offset, length] = [table.subarray(at, at + 12), table.subarray(at + 12, at + OLD_PART_BYTES)];
      // Those that are not needed are empty.
      if (length[0] === 0) return;
      data.push({ start: sizeOf(tarNumber(offset)), length: sizeOf(tarNumber(length)) });
    }
  };
  add(header.subarray(386), 4);
  for (let goesOn = header[482] !== 0; goesOn; ) {
    if (data.length > MAX_PARTS) throw tooManyParts();
    const block = await takeBlock();
    add(block, 21);
    goesOn = block[504] !== 0;
  }
  return checked({ size: sizeOf(tarNumber(header.subarray(483, 495))), data });
}

/**
 * Reads the map of the PAX formats 0.0, 0.1 and 1.0.
 *
 * @param records - in their order: format 0.0 repeats keys
 * @param takeBlock - reads the next block of the body, with which format 1.0 begins
 * @returns undefined for a file that is not sparse
 */
export async function readPaxMap(
  records: readonly (readonly [key: string, value: string])[],
  takeBlock: () => Promise<Uint8Array>,
): Promise<SparseMap | undefined> {
  const sparse = records.filter(([key]) => key.startsWith('GNU.sparse.'));
  if (sparse.length === 0) return undefined;
  const last = new Map(sparse);
  const size = last.get('GNU.sparse.realsize') ?? last.get('GNU.sparse.size');
  if (size === undefined) throw new TarProblem('a sparse file has no size');
  const version = `${last.get('GNU.sparse.major') ?? 0}.${last.get('GNU.sparse.minor') ?? 0}`;
  const numbers = async () => {
    if (version === '1.0') return readNumbers(takeBlock);
    if (!version.startsWith('0.'))
      throw new TarProblem(`a sparse file has a map of format ${version}, which is not known`);
    const list = last.get('GNU.sparse.map');
    if (list !== undefined) return list === '' ? [] : list.split(',').map(decimalSize);
    const pairs = sparse.filter(([key]) => key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes');
    if (pairs.some(([key], index) => key !== (index % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes'))) {
      throw new TarProblem('the map of a sparse file has no pairs');
    }
    return pairs.map(([, value]) => decimalSize(value));
  };
  return checked({ size: decimalSize(size), data: pairsOf(await numbers()) });
}

/** Format 1.0: a count of pairs, then the pairs, each number on a line; the last block is filled up. */
async function readNumbers(takeBlock: () => Promise<Uint8Array>): Promise<number[]> {
  const found: number[] = [];
  let line = '';
  for (;;) {
    const lines = (line + Buffer.from(await takeBlock()).toString('latin1')).split('\n');
    line = lines.pop() ?? '';
    for (const text of lines) {
      found.push(decimalSize(text));
      if ((found[0] ?? 0) > MAX_PARTS) throw tooManyParts();
      if (found.length === 1 + 2 * (found[0] ?? 0)) return found.slice(1);
    }
    if (line.length > 20) throw new TarProblem('the map of a sparse file has no end');
  }
}

function pairsOf(numbers: readonly number[]): ByteRange[] {
  if (numbers.length % 2 !== 0) throw new TarProblem('the map of a sparse file has no pairs');
  if (numbers.length > 2 * MAX_PARTS) throw tooManyParts();
  const pairs: ByteRange[] = [];
  for (let at = 0; at < numbers.length; at += 2) pairs.push({ start: numbers[at] ?? 0, length: numbers[at + 1] ?? 0 });
  return pairs;
}

function checked(map: SparseMap): SparseMap {
  let end = 0;
  for (const { start, length } of map.data) {
    if (start < end || start + length > map.size) throw new TarProblem('the map of a sparse file is out of order');
    end = start + length;
  }
  return map;
}

function tooManyParts(): TarProblem {
  return new TarProblem(`a sparse file has more than ${MAX_PARTS} parts`);
}

/** The rest of a file of `size` bytes: its holes from its data, or its data from its holes. Ranges that touch are joined. */
export function otherRanges(ranges: readonly ByteRange[], size: number): ByteRange[] {
  const others: ByteRange[] = [];
  let end = 0;
  for (const { start, length } of ranges) {
    if (length === 0) continue;
    if (start > end) others.push({ start: end, length: start - end });
    end = start + length;
  }
  if (end < size) others.push({ start: end, length: size - end });
  return others;
}

/**
 * Holes that begin and end where blocks do, or where the file ends, within those that are given: GNU tar reads each part
 * of the data from a new block, other programs right behind the one before it.
 */
export function alignHoles(holes: readonly ByteRange[], size: number): ByteRange[] {
  return holes.flatMap(({ start, length }) => {
    const end = start + length;
    const from = padded(start);
    const to = end === size ? end : Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES;
    return to > from ? [{ start: from, length: to - from }] : [];
  });
}

/** How many bytes of data a file has besides its holes. */
export function dataLength(holes: readonly ByteRange[], size: number): number {
  return holes.reduce((left, { length }) => left - length, size);
}

/** Writes the map of format 1.0, which precedes the data. */
export function formatMap(holes: readonly ByteRange[], size: number): Buffer {
  const data = otherRanges(holes, size);
  const last = data.at(-1);
  // GNU tar gives a file its length by this where it ends with a hole.
  if (last === undefined || last.start + last.length < size) data.push({ start: size, length: 0 });
  const text = `${data.length}\n${data.map(({ start, length }) => `${start}\n${length}\n`).join('')}`;
  const map = Buffer.alloc(padded(Buffer.byteLength(text)));
  map.write(text, 'latin1');
  return map;
}

/** Puts the zeros of the holes between the data. */
export async function* fillHoles(data: Bytes, { size, data: parts }: SparseMap): AsyncGenerator<Uint8Array> {
  const left = parts.values();
  let part = left.next();
  let position = 0;
  for await (const piece of data) {
    for (let rest = piece; rest.byteLength > 0; ) {
      while (part.value !== undefined && position >= part.value.start + part.value.length) part = left.next();
      const { start, length } = part.value ?? { start: size, length: 0 };
      yield* zeros(start - position);
      const here = rest.subarray(0, start + length - Math.max(position, start));
      if (here.byteLength === 0) throw new Error('There is more data than a map has room for.');
      yield here;
      position = Math.max(position, start) + here.byteLength;
      rest = rest.subarray(here.byteLength);
    }
  }
  yield* zeros(size - position);
}

/**
 * Leaves the holes of a body out.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` naming the file when there is something else than zeros in a hole
 */
export async function* leaveHoles(body: Bytes, holes: readonly ByteRange[], path: string): AsyncGenerator<Uint8Array> {
  const left = holes.values();
  let hole = left.next();
  let position = 0;
  for await (const piece of body) {
    for (let rest = piece; rest.byteLength > 0; ) {
      while (hole.value !== undefined && position >= hole.value.start + hole.value.length) hole = left.next();
      const { start, length } = hole.value ?? { start: Number.POSITIVE_INFINITY, length: 0 };
      const isHole = position >= start;
      const part = rest.subarray(0, (isHole ? start + length : start) - position);
      if (!isHole) yield part;
      else if (!allZeros(part)) throw damaged(`The body of ${path} has data in a hole, at byte ${position}.`);
      position += part.byteLength;
      rest = rest.subarray(part.byteLength);
    }
  }
}
