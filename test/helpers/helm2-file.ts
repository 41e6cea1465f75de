import { gzipSync } from 'node:zlib';
import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** A field of a message by its number on the wire: bytes, text or a message for objects, a number for numbers. */
export type Fields = readonly (readonly [number: number, value: Fields | string | Uint8Array | number])[];

/** A message made by hand, so that the numbers are those of Helm 2's own definitions and not of ours. */
export function encodeFields(fields: Fields): Uint8Array {
  const writer = new BinaryWriter();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.tag(number, 0).int32(value);
    else if (typeof value === 'string') writer.tag(number, 2).string(value);
    else writer.tag(number, 2).bytes(value instanceof Uint8Array ? value : encodeFields(value));
  }
  return writer.finish();
}

/** A helm-export file as Helm 2 would have written it. */
export function helm2File(...fields: Fields): Buffer {
  return gzipSync(encodeFields(fields));
}
