import * as z from 'zod/mini';
import { messageOf } from '../errors.ts';
import { type FrameCompression, frameCompressions } from './frame-codec.ts';

/** What an export must have in common with another one to go on where that stopped, and what it takes from it. */
export interface JournalHead {
  /** What is exported and as it was then, such as the uid of a snapshot; compared as it is. */
  readonly source: string;
  readonly compression: FrameCompression;
  /** Bytes of tar in each frame, also of those that go on. */
  readonly frameBytes: number;
  /** Milliseconds: the time that the archive's files get, also from those that go on. */
  readonly mtime: number;
}

/** A file, folder or link, as far as it is stored. */
export interface JournalFile {
  readonly path: string;
  readonly size: number;
  /** CRC-32 of all that precedes its content in the tar. */
  readonly header: number;
  /** Hex; of a file under way only when its content was at hand, and of files only. */
  readonly sha1?: string | undefined;
  /** Where holes were found when it was read: start and length of each. Those that its entry tells are not here. */
  readonly holes?: readonly (readonly [start: number, length: number])[] | undefined;
}

/** A frame that is stored: one line of a journal. */
export interface JournalFrame {
  /** Stored bytes. */
  readonly length: number;
  /** Bytes of tar. */
  readonly raw: number;
  /** CRC-32 of the stored bytes: tells what a killed machine has not written, not what somebody has changed. */
  readonly crc: number;
  /** Whether all of the tar in it is zeros. */
  readonly zeros?: boolean | undefined;
  /** For xz: sizes of its blocks. */
  readonly blocks?: readonly (readonly [number, number])[] | undefined;
  /** The files, folders and links that end in it, in order. */
  readonly files?: readonly JournalFile[] | undefined;
  /** The file that goes on in the next frame. */
  readonly open?: JournalFile | undefined;
}

export interface Journal {
  readonly head: JournalHead;
  readonly frames: readonly JournalFrame[];
}

const VERSION = 1;

/** S3's and a local journal are the same text; a line takes some 60 bytes. */
export const JOURNAL_SUFFIX = '.journal';

const count = z.int().check(z.nonnegative());
const file = z.object({
  path: z.string(),
  size: count,
  header: count,
  sha1: z.optional(z.string().check(z.regex(/^[0-9a-f]{40}$/))),
  holes: z.optional(z.array(z.tuple([count, count]))),
});
const headSchema = z.object({
  journal: z.literal(VERSION),
  source: z.string(),
  compression: z.enum(frameCompressions),
  frameBytes: z.int().check(z.positive()),
  mtime: count,
});
const frameSchema = z.object({
  length: z.int().check(z.positive()),
  raw: z.int().check(z.positive()),
  crc: count,
  zeros: z.optional(z.boolean()),
  blocks: z.optional(z.array(z.tuple([count, count]))),
  files: z.optional(z.array(file)),
  open: z.optional(file),
});

/** The first line of a journal. */
export function formatJournalHead({ source, compression, frameBytes, mtime }: JournalHead): string {
  return `${JSON.stringify({ journal: VERSION, source, compression, frameBytes, mtime })}\n`;
}

/** A line of a journal, to be added after the frame has been stored. */
export function formatJournalFrame(frame: JournalFrame): string {
  return `${JSON.stringify(frame)}\n`;
}

/**
 * Reads a journal as far as it was written: a last line without an end is left out.
 *
 * @returns why it is of no use, as a sentence, where it is not what was written
 */
export function parseJournal(text: string): Journal | { readonly problem: string } {
  const lines = text.split('\n');
  lines.pop();
  const [first, ...rest] = lines;
  if (first === undefined) return { problem: 'The journal is empty.' };
  try {
    const { journal: _version, ...head } = headSchema.parse(JSON.parse(first));
    const frames = rest.map((line) => frameSchema.parse(JSON.parse(line)));
    const short = frames.findIndex(({ raw }) => raw !== head.frameBytes);
    if (short !== -1 && short !== frames.length - 1) return { problem: `Frame ${short + 1} of the journal is short.` };
    return { head, frames };
  } catch (error) {
    return { problem: `The journal is damaged: ${messageOf(error)}.` };
  }
}

/** Why an export can't go on where the other one stopped, as a sentence; undefined when it can. */
export function journalProblem(
  journal: JournalHead,
  wanted: Pick<JournalHead, 'source' | 'compression'>,
): string | undefined {
  if (journal.source !== wanted.source) return 'The source is not the one that was exported then.';
  if (journal.compression !== wanted.compression) {
    return `It was begun with compression ${journal.compression}, not ${wanted.compression}.`;
  }
  return undefined;
}

/** How much of the tar frames hold, and which files are in it. */
export function storedFiles(frames: readonly JournalFrame[]): {
  readonly raw: number;
  readonly files: readonly JournalFile[];
  readonly open: JournalFile | undefined;
} {
  return {
    raw: frames.reduce((sum, { raw }) => sum + raw, 0),
    files: frames.flatMap(({ files }) => files ?? []),
    open: frames.at(-1)?.open,
  };
}
