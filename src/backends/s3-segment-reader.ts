import { frameCodecs } from '../archive/frame-codec.ts';
import { JOURNAL_SUFFIX } from '../archive/frame-journal.ts';
import { readFrames } from '../archive/frame-reader.ts';
import { placeFrames } from '../archive/frame-table.ts';
import type { ReadStored } from '../archive/frame-writer.ts';
import { mapInOrder } from '../streams.ts';
import type { Bytes } from './backend.ts';
import { type DownloadLimits, downloadObject, readSmallObject } from './s3-download.ts';
import { listObjects } from './s3-list.ts';
import type { S3Target } from './s3-objects.ts';
import {
  findChain,
  type ListedSegment,
  parseSegmentName,
  type SegmentChain,
  segmentKey,
  segmentsBeginWith,
} from './s3-segments.ts';

const JOURNALS_AT_ONCE = 16;
/** Segments that are read ahead where all are wanted; the smallest are 16 MiB. */
const SEGMENTS_AT_ONCE = 3;
const AHEAD_BYTES = 32 * 1024 * 1024;

/** Reads from the segments of one part. */
export interface SegmentReader {
  /** All of them, from the start. */
  bytes(): Bytes;
  /** The tar in them, between two of its offsets. */
  readTar: ReadStored;
}

/** Finds what interrupted exports have stored of a part. */
export async function loadChain(
  target: S3Target,
  key: string,
): Promise<SegmentChain | { readonly problem: string } | undefined> {
  const { connection, place } = target;
  const start = segmentsBeginWith(key);
  const { objects } = await listObjects(connection, place, start);
  const journals = new Set(objects.map((object) => object.key));
  const found = objects.flatMap((object) => {
    const name = parseSegmentName(object.key.slice(start.length));
    // The journal comes when the segment is stored.
    return name === undefined || !journals.has(`${object.key}${JOURNAL_SUFFIX}`) ? [] : [{ ...object, ...name }];
  });
  const listed: ListedSegment[] = [];
  const read = mapInOrder(found, JOURNALS_AT_ONCE, async ({ key: segment, number, run, size }) => {
    const text = await readSmallObject(connection, place, `${segment}${JOURNAL_SUFFIX}`);
    return { number, run, size, journal: text?.toString('utf8') ?? '' };
  });
  for await (const one of read) listed.push(one);
  return findChain(listed);
}

/** Opens what a chain holds. */
export function openChain(
  { connection, place }: S3Target,
  key: string,
  chain: SegmentChain,
  limits: DownloadLimits,
  signal?: AbortSignal,
): SegmentReader {
  let end = 0;
  const segments = chain.segments.map((segment) => {
    const start = end;
    end += segment.size;
    return { key: segmentKey(key, segment), start, size: segment.size };
  });
  type Placed = (typeof segments)[number];
  const readFrom = async (segment: Placed, from: number, to: number): Promise<Buffer> => {
    const range = { start: from, end: to };
    const pieces: Uint8Array[] = [];
    for await (const piece of downloadObject(connection, place, segment.key, segment.size, signal, limits, range)) {
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  };
  /** A frame is in one segment. */
  const read = async (position: number, length: number): Promise<Buffer> => {
    const segment = segments.findLast(({ start }) => start <= position);
    if (segment === undefined || position + length > segment.start + segment.size) return Buffer.alloc(0);
    return readFrom(segment, position - segment.start, position - segment.start + length);
  };
  const codec = frameCodecs[chain.head.compression];
  const table = placeFrames(chain.frames, codec.head.byteLength);
  const pieces = segments.flatMap((segment) => {
    const cuts: { readonly segment: Placed; readonly from: number; readonly to: number }[] = [];
    for (let from = 0; from < segment.size; from += AHEAD_BYTES) {
      cuts.push({ segment, from, to: Math.min(segment.size, from + AHEAD_BYTES) });
    }
    return cuts;
  });
  return {
    bytes: () => mapInOrder(pieces, SEGMENTS_AT_ONCE, ({ segment, from, to }) => readFrom(segment, from, to)),
    readTar: (from, to) => readFrames(table, from, to, codec, read),
  };
}
