import { constants, crc32, createGunzip } from 'node:zlib';
import { abortable, through } from '../archive/streams.ts';
import { systemClock } from '../cluster/clock.ts';
import { messageOf } from '../errors.ts';
import { silentReporter } from '../report/reporter.ts';
import { changed, DiskTryFailed, refusal } from './disk-errors.ts';
import { createDiskSource } from './disk-source.ts';
import type { VmHttp, VmTarget } from './http.ts';
import type { ReadDiskOptions } from './read-disk.ts';

/** How a volume of files is downloaded: as a disk, but for what has to do with ranges. */
export type DownloadOptions = Omit<ReadDiskOptions, 'ranges' | 'rangeBytes' | 'from'>;

/** What was handed on: how many bytes, and their CRC-32. */
interface Progress {
  done: number;
  sum: number;
}

/** A stream that is cut ends with what there is of it, not with an error that costs all of the last megabytes. */
const GUNZIP = { chunkSize: 256 * 1024, highWaterMark: 1024 * 1024, finishFlush: constants.Z_SYNC_FLUSH };

/** Two blocks of zeros end a tar. */
const TAIL_BYTES = 1024;

/** Bytes of a refusal that are read. */
const TOLD = 1024;

/**
 * Downloads the tar of a volume's files. It can't be had from its middle, so that after a failure it is read from its
 * start again; what was handed on before is left out, once it has proven to be the same.
 *
 * The export server answers 200 and ends the gzip stream properly also where it fails to read the volume; therefore a tar
 * without its end counts as a failure too.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `CLUSTER` for a volume that is no folder, or was changed meanwhile
 * @throws TransshipError `TIMEOUT` or `CLUSTER` with the last failure when it gives up
 */
export async function* downloadTar(volume: string, options: DownloadOptions): AsyncGenerator<Uint8Array> {
  const { http, clock = systemClock, reporter = silentReporter, signal } = options;
  const progress: Progress = { done: 0, sum: 0 };
  const where = () => `${progress.done} bytes into the tar of its files`;
  const source = createDiskSource(volume, where, { ...options, format: 'tar.gz', clock, reporter });
  let download: AsyncGenerator<Uint8Array> | undefined;
  try {
    for (;;) {
      const next = await source.persist(async (target, moved) => {
        download ??= downloadOnce(volume, http, target, progress);
        try {
          const result = await download.next();
          moved();
          return result;
        } catch (error) {
          download = undefined;
          throw error;
        }
      }, signal);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await download?.return(undefined);
  }
}

/** Hands on what is beyond the progress made so far. */
async function* downloadOnce(
  volume: string,
  http: VmHttp,
  target: VmTarget,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  const { url, signal } = target;
  const headers = { ...target.headers, 'accept-encoding': 'identity' };
  const response = await http.request({ ...target, headers, method: 'GET' });
  if (response.status !== 200) throw refusal(response, url, await response.text(TOLD));

  let broken: { readonly error: unknown } | undefined;
  async function* received() {
    try {
      yield* abortable(response.body, signal);
    } catch (error) {
      if (signal?.aborted) throw error;
      broken = { error };
    }
  }
  const explain = (error: unknown) =>
    signal?.aborted ? error : new DiskTryFailed('passing', `${url} sends a damaged gzip stream: ${messageOf(error)}`);

  let position = 0;
  let sum = 0;
  let tail: Uint8Array = new Uint8Array();
  for await (const piece of through(received(), createGunzip(GUNZIP), explain)) {
    const known = piece.subarray(0, Math.max(progress.done - position, 0));
    position += piece.byteLength;
    tail =
      piece.byteLength < TAIL_BYTES ? Buffer.concat([tail, piece]).subarray(-TAIL_BYTES) : piece.subarray(-TAIL_BYTES);
    sum = crc32(known, sum);
    if (known.byteLength > 0 && position >= progress.done && sum !== progress.sum) {
      throw changed(volume, `the first ${progress.done} bytes of its tar`, 'others');
    }
    const fresh = piece.subarray(known.byteLength);
    if (fresh.byteLength === 0) continue;
    progress.done += fresh.byteLength;
    progress.sum = crc32(fresh, progress.sum);
    yield fresh;
  }
  if (broken !== undefined) throw broken.error;
  const isWhole = position >= progress.done && tail.byteLength === TAIL_BYTES && tail.every((byte) => byte === 0);
  if (!isWhole) throw new DiskTryFailed('passing', `${url} ended after ${position} bytes, before the end of the tar`);
}
