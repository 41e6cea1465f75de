import { damaged } from './damage.ts';
import type { ByteRange } from './entry.ts';
import { cutPiece, lengthOf, type Piece } from './frames.ts';
import { allZeros } from './zeros.ts';

/** Part of a file's content, in order. */
export interface Content {
  readonly piece: Piece;
  /** Whether the tar has it: it has no holes of sparse files. */
  readonly isStored: boolean;
}

/**
 * Tells apart what of a file is stored in a tar.
 *
 * @param data - where there is data, in order
 * @param from - where in the file the pieces start
 * @throws TransshipError `ARCHIVE_DAMAGED` for a body that yields fewer or more bytes than it should, or something else
 *   than zeros in a hole
 */
export async function* splitContent(
  pieces: AsyncIterable<Piece> | Iterable<Piece>,
  data: readonly ByteRange[],
  from: number,
  { path, size }: { readonly path: string; readonly size: number },
): AsyncGenerator<Content> {
  const left = data.values();
  let range = left.next();
  let at = from;
  for await (const piece of pieces) {
    if (at + lengthOf(piece) > size) throw wrongSize(path, size, at + lengthOf(piece));
    for (let rest = piece; lengthOf(rest) > 0; ) {
      while (range.value !== undefined && at >= range.value.start + range.value.length) range = left.next();
      const { start, length } = range.value ?? { start: size, length: 0 };
      const isStored = at >= start;
      const part = cutPiece(rest, 0, Math.min(lengthOf(rest), (isStored ? start + length : start) - at));
      if (!isStored && part instanceof Uint8Array && !allZeros(part)) {
        throw damaged(`The body of ${path} has data in a hole, at byte ${at}.`);
      }
      yield { piece: part, isStored };
      at += lengthOf(part);
      rest = cutPiece(rest, lengthOf(part), lengthOf(rest));
    }
  }
  if (at < size) throw wrongSize(path, size, at);
}

/** Where in a file its stored byte of that number is; behind the last one, where the data ends. */
export function placeInFile(data: readonly ByteRange[], stored: number): number {
  let left = stored;
  let end = 0;
  for (const { start, length } of data) {
    if (left === 0) return end;
    if (left <= length) return start + left;
    left -= length;
    end = start + length;
  }
  return end;
}

/**
 * Puts the holes between data; a hole behind the last of it is left out.
 *
 * @param stored - the data of the file from a byte on
 * @param from - that byte
 */
export async function* fillHoles(
  stored: AsyncIterable<Piece>,
  data: readonly ByteRange[],
  from = 0,
): AsyncGenerator<Piece> {
  const left = data.values();
  let range = left.next();
  let at = from;
  for await (const piece of stored) {
    for (let rest = piece; lengthOf(rest) > 0; ) {
      while (range.value !== undefined && at >= range.value.start + range.value.length) range = left.next();
      if (range.value === undefined) throw new Error('There is more data than a map has room for.');
      const { start, length } = range.value;
      if (start > at) yield { zeros: start - at };
      at = Math.max(at, start);
      const part = cutPiece(rest, 0, Math.min(lengthOf(rest), start + length - at));
      yield part;
      at += lengthOf(part);
      rest = cutPiece(rest, lengthOf(part), lengthOf(rest));
    }
  }
}

/** The error for a body whose length is not its entry's. */
export function wrongSize(path: string, size: number, actual: number): Error {
  return damaged(
    actual > size
      ? `The body of ${path} has more than the ${size} bytes it should have.`
      : `The body of ${path} ended after ${actual} of ${size} bytes.`,
  );
}
