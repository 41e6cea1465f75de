import type { Duplex } from 'node:stream';
import { cancelledBy } from '../errors.ts';

/** What flows: pieces of bytes, in order. */
export type Bytes = AsyncIterable<Uint8Array>;

/**
 * Ends the iteration as soon as the signal fires, also while the source is silent.
 *
 * @throws TransshipError `CANCELLED` when it fires
 */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  if (signal.aborted) throw cancelledBy(signal);
  const iterator = source[Symbol.asyncIterator]();
  let fail: ((reason: unknown) => void) | undefined;
  const onAbort = () => fail?.(cancelledBy(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  let ended = false;
  try {
    for (;;) {
      if (signal.aborted) throw cancelledBy(signal);
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        fail = reject;
        iterator.next().then(resolve, (error) => {
          ended = true;
          reject(error);
        });
      });
      if (result.done) {
        ended = true;
        return;
      }
      yield result.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!ended) {
      const closing = iterator.return?.();
      // A silent source could keep the caller waiting for ever.
      if (signal.aborted) closing?.catch(() => {});
      else await closing;
    }
  }
}

/** Joins pieces until there are at least `size` bytes: each piece costs a codec one trip to the thread pool. */
export async function* coalesce(source: Bytes, size: number): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of source) {
    pieces.push(piece);
    length += piece.byteLength;
    if (length < size) continue;
    yield joinPieces(pieces, length);
    pieces = [];
    length = 0;
  }
  if (length > 0) yield joinPieces(pieces, length);
}

/** One piece of several, copied only where there is more than one. */
export function joinPieces(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces, length);
}

/** Cuts pieces so that none is longer than `size` bytes, without copying. */
export async function* slice(source: Bytes, size: number): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    for (let start = 0; start < piece.byteLength; start += size) yield piece.subarray(start, start + size);
  }
}

/**
 * Passes bytes through a codec. The source is read to its end even where the codec ends before it, and is closed when
 * the reader stops early or the codec fails.
 *
 * @param explain - turns what the codec throws into the error for the caller; the source's own errors are left alone
 */
export async function* through(
  source: Bytes,
  codec: Duplex,
  explain: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  // Codecs may fail once more while they are being closed; nobody listens any more then.
  codec.on('error', () => {});
  const feeding = feed(source, endedApart(codec), () => codec.readableEnded);
  try {
    for await (const piece of codec) yield piece;
    const { failed, error } = await feeding;
    if (failed) throw error;
  } catch (error) {
    codec.destroy();
    const fed = await feeding;
    throw fed.failed ? fed.error : explain(error);
  } finally {
    codec.destroy();
    await feeding;
  }
}

/**
 * A codec that is ended once it has taken all there is. node:zlib finishes the stream together with the last piece when that
 * is still waiting as the end comes, and apart from it when it is not: the same bytes in would be others out, by chance.
 * https://github.com/nodejs/node/blob/v24.9.0/lib/zlib.js `_transform`
 */
function endedApart(codec: Duplex): Sink {
  let waiting = 0;
  let isEnding = false;
  const endWhenIdle = () => {
    if (isEnding && waiting === 0 && !codec.destroyed) codec.end();
  };
  return {
    get destroyed() {
      return codec.destroyed;
    },
    write(piece) {
      waiting += 1;
      return codec.write(piece, () => {
        waiting -= 1;
        endWhenIdle();
      });
    },
    end() {
      isEnding = true;
      endWhenIdle();
    },
    destroy: () => codec.destroy(),
    once: (event, listener) => codec.once(event, listener),
    removeListener: (event, listener) => codec.removeListener(event, listener),
  };
}

interface Fed {
  readonly failed: boolean;
  readonly error?: unknown;
}

/**
 * Writes a source into a stream at the stream's pace. Never rejects: what went wrong with the source is its result.
 *
 * @param hasEnough - once true, the source is read on but not written
 */
export async function feed(source: Bytes, stream: Sink, hasEnough: () => boolean = () => false): Promise<Fed> {
  try {
    for await (const piece of source) {
      if (hasEnough()) continue;
      if (stream.destroyed) break;
      if (!stream.write(piece)) await room(stream);
    }
    if (!stream.destroyed) stream.end(null);
    return { failed: false };
  } catch (error) {
    stream.destroy();
    return { failed: true, error };
  }
}

/** What all kinds of streams share: Node's own, readable-stream's, streamx's. */
interface Sink {
  readonly destroyed: boolean;
  write(piece: Uint8Array): boolean;
  end(piece: null): unknown;
  destroy(): unknown;
  once(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

/** Resolves when a stream takes more, or never will again. */
function room(stream: Sink): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'error', 'close', 'end'];
    const done = () => {
      for (const event of events) stream.removeListener(event, done);
      resolve();
    };
    for (const event of events) stream.once(event, done);
  });
}

/**
 * A body that is handed out and may be left half-read: `drain` reads what is left. It can be read once, and only until
 * it is drained.
 *
 * @param name - for the errors of a reader that comes too late
 */
export function handOut(source: Bytes, name: string): { body: Bytes; drain: () => Promise<void> } {
  const iterator = source[Symbol.asyncIterator]();
  let state: 'new' | 'reading' | 'done' | 'passed' = 'new';
  const checkTime = () => {
    if (state === 'passed') throw new Error(`The body of ${name} was read too late: the archive has moved on.`);
  };
  const next = async () => {
    checkTime();
    const result = await iterator.next();
    if (result.done) state = 'done';
    return result;
  };
  return {
    body: {
      [Symbol.asyncIterator]() {
        checkTime();
        if (state !== 'new') throw new Error(`The body of ${name} can be read only once.`);
        state = 'reading';
        // No return(): who stops early must not close the archive.
        return { next };
      },
    },
    async drain() {
      if (state === 'done') return;
      state = 'passed';
      for (let result = await iterator.next(); !result.done; result = await iterator.next());
    },
  };
}
