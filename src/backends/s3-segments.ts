import * as z from 'zod/mini';
import {
  formatJournalFrame,
  formatJournalHead,
  JOURNAL_SUFFIX,
  type Journal,
  type JournalFrame,
  type JournalHead,
  parseJournal,
} from '../archive/frame-journal.ts';

/*
 * A part on its way into S3 is kept in segments, each an object of its own that is finished and can be read back:
 * `<key>.parts/00001-<run>`, and when that is stored `<key>.parts/00001-<run>.journal`, which says which segment it goes
 * on from and which frames are in it. A run is one writer: two of them never mix.
 */

const SEGMENT = /^(\d{5})-([0-9a-f]{12})$/;

/** One object that is a piece of a part. */
export interface Segment {
  /** From 1 on. */
  readonly number: number;
  readonly run: string;
  /** Bytes. */
  readonly size: number;
}

/** A segment, and the text of its journal. */
export interface ListedSegment extends Segment {
  readonly journal: string;
}

/** What a segment's journal says besides its frames. */
export interface SegmentHead {
  readonly size: number;
  /** The run of the segment before; none for the first one. */
  readonly after?: string | undefined;
  /** Whether the archive ends with it. */
  readonly last?: boolean | undefined;
}

/** Segments that follow each other from the start of a part. */
export interface SegmentChain extends Journal {
  readonly segments: readonly Segment[];
  /** Stored bytes. */
  readonly size: number;
  /** Whether it is all of the part. */
  readonly isWhole: boolean;
}

const headSchema = z.object({
  size: z.int().check(z.positive()),
  after: z.optional(z.string()),
  last: z.optional(z.boolean()),
});

/** What the keys of a part's segments begin with. */
export function segmentsBeginWith(key: string): string {
  return `${key}.parts/`;
}

/** The key of a segment. */
export function segmentKey(key: string, { number, run }: Pick<Segment, 'number' | 'run'>): string {
  return `${segmentsBeginWith(key)}${String(number).padStart(5, '0')}-${run}`;
}

/** The number and run in the name of a segment; undefined for any other name. */
export function parseSegmentName(name: string): Pick<Segment, 'number' | 'run'> | undefined {
  const [, number, run] = SEGMENT.exec(name) ?? [];
  return number === undefined || run === undefined ? undefined : { number: Number(number), run };
}

/** The key of a part in that of a journal of one of its segments; undefined for any other key. */
export function partKeyOf(key: string): string | undefined {
  const [, part, name] = /^(.+)\.parts\/([^/]+)$/s.exec(key) ?? [];
  const isJournal = name?.endsWith(JOURNAL_SUFFIX) && parseSegmentName(name.slice(0, -JOURNAL_SUFFIX.length));
  return isJournal ? part : undefined;
}

/** The journal of a segment; that of the first one begins with the part's head. */
export function formatSegment(
  head: SegmentHead,
  part: JournalHead | undefined,
  frames: readonly JournalFrame[],
): string {
  const begin = part === undefined ? '' : formatJournalHead(part);
  return `${JSON.stringify(head)}\n${begin}${frames.map(formatJournalFrame).join('')}`;
}

/**
 * The longest chain among the segments of one part.
 *
 * @returns nothing when there is none, or why it is of no use, as a sentence
 */
export function findChain(listed: readonly ListedSegment[]): SegmentChain | { readonly problem: string } | undefined {
  const byName = new Map(listed.map((one) => [nameOf(one), one]));
  const chains = new Map<string, { readonly size: number; readonly before: ListedSegment | undefined }>();
  let longest: { readonly size: number; readonly end: ListedSegment } | undefined;
  for (const segment of listed.toSorted((a, b) => a.number - b.number)) {
    const head = readHead(segment);
    if (head === undefined || head.size !== segment.size) continue;
    const before = byName.get(nameOf({ number: segment.number - 1, run: head.after ?? '' }));
    const until = before === undefined ? undefined : chains.get(nameOf(before));
    const isFirst = segment.number === 1 && head.after === undefined;
    if (!isFirst && until === undefined) continue;
    const size = (until?.size ?? 0) + segment.size;
    chains.set(nameOf(segment), { size, before });
    if (size > (longest?.size ?? 0)) longest = { size, end: segment };
  }
  if (longest === undefined) return undefined;
  const segments: ListedSegment[] = [];
  for (let one: ListedSegment | undefined = longest.end; one !== undefined; one = chains.get(nameOf(one))?.before) {
    segments.unshift(one);
  }
  const journal = parseJournal(segments.map(({ journal: text }) => text.slice(text.indexOf('\n') + 1)).join(''));
  if ('problem' in journal) return journal;
  return { ...journal, segments, size: longest.size, isWhole: readHead(longest.end)?.last === true };
}

function nameOf({ number, run }: Pick<Segment, 'number' | 'run'>): string {
  return `${number}-${run}`;
}

function readHead({ journal }: ListedSegment): SegmentHead | undefined {
  try {
    return headSchema.parse(JSON.parse(journal.slice(0, journal.indexOf('\n'))));
  } catch {
    return undefined;
  }
}
