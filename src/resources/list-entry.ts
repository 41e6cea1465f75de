import type { Entry } from '../archive/entry.ts';
import { type Bytes, coalesce, joinPieces } from '../archive/streams.ts';
import type { Piece, TextGatherer } from './gather-text.ts';
import { LIST_HEAD, LIST_SEPARATOR, LIST_TAIL } from './list-file.ts';

/** Up to this size a List is one piece of bytes: a stream would cost more. */
const SMALL_BYTES = 256 * 1024;
/** Of a large one, pieces are joined up to this. */
const PIECE_BYTES = 64 * 1024;

const HEAD = Buffer.from(LIST_HEAD);
const TAIL = Buffer.from(LIST_TAIL);

/**
 * The List of some objects as an entry, whose body can be read once and as long as the gatherer is open.
 *
 * @param pieces - at least one: of each object the separator and its JSON
 */
export function listEntry(path: string, text: TextGatherer, pieces: readonly Piece[]): Entry {
  const objects = pieces.reduce((sum, { length }) => sum + length, 0) - LIST_SEPARATOR.length;
  const size = HEAD.length + objects + TAIL.length;
  const parts = size <= SMALL_BYTES ? text.peek(pieces) : undefined;
  if (parts !== undefined) return { path, size, body: joinPieces([HEAD, ...withoutFirstSeparator(parts), TAIL], size) };
  return { path, size, body: coalesce(streamList(text.read(pieces)), PIECE_BYTES) };
}

async function* streamList(objects: Bytes): AsyncGenerator<Uint8Array> {
  yield HEAD;
  let isFirst = true;
  for await (const bytes of objects) {
    yield isFirst ? bytes.subarray(LIST_SEPARATOR.length) : bytes;
    isFirst = false;
  }
  yield TAIL;
}

function withoutFirstSeparator([first, ...others]: readonly Uint8Array[]): Uint8Array[] {
  return first === undefined ? [] : [first.subarray(LIST_SEPARATOR.length), ...others];
}
