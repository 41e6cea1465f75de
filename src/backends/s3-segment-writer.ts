import { createHash, randomBytes } from 'node:crypto';
import { frameCodecs } from '../archive/frame-codec.ts';
import { JOURNAL_SUFFIX, type JournalFrame, type JournalHead, journalProblem } from '../archive/frame-journal.ts';
import { SourceChangedError } from '../archive/frame-tar.ts';
import { keepBytes, writeFramedArchive } from '../archive/frame-writer.ts';
import type { NewPart, WrittenPart } from '../archive/part.ts';
import { cancelledBy } from '../errors.ts';
import { createInFlight } from './in-flight.ts';
import { assemble } from './s3-assemble.ts';
import type { DownloadLimits } from './s3-download.ts';
import { listObjects } from './s3-list.ts';
import { deleteObjects, isDenied, type S3Target } from './s3-objects.ts';
import { nextPartSize } from './s3-parts.ts';
import { loadChain, openChain, type SegmentReader } from './s3-segment-reader.ts';
import { formatSegment, type Segment, type SegmentChain, segmentKey, segmentsBeginWith } from './s3-segments.ts';
import { putObject } from './s3-upload.ts';

/** Of all parts that are written together: each segment is in memory. */
const SEGMENTS_AT_ONCE = 4;
const BYTES_AT_ONCE = 128 * 1024 * 1024;

/** Where a part goes. */
export interface PartTarget extends S3Target {
  /** Of the part. */
  readonly key: string;
  readonly limits: DownloadLimits;
  /** Deletes what is there of another source: done just before the part is to be seen. */
  readonly makeRoom: () => Promise<void>;
  /** How many parts are being written now. */
  readonly countWriters: () => number;
}

type Stored = Pick<WrittenPart, 'size' | 'digest' | 'kept'>;

/** What an earlier run has stored. */
interface Kept {
  readonly head: JournalHead;
  readonly chain: (SegmentChain & SegmentReader) | undefined;
}

/**
 * Stores a part in segments, and makes one object of them at the end. What an earlier run of the same source has stored
 * is gone on with. Whatever fails, the segments stay.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`, `SNAPSHOT_EXISTS`; an error of the entries is rethrown as it is
 */
export async function writeSegmented(target: PartTarget, part: NewPart): Promise<Stored> {
  const { source, compression, mtime, onRestart } = part;
  const { frameBytes } = frameCodecs[compression];
  const head = { source, compression, frameBytes, mtime: mtime.getTime() };
  const found = await loadChain(target, target.key);
  const problem =
    found === undefined ? undefined : 'problem' in found ? found.problem : journalProblem(found.head, head);
  if (problem !== undefined) onRestart?.(problem);
  const anew: Kept = { head, chain: undefined };
  if (found === undefined || 'problem' in found || problem !== undefined) return write(target, part, anew);
  const reader = openChain(target, target.key, found, target.limits, part.signal);
  try {
    return await write(target, part, { head: found.head, chain: { ...found, ...reader } });
  } catch (error) {
    if (!(error instanceof SourceChangedError)) throw error;
    onRestart?.(error.message);
    return write(target, part, anew);
  }
}

async function write(target: PartTarget, part: NewPart, { head, chain }: Kept): Promise<Stored> {
  const { key, connection, place, makeRoom } = target;
  const { signal } = part;
  const kept = chain?.size ?? 0;
  const sha256 = createHash('sha256');
  // While the source is being opened and compared.
  const digesting = digestKept(chain, sha256);
  digesting.catch(() => {});
  const segments: Segment[] = [...(chain?.segments ?? [])];
  const written = chain?.isWhole
    ? undefined
    : await sendSegments(target, part, { head, chain, segments, sha256, digesting });
  await digesting;
  const size = segments.reduce((sum, segment) => sum + segment.size, 0) + (written?.whole?.byteLength ?? 0);
  if (signal?.aborted) throw cancelledBy(signal);
  if (written?.whole !== undefined) {
    await makeRoom();
    await putObject(connection, place, key, written.whole, signal);
  } else {
    const all = { head, frames: [], segments, size, isWhole: true };
    const bytes = () => openChain(target, key, all, target.limits, signal).bytes();
    await assemble(target, key, segments, bytes, makeRoom, signal);
  }
  return { size, digest: `sha256:${sha256.digest('hex')}`, kept };
}

interface Sending extends Kept {
  /** Those that are stored; those that are sent are added. */
  readonly segments: Segment[];
  readonly sha256: ReturnType<typeof createHash>;
  /** Ends when all that is kept was digested. */
  readonly digesting: Promise<void>;
}

/** Sends what is not stored yet; `whole` is all of a part that is too small for it. */
async function sendSegments(
  target: PartTarget,
  part: NewPart,
  { head, chain, segments, sha256, digesting }: Sending,
): Promise<{ whole?: Uint8Array }> {
  const { key, connection, place } = target;
  const { entries, signal } = part;
  const run = randomBytes(6).toString('hex');
  const flight = createInFlight({
    get count() {
      return Math.max(1, Math.floor(SEGMENTS_AT_ONCE / target.countWriters()));
    },
    bytes: BYTES_AT_ONCE,
  });
  const { compression, frameBytes, mtime } = head;
  const from = chain === undefined ? undefined : { frames: chain.frames, read: chain.readTar };
  const options = { compression, frameBytes, mtime: new Date(mtime), from, signal };
  let sent = chain?.size ?? 0;
  let gathered: { pieces: Uint8Array[]; frames: JournalFrame[]; size: number } = { pieces: [], frames: [], size: 0 };
  const send = async (last: boolean) => {
    const { pieces, frames, size } = gathered;
    gathered = { pieces: [], frames: [], size: 0 };
    const body = Buffer.concat(pieces, size);
    const before = segments.at(-1);
    const segment = { number: (before?.number ?? 0) + 1, run, size };
    segments.push(segment);
    sent += size;
    const text = formatSegment(
      { size, after: before?.run, ...(last ? { last } : {}) },
      before === undefined ? head : undefined,
      frames,
    );
    await flight.start(size, async () => {
      const name = segmentKey(key, segment);
      await putObject(connection, place, name, body, signal);
      await putObject(connection, place, `${name}${JOURNAL_SUFFIX}`, Buffer.from(text), signal);
    });
  };
  try {
    let begun = false;
    for await (const part of writeFramedArchive(entries(), options)) {
      const bytes = keepBytes(part);
      const { frame } = part;
      // Only now: until the first part is there, the files may turn out to be others.
      if (!begun && chain === undefined) await deleteSegments(target);
      begun = true;
      await digesting;
      if (bytes.byteLength > 0) {
        if (gathered.size >= nextPartSize(sent)) await send(false);
        sha256.update(bytes);
        gathered.pieces.push(bytes);
        gathered.size += bytes.byteLength;
      }
      if (frame !== undefined) gathered.frames.push(frame);
    }
    const [only, ...more] = gathered.pieces;
    if (segments.length === 0)
      return { whole: more.length === 0 && only !== undefined ? only : Buffer.concat(gathered.pieces) };
    if (gathered.size > 0) await send(true);
    await flight.finish();
    return {};
  } finally {
    // What is on its way counts for the next export.
    await flight.settle();
  }
}

async function digestKept(chain: Kept['chain'], sha256: ReturnType<typeof createHash>): Promise<void> {
  if (chain === undefined) return;
  for await (const piece of chain.bytes()) sha256.update(piece);
}

/** Deletes what is of no use: this process has the group for itself. */
async function deleteSegments(target: PartTarget): Promise<void> {
  const { connection, place, key } = target;
  try {
    const { objects } = await listObjects(connection, place, segmentsBeginWith(key));
    await deleteObjects(
      target,
      objects.map((object) => object.key),
    );
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
}
