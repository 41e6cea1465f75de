import { lengthOf, type Piece } from './frames.ts';
import { startThread, type Thread } from './thread.ts';

/** SHA-1 of one body after the other, on a thread of its own: it takes as long as all the rest of an empty disk. */
export interface FrameHasher {
  /**
   * Adds to the body under way. Memory that is shared is read where it is, and must not change before the promise is
   * kept; any other is copied.
   */
  add(piece: Piece): Promise<void>;
  /** Ends the body under way: its SHA-1 in hex, of all that was added before. The next one begins. */
  end(): Promise<string>;
  /** Ends the thread when nobody else uses it; what has not been answered by then is rejected. */
  close(): Promise<void>;
}

/** Pieces that wait for the thread. */
const AHEAD = 4;

/**
 * Digests a body while it is read, on the hasher's thread; one at a time.
 *
 * @returns the same pieces, and the SHA-1 in hex of what was read once they have ended
 */
export function digestPieces(
  pieces: AsyncIterable<Piece>,
  hasher: FrameHasher,
): { readonly pieces: AsyncGenerator<Piece>; readonly sha1: Promise<string> } {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // Whoever reads the pieces is told as well.
  promise.catch(() => {});
  async function* pass(): AsyncGenerator<Piece> {
    const waiting: Promise<void>[] = [];
    let isWhole = false;
    try {
      for await (const piece of pieces) {
        const adding = hasher.add(piece);
        adding.catch(() => {});
        waiting.push(adding);
        if (waiting.length > AHEAD) await waiting.shift();
        yield piece;
      }
      isWhole = true;
    } finally {
      // Also where the reader stopped early: the next body must begin with nothing.
      const digest = hasher.end();
      if (isWhole) digest.then(resolve, reject);
      else reject(new Error('It was not read to its end.'));
    }
  }
  return { pieces: pass(), sha1: promise };
}

/** Zeros come as a number and are not passed on. */
const PROGRAM = `
const { parentPort } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const zeros = Buffer.alloc(65536);
const hashes = new Map();
parentPort.on('message', ({ id, bytes, length }) => {
  const hash = hashes.get(id) ?? createHash('sha1');
  hashes.set(id, hash);
  let digest;
  if (bytes !== undefined) hash.update(bytes);
  else if (length !== undefined) for (let left = length; left > 0; left -= zeros.length) hash.update(zeros.subarray(0, left));
  else {
    digest = hash.digest('hex');
    hashes.delete(id);
  }
  parentPort.postMessage(digest);
});`;

// One for all: it digests faster than the main thread reads, and each takes 12 MB.
let thread: Thread | undefined;
let users = 0;
let ids = 0;

/** Starts the thread unless it has been. The caller must close it. */
export function startHasher(): FrameHasher {
  thread ??= startThread(PROGRAM);
  users += 1;
  ids += 1;
  const id = ids;
  const own = thread;
  return {
    async add(piece) {
      if (lengthOf(piece) === 0) return;
      if (!(piece instanceof Uint8Array)) {
        await own.ask({ id, length: piece.zeros });
      } else if (piece.buffer instanceof SharedArrayBuffer) {
        await own.ask({ id, bytes: piece });
      } else {
        const copy = new Uint8Array(piece);
        await own.ask({ id, bytes: copy }, [copy.buffer]);
      }
    },
    async end() {
      const digest = await own.ask({ id });
      if (typeof digest !== 'string') throw new Error('The thread that digests gave no digest.');
      return digest;
    },
    async close() {
      users -= 1;
      if (users > 0) return;
      thread = undefined;
      await own.close();
    },
  };
}
