import type { Entry } from './entry.ts';

/** Bytes that are all zero, told by their number: a disk's holes. */
export interface ZeroRun {
  readonly zeros: number;
}

/** What the body of a disk comes in. */
export type Piece = Uint8Array | ZeroRun;

/** One file, folder or link of an archive in frames. */
export interface FramedEntry extends Pick<Entry, 'type' | 'linkTarget' | 'mode' | 'owner' | 'mtime' | 'holes'> {
  readonly path: string;
  /** Bytes; 0 for all but files. */
  readonly size: number;
  /**
   * All of it when small, else what opens it at a byte: an export that goes on does not read the start again. A piece is
   * what it is only until the next one is asked for.
   */
  readonly body: Uint8Array | ((from: number) => AsyncIterable<Piece>);
}

/** A piece of the tar that is compressed on its own. */
export interface Frame {
  /** Where it starts in the tar, in bytes. */
  readonly from: number;
  /** Where it ends in the tar. */
  readonly to: number;
}

/** How many bytes a piece stands for. */
export function lengthOf(piece: Piece): number {
  return piece instanceof Uint8Array ? piece.byteLength : piece.zeros;
}

/** The part of a piece between two of its bytes, without copying. */
export function cutPiece(piece: Piece, from: number, to: number): Piece {
  return piece instanceof Uint8Array ? piece.subarray(from, to) : { zeros: to - from };
}
