/** A tar is made of blocks of so many bytes. */
export const BLOCK_BYTES = 512;

/** What is wrong with a tar, as the end of a sentence; whoever reads it knows where. */
export class TarProblem extends Error {}

/** What one header block says; what headers before it say instead is not in it. */
export interface TarHeader {
  /** The type flag, one character; a NUL of old tars is `0`. */
  readonly flag: string;
  readonly name: string;
  readonly linkName: string;
  /** Bytes that follow it, without padding. */
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** All of it, for what only some flags have. */
  readonly block: Uint8Array;
}

/** Owners beyond this need a PAX record, as tar-stream writes them. */
export const MAX_OWNER = 0o777777;

/**
 * Reads a header of any tar: GNU, POSIX or older (https://www.gnu.org/software/tar/manual/html_node/Standard.html).
 *
 * @returns undefined for the zeros that end a tar
 * @throws TarProblem for what is no header
 */
export function parseTarHeader(block: Uint8Array): TarHeader | undefined {
  let sum = 0;
  for (let at = 0; at < block.byteLength; at++) sum += at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
  // Eight blanks, in place of the checksum, and zeros.
  if (sum === 8 * 0x20 && block.every((byte) => byte === 0)) return undefined;
  if (sum !== tarNumber(block.subarray(148, 156))) throw new TarProblem('a header has another checksum than it says');
  const text = (start: number, length: number) => textUpToNul(block.subarray(start, start + length));
  const number = (start: number, length: number) => tarNumber(block.subarray(start, start + length));
  // GNU's own magic goes on with blanks, and has other fields where POSIX has the prefix.
  const prefix = text(257, 8) === 'ustar' ? text(345, 155) : '';
  const flag = String.fromCharCode(block[156] ?? 0);
  return {
    flag: flag === '\0' ? '0' : flag,
    name: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`,
    linkName: text(157, 100),
    size: sizeOf(number(124, 12)),
    mode: number(100, 8),
    uid: number(108, 8),
    gid: number(116, 8),
    mtime: number(136, 12),
    block,
  };
}

/** A number in octal, or where that is too short in base 256, as the first bit tells; 0 for an empty field. */
export function tarNumber(field: Uint8Array): number {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    const value = BigInt(`0x${Buffer.from(field).toString('hex')}`);
    return Number(BigInt.asIntN(field.byteLength * 8 - 1, value));
  }
  const digits = textUpToNul(field).trim();
  if (!/^[0-7]*$/.test(digits)) throw new TarProblem(`a header has ${JSON.stringify(digits)} for a number`);
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** Checks a count of bytes. */
export function sizeOf(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new TarProblem(`a header has a size of ${value}`);
  return value;
}

/** Reads a decimal count of bytes, as PAX has them. */
export function decimalSize(text: string): number {
  if (!/^\d+$/.test(text)) throw new TarProblem(`a header has a size of ${JSON.stringify(text)}`);
  return sizeOf(Number(text));
}

export function textUpToNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.buffer, bytes.byteOffset, end === -1 ? bytes.byteLength : end).toString('utf8');
}

/** Reads PAX records, `<length> <key>=<value>\n` each, in their order: a key may come more than once. */
export function parsePax(bytes: Uint8Array): [key: string, value: string][] {
  const records: [string, string][] = [];
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start < buffer.length; ) {
    const blank = buffer.indexOf(' ', start);
    const digits = blank === -1 ? '' : buffer.toString('latin1', start, blank);
    const end = start + Number(digits);
    const equals = buffer.indexOf('=', blank);
    const isRecord = /^\d+$/.test(digits) && equals > blank && equals < end && end <= buffer.length;
    if (!isRecord || buffer[end - 1] !== 0x0a) throw new TarProblem('a PAX header is not made of records');
    records.push([buffer.toString('utf8', blank + 1, equals), buffer.toString('utf8', equals + 1, end - 1)]);
    start = end;
  }
  return records;
}

/** How many bytes a PAX record takes, whose length counts itself. */
export function paxRecordLength(key: string, value: string): number {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return length;
}

/** Up to where the next header starts. */
export function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}
