import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type ByteReader, createByteReader } from '../archive/byte-reader.ts';
import { damaged } from '../archive/damage.ts';
import type { Bytes } from '../archive/streams.ts';

/** A length-delimited field of the outermost message. */
export interface Field {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** The most bytes of one field: what a record may have in an archive, and somewhat more. */
const MAX_FIELD_BYTES = 136 * 1024 * 1024;
const MAX_VARINT_BYTES = 10;
const SKIPPED_AT_ONCE = 1024 * 1024;

/** One field with its tag and length, for a message that is written piece by piece. */
export function fieldBytes(number: number, message: Uint8Array): Uint8Array[] {
  const head = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(message.byteLength).finish();
  return [head, message];
}

/**
 * Reads the fields of a message one after the other, each whole in memory; those of other types are passed over.
 *
 * @param isKnown - whether a field is wanted; others are not held in memory
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is cut, no protobuf, or larger than any record
 */
export async function* readFields(source: Bytes, isKnown: (number: number) => boolean): AsyncGenerator<Field> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    const reader = createByteReader(iterator);
    for (let tag = await readVarint(reader); tag !== undefined; tag = await readVarint(reader)) {
      // Larger than any tag are the numbers that bit operations would cut.
      const number = Math.floor(tag / 8);
      if (number === 0 || tag > 0xffffffff) throw damaged(`${WHAT} is no protobuf: it has a field ${number}.`);
      switch (tag % 8) {
        case WireType.LengthDelimited: {
          const size = await need(readVarint(reader));
          if (isKnown(number)) yield { number, bytes: await readBytes(reader, size, number) };
          else await skip(reader, size);
          break;
        }
        case WireType.Varint:
          await need(readVarint(reader));
          break;
        case WireType.Bit64:
          await skip(reader, 8);
          break;
        case WireType.Bit32:
          await skip(reader, 4);
          break;
        default:
          throw damaged(`${WHAT} is no protobuf: its field ${number} has the type ${tag % 8}.`);
      }
    }
  } finally {
    await iterator.return?.();
  }
}

const WHAT = 'The helm-export file';

/** A number below 2^53; undefined at the end. */
async function readVarint(reader: ByteReader): Promise<number | undefined> {
  let value = 0;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const [byte] = await reader.take(1);
    if (byte === undefined) {
      if (index === 0) return undefined;
      throw cut();
    }
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return value;
  }
  throw damaged(`${WHAT} is no protobuf: it has a number of more than ${MAX_VARINT_BYTES} bytes.`);
}

async function need(number: Promise<number | undefined>): Promise<number> {
  const value = await number;
  if (value === undefined) throw cut();
  return value;
}

async function readBytes(reader: ByteReader, size: number, number: number): Promise<Uint8Array> {
  if (size > MAX_FIELD_BYTES) {
    throw damaged(`${WHAT} has a field ${number} of ${size} bytes, more than the ${MAX_FIELD_BYTES} of any record.`);
  }
  const bytes = await reader.take(size);
  if (bytes.byteLength < size) throw cut();
  return bytes;
}

async function skip(reader: ByteReader, size: number): Promise<void> {
  for (let left = size; left > 0; ) {
    const { byteLength } = await reader.take(Math.min(left, SKIPPED_AT_ONCE));
    if (byteLength === 0) throw cut();
    left -= byteLength;
  }
}

function cut(): Error {
  return damaged(`${WHAT} is cut: it ends within a field.`);
}
