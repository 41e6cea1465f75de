import type { StoredFrame } from './frame-codec.ts';
import type { Frame } from './frames.ts';

/** A frame, and where its stored bytes are. */
export interface PlacedFrame extends Frame {
  /** Where its stored bytes start. */
  readonly position: number;
  readonly length: number;
  /** Whether its bytes are known to be zeros. */
  readonly zeros: boolean;
  readonly blocks: StoredFrame['blocks'];
}

/** Where all frames of an archive are. A disk of a TiB has hundreds of thousands: each takes but some numbers. */
export interface FrameTable {
  /** Bytes of the tar. */
  readonly raw: number;
  /** The frames that hold the bytes of the tar between two offsets, in order; none for no bytes. */
  between(from: number, to: number): Iterable<PlacedFrame>;
}

/** A frame as it is put into a table. */
export type SizedFrame = StoredFrame & { readonly zeros?: boolean | undefined };

/**
 * Where frames are that are stored one behind the other.
 *
 * @param head - stored bytes before the first one
 */
export function placeFrames(frames: Iterable<SizedFrame>, head: number): FrameTable {
  // Row n says where frame n ends, row n + 1 of the other two where it starts.
  const offsets: number[] = [0];
  const positions: number[] = [head];
  const unpadded: number[] = [];
  const others = new Map<number, StoredFrame['blocks']>();
  const zeros = new Set<number>();
  let raw = 0;
  let end = head;
  for (const frame of frames) {
    const index = unpadded.length;
    raw += frame.raw;
    end += frame.length;
    offsets.push(raw);
    positions.push(end);
    const [block, ...more] = frame.blocks ?? [];
    const isWhole = block?.[1] === frame.raw && more.length === 0;
    unpadded.push(isWhole ? block[0] : 0);
    if (frame.blocks !== undefined && !isWhole) others.set(index, frame.blocks);
    if (frame.zeros === true) zeros.add(index);
  }
  const at = (index: number): PlacedFrame => {
    const [from = 0, to = 0] = offsets.slice(index, index + 2);
    const [position = 0, next = 0] = positions.slice(index, index + 2);
    const block = unpadded[index] ?? 0;
    const blocks: StoredFrame['blocks'] = block === 0 ? others.get(index) : [[block, to - from]];
    return { from, to, position, length: next - position, zeros: zeros.has(index), blocks };
  };
  return {
    raw,
    *between(from, to) {
      for (let index = lastAtOrBefore(offsets, from); index < unpadded.length; index += 1) {
        const frame = at(index);
        if (frame.from >= to || from >= to) return;
        yield frame;
      }
    },
  };
}

/** Frames of one length each, but for the last, between two offsets: of what is not compressed. */
export function evenFrames(start: number, end: number, frameBytes: number): FrameTable {
  return {
    raw: end,
    *between(first, last) {
      const skipped = Math.floor((Math.max(first, start) - start) / frameBytes) * frameBytes;
      for (let from = start + skipped; first < end && first < last && from < Math.min(end, last); from += frameBytes) {
        const to = Math.min(end, from + frameBytes);
        yield { from, to, position: from, length: to - from, zeros: false, blocks: undefined };
      }
    },
  };
}

/** The row whose number is the last that is not greater. */
function lastAtOrBefore(rows: readonly number[], offset: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle] ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
