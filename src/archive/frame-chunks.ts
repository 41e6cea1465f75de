import type { FrameHasher } from './frame-hasher.ts';
import type { JournalFile } from './frame-journal.ts';
import { cutPiece, lengthOf, type Piece } from './frames.ts';
import { giveMemory, takeMemory } from './shared-memory.ts';
import { allZeros } from './zeros.ts';

/** A file whose content ends in a chunk. */
export interface EndedFile extends Omit<JournalFile, 'sha1'> {
  /** Nothing for folders and links. */
  readonly sha1: Promise<string | undefined>;
}

/** A frame's share of the tar, before it is compressed. */
export interface Chunk {
  /** Bytes of tar. */
  readonly length: number;
  /** What they are; nothing when all are zero. */
  readonly bytes: Buffer | undefined;
  /** Kept when the bodies in it have been digested. */
  readonly hashed: Promise<unknown>;
  readonly files: readonly EndedFile[];
  readonly open: JournalFile | undefined;
  /** Gives its memory back, after it was compressed and digested. */
  release(): void;
}

/** Gathers a tar into chunks of one size. */
export interface Chunker {
  /**
   * Adds as much of a piece as there is room for, and returns how much that is.
   *
   * @param isBody - whether it is to be digested
   */
  add(piece: Piece, isBody: boolean): number;
  /** Digests zeros of the file's content that are not stored. */
  leaveOut(zeros: number): void;
  /** What of the next file goes on behind the chunk, until it ends. */
  begin(file: JournalFile): void;
  /** The file is complete, and has this digest. */
  end(file: JournalFile, sha1: Promise<string | undefined>): void;
  /** Ends the content that was digested. */
  digest(): Promise<string>;
  /** Whether the chunk has its size. */
  isFull(): boolean;
  /** The chunk so far, if there is anything in it; the next one begins. */
  take(): Chunk | undefined;
}

/** Zeros go to the thread that digests in runs of this size: it need not wait for the end of a hole. */
const ZEROS_AT_ONCE = 64 * 1024 * 1024;

/** Zeros take no memory and are only counted; what is not is shared with the thread that digests. */
export function createChunker(size: number, hasher: FrameHasher): Chunker {
  let length = 0;
  let bytes: Buffer | undefined;
  // What of the content is still to be digested: a part of the chunk, or zeros that are left out.
  let body: { from: number; to: number } | undefined;
  let zeros = 0;
  let work: Promise<void>[] = [];
  let files: EndedFile[] = [];
  let open: JournalFile | undefined;

  const fill = (piece: Piece, count: number) => {
    if (!(piece instanceof Uint8Array) || allZeros(piece)) {
      bytes?.fill(0, length, length + count);
      return;
    }
    if (bytes === undefined) {
      bytes = takeMemory(size);
      bytes.fill(0, 0, length);
    }
    // `set` would copy byte by byte, for the memory is shared.
    Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).copy(bytes, length);
  };
  const hash = (piece: Piece) => {
    const adding = hasher.add(piece);
    // Whoever takes the chunk is told.
    adding.catch(() => {});
    work.push(adding);
  };
  const flush = () => {
    if (body !== undefined) hash(bytes?.subarray(body.from, body.to) ?? { zeros: body.to - body.from });
    if (zeros > 0) hash({ zeros });
    body = undefined;
    zeros = 0;
  };

  return {
    add(piece, isBody) {
      const count = Math.min(lengthOf(piece), size - length);
      fill(count === lengthOf(piece) ? piece : cutPiece(piece, 0, count), count);
      if (isBody) {
        if (zeros > 0) flush();
        body = { from: body?.from ?? length, to: length + count };
      }
      length += count;
      return count;
    },
    leaveOut(count) {
      if (body !== undefined || zeros >= ZEROS_AT_ONCE) flush();
      zeros += count;
    },
    begin(file) {
      open = file;
    },
    end(file, sha1) {
      open = undefined;
      sha1.catch(() => {});
      files.push({ ...file, sha1 });
    },
    async digest() {
      flush();
      return await hasher.end();
    },
    isFull: () => length === size,
    take() {
      if (length === 0) return undefined;
      flush();
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
          if (buffer !== undefined) giveMemory(buffer);
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
