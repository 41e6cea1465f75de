import { type Answer, changed, DiskTryFailed, encoded, noRanges, otherRange, refusal, tooLong } from './disk-errors.ts';
import type { DiskSource } from './disk-source.ts';
import { gatherPieces, type Spares } from './gather-pieces.ts';
import type { VmHttp, VmTarget } from './http.ts';
import { type ByteRange, formatRange, parseContentRange } from './range-plan.ts';

/** What all ranges of a disk have in common. */
export interface DiskRead {
  readonly volume: string;
  readonly size: number;
  readonly http: VmHttp;
  readonly source: DiskSource;
  readonly spares: Spares;
  /** The server's `ETag` or `Last-Modified`, where it gives one; the export server itself gives none. */
  version: string | undefined;
}

/** Bytes of a refusal that are read. */
const TOLD = 1024;

/**
 * Reads a range, and after each failure the rest of it.
 *
 * @param emit - told of its pieces, in order
 */
export async function readRange(
  disk: DiskRead,
  range: ByteRange,
  emit: (piece: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const gatherer = gatherPieces(range, disk.spares, emit);
  while (gatherer.position < range.end) {
    await disk.source.persist(async (target, moved) => {
      const rest = { start: gatherer.position, end: range.end };
      await readOnce(disk, rest, target, (bytes) => {
        gatherer.add(bytes);
        moved();
      });
    }, signal);
  }
}

/** Asks once. What comes may end before the range does, when the server says so. */
async function readOnce(
  disk: DiskRead,
  range: ByteRange,
  target: VmTarget,
  take: (bytes: Uint8Array) => void,
): Promise<void> {
  const { url } = target;
  const headers = { ...target.headers, range: formatRange(range), 'accept-encoding': 'identity' };
  let refused: { readonly answer: Answer; said: string } | undefined;
  let left = 0;
  await disk.http.receive(
    { ...target, headers },
    {
      head(status, received) {
        const answer = { status, headers: received };
        if (status < 300 || status === 416) left = checkAnswer(disk, range, url, answer);
        else refused = { answer, said: '' };
      },
      data(bytes) {
        if (refused !== undefined) {
          refused.said += Buffer.from(bytes).toString('utf8');
          if (refused.said.length > TOLD) throw refusal(refused.answer, url, refused.said);
          return;
        }
        if (bytes.byteLength > left) throw tooLong(disk.volume, url, formatRange(range));
        left -= bytes.byteLength;
        take(bytes);
      },
    },
  );
  if (refused !== undefined) throw refusal(refused.answer, url, refused.said);
  if (left > 0) throw new DiskTryFailed('passing', `${url} ended ${left} bytes before it should have`);
}

/** @returns how many bytes the answer has */
function checkAnswer(disk: DiskRead, range: ByteRange, url: string, { status, headers }: Answer): number {
  const { volume, size } = disk;
  const got = headers['content-range'];
  const there = parseContentRange(got);
  if (there !== undefined && there.size !== size) throw changed(volume, `${size} bytes`, `${there.size} bytes`);
  if (status === 200) throw noRanges(volume, url);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw encoded(volume, url, encoding);
  const { start, end } = there?.range ?? { start: -1, end: -1 };
  if (status !== 206 || start !== range.start || end > range.end) {
    throw otherRange(volume, formatRange(range), status, got);
  }
  const version = headers.etag ?? headers['last-modified'];
  disk.version ??= version;
  if (version !== undefined && version !== disk.version) throw changed(volume, disk.version ?? '', version);
  return end - start;
}
