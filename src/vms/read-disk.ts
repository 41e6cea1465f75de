import { isShared } from '../archive/zeros.ts';
import { type Clock, systemClock } from '../cluster/clock.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import { type Reporter, silentReporter } from '../report/reporter.ts';
import { beyondEnd } from './disk-errors.ts';
import { createDiskSource } from './disk-source.ts';
import { PIECE_BYTES } from './gather-pieces.ts';
import type { VmHttp } from './http.ts';
import type { ExportLinks } from './links.ts';
import { measureDisk } from './measure-disk.ts';
import { type ByteRange, planRanges } from './range-plan.ts';
import { type DiskRead, readRange } from './read-range.ts';

export { allZeros as isZeros } from '../archive/zeros.ts';

export interface ReadDiskOptions {
  readonly http: VmHttp;
  /** The links as they are known. */
  readonly links: () => Promise<ExportLinks>;
  /** Reads them anew, after any failure. What it throws ends the reading. */
  readonly refresh: () => Promise<ExportLinks>;
  readonly token: string;
  /** Requested at once. Default 4. */
  readonly ranges?: number;
  /** Bytes of each. `ranges` times as many is what waits for the reader at most. Default 4 MiB. */
  readonly rangeBytes?: number;
  /** Milliseconds without a byte after which it gives up; a request that stalls is first ended by `http`. */
  readonly timeout: number;
  /** The first byte to read. Default 0. */
  readonly from?: number;
  /**
   * A piece is what it is only until the next one is asked for, when its memory is used again. Without, V8 collects the
   * garbage of the whole program for each 10 to 20 MiB that are read, which takes a third of the time. Default false.
   */
  readonly reuse?: boolean | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
}

export interface Disk {
  /** Bytes of the whole disk, also where reading begins in its middle. */
  readonly size: number;
  /**
   * The bytes from `from` to the end, each once, in pieces of 1 MiB at most; the reader may keep them unless they are reused,
   * but not write into them. Can be read once; leaving early ends all requests.
   */
  readonly pieces: AsyncIterable<Uint8Array>;
}

const RANGES = 4;
const RANGE_BYTES = 4 * 1024 * 1024;

/**
 * Reads a disk by parallel Range requests of its raw link. Each is resumed where it broke, with links and certificate read
 * anew, until no byte has come for `timeout`.
 *
 * @param volume - name of the claim, as the links have it
 * @throws TransshipError `TIMEOUT` or `CLUSTER` naming the volume, where reading had come and the last failure
 * @throws TransshipError `CLUSTER` for a volume that is no disk, a server that knows no ranges or gives others than asked for,
 *   and a disk that is another one than before
 * @throws TransshipError `CANCELLED`
 */
export async function readDisk(volume: string, options: ReadDiskOptions): Promise<Disk> {
  const { http, from = 0, clock = systemClock, reporter = silentReporter, signal } = options;
  const { ranges = RANGES, rangeBytes = RANGE_BYTES, reuse = false } = options;
  let done = from;
  let size: number | undefined;
  const where = () => (size === undefined ? 'before its size was known' : `after ${done} of its ${size} bytes`);
  const source = createDiskSource(volume, where, { ...options, clock, reporter });
  const found = await source.persist((target) => measureDisk(volume, http, target), signal);
  size = found;
  if (from > found) throw beyondEnd(volume, from, found);

  async function* read(total: number): AsyncGenerator<Uint8Array> {
    const stop = new AbortController();
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    const disk: DiskRead = { volume, size: total, http, source, spares: [], version: undefined };
    const plan = planRanges(from, total, rangeBytes);
    const running: Reading[] = [];
    try {
      for (;;) {
        while (running.length < ranges) {
          const next = plan.next();
          if (next.done === true) break;
          running.push(startReading(disk, next.value, either));
        }
        const [first] = running;
        if (first === undefined) return;
        for await (const piece of first.pieces) {
          done += piece.byteLength;
          yield piece;
          if (reuse && piece.byteLength === PIECE_BYTES && !isShared(piece)) disk.spares.push(piece);
        }
        running.shift();
      }
    } finally {
      stop.abort(new TransshipError('CANCELLED', `Reading the volume "${volume}" was ended.`));
      await Promise.all(running.map(({ ended }) => ended));
    }
  }

  return { size: found, pieces: read(found) };
}

/** A range at work, whether its pieces are taken or not. */
interface Reading {
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Never rejects: a failure is met by who takes the pieces. */
  readonly ended: Promise<void>;
}

function startReading(disk: DiskRead, range: ByteRange, signal: AbortSignal): Reading {
  const waiting: Uint8Array[] = [];
  let end: { readonly error?: unknown } | undefined;
  let wake = () => {};
  const finish = (how: { readonly error?: unknown }) => {
    end = how;
    wake();
  };
  const emit = (piece: Uint8Array) => {
    waiting.push(piece);
    wake();
  };
  const ended = readRange(disk, range, emit, signal).then(
    () => finish({}),
    (error) => finish({ error }),
  );

  async function* take(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (signal.aborted) throw cancelledBy(signal, `reading the volume "${disk.volume}"`);
      const piece = waiting.shift();
      if (piece !== undefined) {
        yield piece;
        continue;
      }
      if (end !== undefined && 'error' in end) throw end.error;
      if (end !== undefined) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  return { pieces: take(), ended };
}
