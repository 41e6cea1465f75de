import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { damaged } from '../archive/damage.ts';

/** More values than any release has; each is an object of some hundred bytes in memory, and may be two in the file. */
const MAX_VALUES = 200_000;
const MAX_DEPTH = 32;

/**
 * Refuses a message that would fill the memory once it is decoded.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for one with more values, or deeper, than any release
 * @throws Error when it is no protobuf
 */
export function checkWeight(schema: DescMessage, bytes: Uint8Array): void {
  const left = countDown(schema, bytes, MAX_VALUES, 0);
  if (left >= 0) return;
  throw damaged(`The helm-export file has a release of more than ${MAX_VALUES} values, which no release has.`);
}

/** What is left of the values that are allowed; negative when there are too many. */
function countDown(schema: DescMessage, bytes: Uint8Array, allowed: number, depth: number): number {
  if (depth > MAX_DEPTH) throw damaged(`The helm-export file has messages more than ${MAX_DEPTH} deep.`);
  const reader = new BinaryReader(bytes);
  let left = allowed;
  while (reader.pos < reader.len && left >= 0) {
    const [number, type] = reader.tag();
    left -= 1;
    if (type !== WireType.LengthDelimited) {
      reader.skip(type, number);
      continue;
    }
    const value = reader.bytes();
    const field = schema.fields.find((one) => one.number === number);
    if (field?.message !== undefined) left = countDown(field.message, value, left, depth + 1);
    // Numbers stand side by side in one field.
    else if (field?.fieldKind === 'list' && field.packed) left -= value.byteLength;
  }
  return left;
}
