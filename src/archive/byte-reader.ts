import { type Bytes, joinPieces } from './streams.ts';

/** Reads a stream by counts of bytes instead of by the pieces it comes in. */
export interface ByteReader {
  /** The next `count` bytes, fewer at the end of the stream. */
  take(count: number): Promise<Uint8Array>;
  /** What is at hand without copying, one to `most` bytes; none at the end of the stream. */
  some(most: number): Promise<Uint8Array>;
  /** All that is left. */
  rest(): Bytes;
}

/** The caller must have read {@link ByteReader.rest} or close the source itself. */
export function createByteReader(source: AsyncIterator<Uint8Array>): ByteReader {
  let piece: Uint8Array = new Uint8Array();

  /** Makes sure that there is something in hand; false at the end. */
  const fill = async () => {
    while (piece.byteLength === 0) {
      const result = await source.next();
      if (result.done) return false;
      piece = result.value;
    }
    return true;
  };
  const cut = (count: number) => {
    const head = piece.subarray(0, count);
    piece = piece.subarray(count);
    return head;
  };

  return {
    async take(count) {
      if (piece.byteLength >= count) return cut(count);
      const pieces: Uint8Array[] = [];
      let length = 0;
      while (length < count && (await fill())) {
        const head = cut(count - length);
        pieces.push(head);
        length += head.byteLength;
      }
      return joinPieces(pieces, length);
    },
    async some(most) {
      await fill();
      return cut(most);
    },
    async *rest() {
      while (await fill()) yield cut(piece.byteLength);
    },
  };
}
