import { createHash } from 'node:crypto';
import { constants, type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { messageOf, TransshipError } from '../errors.ts';
import { frameCodecs } from './frame-codec.ts';
import {
  formatJournalFrame,
  formatJournalHead,
  JOURNAL_SUFFIX,
  type JournalFrame,
  type JournalHead,
  journalProblem,
  parseJournal,
} from './frame-journal.ts';
import { readFrames } from './frame-reader.ts';
import { placeFrames } from './frame-table.ts';
import { SourceChangedError } from './frame-tar.ts';
import { type FramedOptions, type FramedPart, writeFramedArchive } from './frame-writer.ts';
import type { FramedEntry } from './frames.ts';

/** How a file is written that can go on where it stopped. */
export interface FramedFileOptions extends Omit<FramedOptions, 'from'> {
  /** What is exported and as it is now: only while this is the same can an export go on. */
  readonly source: string;
  /** Gives the finished file its name; `rename` where another's file may be overwritten. */
  readonly place?: ((partial: string, location: string) => Promise<void>) | undefined;
  /** Told why what was stored is thrown away, as a sentence. */
  readonly onRestart?: ((why: string) => void) | undefined;
}

export interface FramedFileSummary {
  /** Bytes as stored. */
  readonly size: number;
  /** `sha256:<hex>` of the stored bytes. */
  readonly digest: string;
  /** Stored bytes that an earlier run has left. */
  readonly kept: number;
}

/** What is being written; beside it, the journal says how far it is good. */
export const PARTIAL_SUFFIX = '.partial';

/**
 * Writes a VM archive into `<location>.partial`, and gives it its name at the end. A run that was killed is gone on with
 * by the next one of the same source; otherwise that starts over. Whatever fails, both files stay for the next run.
 *
 * @param entries - called once more when what was stored turns out to be of other files
 * @throws TransshipError `BACKEND` when the disk is full or a file can't be written; else as `writeFramedArchive`
 */
export async function writeFramedFile(
  location: string,
  entries: () => AsyncIterable<FramedEntry>,
  options: FramedFileOptions,
): Promise<FramedFileSummary> {
  const { source, compression, mtime, place = rename, onRestart } = options;
  const { frameBytes = frameCodecs[compression].frameBytes } = options;
  const head: JournalHead = { source, compression, frameBytes, mtime: mtime.getTime() };
  const partial = `${location}${PARTIAL_SUFFIX}`;
  const journal = `${location}${JOURNAL_SUFFIX}`;
  return await onDisk(location, async () => {
    const file = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const stored = await readStored(file, journal, head, onRestart);
      let written: FramedFileSummary;
      try {
        written = await write(file, journal, stored, entries, options);
      } catch (error) {
        if (!(error instanceof SourceChangedError)) throw error;
        onRestart?.(error.message);
        written = await write(file, journal, startOver(head), entries, options);
      }
      await file.sync();
      await place(partial, location);
      await rm(journal, { force: true });
      return written;
    } finally {
      await file.close();
    }
  });
}

interface Stored {
  readonly head: JournalHead;
  readonly frames: readonly JournalFrame[];
  /** Stored bytes. */
  readonly size: number;
  readonly sha256: ReturnType<typeof createHash>;
}

function startOver(head: JournalHead): Stored {
  return { head, frames: [], size: 0, sha256: createHash('sha256') };
}

/** Reads what an earlier run has stored, as far as it is what the journal says. */
async function readStored(
  file: FileHandle,
  path: string,
  wanted: JournalHead,
  onRestart: FramedFileOptions['onRestart'],
): Promise<Stored> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return startOver(wanted);
  const journal = parseJournal(text);
  const problem = 'problem' in journal ? journal.problem : journalProblem(journal.head, wanted);
  if ('problem' in journal || problem !== undefined) {
    onRestart?.(problem ?? '');
    return startOver(wanted);
  }
  const { head, frames } = journal;
  const sha256 = createHash('sha256');
  let size = frameCodecs[head.compression].head.byteLength;
  sha256.update(await readExactly(file, 0, size));
  let good = 0;
  for (const { length, crc } of frames) {
    const bytes = await readExactly(file, size, length);
    if (bytes.byteLength < length || crc32(bytes) !== crc) break;
    sha256.update(bytes);
    size += length;
    good += 1;
  }
  if (good > 0) return { head, frames: frames.slice(0, good), size, sha256 };
  onRestart?.('Nothing of what was exported then is stored.');
  return startOver(wanted);
}

/** Writes all that is not stored yet. */
async function write(
  file: FileHandle,
  journalPath: string,
  { head, frames, size: kept, sha256 }: Stored,
  entries: () => AsyncIterable<FramedEntry>,
  { threads, heldBytes, signal }: FramedFileOptions,
): Promise<FramedFileSummary> {
  const codec = frameCodecs[head.compression];
  const placed = placeFrames(frames, codec.head.byteLength);
  const from = {
    frames,
    read: (start: number, end: number) =>
      readFrames(placed, start, end, codec, (position, length) => readExactly(file, position, length)),
  };
  const { compression, frameBytes } = head;
  const mtime = new Date(head.mtime);
  let size = kept;
  let journal: FileHandle | undefined;
  // The next part is compressed and digested while this one is written.
  let writing = Promise.resolve();
  const store = async (into: FileHandle, { bytes, frame, release }: FramedPart, position: number) => {
    await writeAt(file, bytes, position);
    release?.();
    if (frame !== undefined) await into.appendFile(formatJournalFrame(frame));
  };
  try {
    const options = { compression, frameBytes, heldBytes, mtime, from, threads, signal };
    for await (const part of writeFramedArchive(entries(), options)) {
      // Only now: until the first part is there, the files may turn out to be others.
      journal ??= await startJournal(file, journalPath, { head, frames, size: kept });
      await writing;
      writing = store(journal, part, size);
      // Whoever waits for it is told.
      writing.catch(() => {});
      sha256.update(part.bytes);
      size += part.bytes.byteLength;
    }
    await writing;
    return { size, digest: `sha256:${sha256.digest('hex')}`, kept };
  } finally {
    // What was compressed is kept for the next run also where the source has failed.
    await writing.catch(() => {});
    await journal?.close();
  }
}

/** Cuts both files to what is good, the journal first: it must never name what is not stored. */
async function startJournal(
  file: FileHandle,
  path: string,
  { head, frames, size }: Pick<Stored, 'head' | 'frames' | 'size'>,
): Promise<FileHandle> {
  const journal = await open(`${path}.new`, 'w', 0o600);
  try {
    await journal.appendFile(formatJournalHead(head) + frames.map(formatJournalFrame).join(''));
    await rename(`${path}.new`, path);
    await file.truncate(size);
    return journal;
  } catch (error) {
    await journal.close();
    throw error;
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, undefined, position + done);
    done += bytesWritten;
  }
}

/** Fewer bytes at the end of the file. */
async function readExactly(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

async function onDisk<T>(location: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof TransshipError || !(error instanceof Error) || !('syscall' in error)) throw error;
    const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
    const message = full ? `There is no room left to write ${location}.` : `${location}: ${messageOf(error)}.`;
    const hint = full ? { hint: 'Free some and export again: it goes on where it stopped.' } : {};
    throw new TransshipError('BACKEND', message, { ...hint, cause: error });
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
