import type { FrameHasher } from './frame-hasher.ts';
import type { JournalFile } from './frame-journal.ts';
import { cutPiece, lengthOf, type Piece } from './frames.ts';
import { allZeros } from './zeros.ts';

/** A frame's share of the tar, before it is compressed. */
export interface Chunk {
  /** Bytes of tar. */
  readonly length: number;
  /** What they are; nothing when all are zero. */
  readonly bytes: Buffer | undefined;
  /** Kept when the bodies in it have been digested. */
  readonly hashed: Promise<unknown>;
  /** The files whose content ends in it. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha1: Promise<string> }[];
  readonly open: JournalFile | undefined;
  /** Gives its memory back, after it was compressed and digested. */
  release(): void;
}

/** Gathers a tar into chunks of one size. */
export interface Chunker {
  /** Adds as much of a piece as there is room for, and returns how much that is. */
  add(piece: Piece, isBody: boolean): number;
  /** What of the next file goes on behind the chunk, until it ends. */
  begin(file: JournalFile): void;
  /** The file's content is complete; it gets its digest where that is not known. */
  end(file: JournalFile): Promise<string>;
  /** Whether the chunk has its size. */
  isFull(): boolean;
  /** The chunk so far, if there is anything in it; the next one begins. */
  take(): Chunk | undefined;
}

/** Zeros take no memory and are only counted; what is not is shared with the thread that digests. */
export function createChunker(size: number, hasher: FrameHasher): Chunker {
  const free: Buffer[] = [];
  let length = 0;
  let bytes: Buffer | undefined;
  let body: { from: number; to: number } | undefined;
  let work: Promise<void>[] = [];
  let files: { path: string; size: number; sha1: Promise<string> }[] = [];
  let open: JournalFile | undefined;

  const fill = (piece: Piece, count: number) => {
    if (!(piece instanceof Uint8Array) || allZeros(piece)) {
      bytes?.fill(0, length, length + count);
      return;
    }
    if (bytes === undefined) {
      bytes = free.pop() ?? Buffer.from(new SharedArrayBuffer(size));
      bytes.fill(0, 0, length);
    }
    bytes.set(piece, length);
  };
  const digest = () => {
    if (body === undefined) return;
    const { from, to } = body;
    body = undefined;
    const adding = hasher.add(bytes?.subarray(from, to) ?? { zeros: to - from });
    // Whoever takes the chunk is told.
    adding.catch(() => {});
    work.push(adding);
  };

  return {
    add(piece, isBody) {
      const count = Math.min(lengthOf(piece), size - length);
      fill(count === lengthOf(piece) ? piece : cutPiece(piece, 0, count), count);
      if (isBody) body = { from: body?.from ?? length, to: length + count };
      length += count;
      return count;
    },
    begin(file) {
      open = file;
    },
    end({ path, size: bodySize, sha1: known }) {
      digest();
      open = undefined;
      const sha1 = known === undefined ? hasher.end() : Promise.resolve(known);
      sha1.catch(() => {});
      files.push({ path, size: bodySize, sha1 });
      return sha1;
    },
    isFull: () => length === size,
    take() {
      if (length === 0) return undefined;
      digest();
      const buffer = bytes;
      const hashed = Promise.all(work);
      hashed.catch(() => {});
      const chunk = {
        length,
        bytes: buffer?.subarray(0, length),
        hashed,
        files,
        open,
        release: () => {
          if (buffer !== undefined) free.push(buffer);
        },
      };
      length = 0;
      bytes = undefined;
      work = [];
      files = [];
      return chunk;
    },
  };
}
