import { Worker } from 'node:worker_threads';
import { lengthOf, type Piece } from './frames.ts';

/** SHA-1 of one body after the other, on a thread of its own: it takes as long as all the rest of an empty disk. */
export interface FrameHasher {
  /**
   * Adds to the body under way. Memory that is shared is read where it is, and must not change before the promise is
   * kept; any other is copied.
   */
  add(piece: Piece): Promise<void>;
  /** Ends the body under way: its SHA-1 in hex, of all that was added before. The next one begins. */
  end(): Promise<string>;
  /** Ends the thread. What has not been answered by then is rejected. */
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

/** As text: a bundle has no file that a worker could be started from. Zeros come as a number and are not passed on. */
const PROGRAM = `
const { parentPort } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const zeros = Buffer.alloc(65536);
let hash = createHash('sha1');
parentPort.on('message', ({ bytes, length }) => {
  let digest;
  if (bytes !== undefined) hash.update(bytes);
  else if (length !== undefined) for (let left = length; left > 0; left -= zeros.length) hash.update(zeros.subarray(0, left));
  else {
    digest = hash.digest('hex');
    hash = createHash('sha1');
  }
  parentPort.postMessage(digest);
});`;

interface Waiting {
  resolve(digest: unknown): void;
  reject(error: unknown): void;
}

/** Starts the thread. The caller must close it. */
export function startHasher(): FrameHasher {
  const worker = new Worker(PROGRAM, { eval: true });
  // Answers come in the order of the questions.
  const waiting: Waiting[] = [];
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.on('message', (digest: unknown) => waiting.shift()?.resolve(digest));
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('The thread that digests has ended.')));
  const ask = (message: object, transfer: ArrayBuffer[] = []) => {
    const answer = new Promise<unknown>((resolve, reject) => {
      if (failure !== undefined) reject(failure);
      else waiting.push({ resolve, reject });
    });
    // Whoever waits for it is told; nobody may be left to.
    answer.catch(() => {});
    worker.postMessage(message, transfer);
    return answer;
  };
  return {
    async add(piece) {
      if (lengthOf(piece) === 0) return;
      if (!(piece instanceof Uint8Array)) {
        await ask({ length: piece.zeros });
      } else if (piece.buffer instanceof SharedArrayBuffer) {
        await ask({ bytes: piece });
      } else {
        const copy = new Uint8Array(piece);
        await ask({ bytes: copy }, [copy.buffer]);
      }
    },
    async end() {
      const digest = await ask({});
      if (typeof digest !== 'string') throw new Error('The thread that digests gave no digest.');
      return digest;
    },
    async close() {
      await worker.terminate();
    },
  };
}
