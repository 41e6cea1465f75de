import { tarSpan } from './tar.ts';

/** Bytes that are all zero, told by their number: a disk's holes. */
export interface ZeroRun {
  readonly zeros: number;
}

/** What the body of a disk comes in. */
export type Piece = Uint8Array | ZeroRun;

/** One file of an archive in frames. */
export interface FramedEntry {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** All of it when small, else what opens it at a byte: an export that goes on does not read the start again. */
  readonly body: Uint8Array | ((from: number) => AsyncIterable<Piece>);
}

/** Where a file stands in the uncompressed tar, in bytes. */
export interface Placement {
  /** Of its header. */
  readonly start: number;
  /** Of its content. */
  readonly body: number;
  /** Of what follows it. */
  readonly end: number;
}

/** A piece of the tar that is compressed on its own. */
export interface Frame {
  /** Where it starts in the tar, in bytes. */
  readonly from: number;
  /** Where it ends in the tar. */
  readonly to: number;
}

/** Where a file stands whose header starts at `start`. */
export function placeFile(start: number, path: string, size: number): Placement {
  return { start, body: start + tarSpan(path, 0), end: start + tarSpan(path, size) };
}

/** The frames that hold the bytes between two offsets of the tar. They must be in order and leave out nothing. */
export function framesOf<T extends Frame>(frames: readonly T[], from: number, to: number): readonly T[] {
  return frames.slice(lastAtOrBefore(frames, from), to <= from ? 0 : lastAtOrBefore(frames, to - 1) + 1);
}

function lastAtOrBefore(frames: readonly Frame[], offset: number): number {
  let low = 0;
  let high = frames.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((frames[middle]?.from ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** How many bytes a piece stands for. */
export function lengthOf(piece: Piece): number {
  return piece instanceof Uint8Array ? piece.byteLength : piece.zeros;
}

/** The part of a piece between two of its bytes, without copying. */
export function cutPiece(piece: Piece, from: number, to: number): Piece {
  return piece instanceof Uint8Array ? piece.subarray(from, to) : { zeros: to - from };
}
