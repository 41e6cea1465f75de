import { availableParallelism } from 'node:os';
import { giveMemory, takeMemory } from './shared-memory.ts';
import { startThread, type Thread } from './thread.ts';

/** A frame of an archive, compressed. */
export interface PackedFrame {
  readonly bytes: Buffer;
  /** Gives its memory back: it must not be read any more. */
  release(): void;
}

/*
 * Why not in libuv's threads: what Node allocates there for each frame, V8 takes for garbage of the main thread. It looks
 * for it after every 10 to 20 MiB in all of the program's memory, which takes a quarter of an export's time.
 */
const PROGRAM = `
const { parentPort } = require('node:worker_threads');
const { constants, zstdCompressSync } = require('node:zlib');
parentPort.on('message', ({ chunk, level, room }) => {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
  // With room for all that can come out, zstd copies nothing.
  const options = { params, chunkSize: room.byteLength, pledgedSrcSize: chunk.byteLength };
  const frame = zstdCompressSync(chunk, options);
  const length = frame.byteLength;
  // Not by set, which copies byte by byte where memory is shared.
  frame.copy(Buffer.from(room.buffer, room.byteOffset, room.byteLength));
  // Freed now, and not when V8 finds that it is garbage.
  frame.buffer.transfer(0);
  parentPort.postMessage(length);
});`;

export const MAX_ZSTD_THREADS = 8;
/** Smaller buffers are pieces of one that Node keeps. */
const LEAST_ROOM = 64 * 1024;

const threads: Thread[] = [];
let users = 0;

/** To be called before compressing much; the threads end when all have called what it returns. */
export function useZstdThreads(): () => Promise<void> {
  users += 1;
  return async () => {
    users -= 1;
    if (users === 0) await Promise.all(threads.splice(0).map((thread) => thread.close()));
  };
}

/** Compresses a frame in the thread that has the least to do. */
export async function packOnThread(chunk: Uint8Array, level: number): Promise<PackedFrame> {
  const room = takeMemory(Math.max(chunk.byteLength + (chunk.byteLength >>> 7) + 4096, LEAST_ROOM));
  const length = await pickThread().ask({ chunk, level, room });
  if (typeof length !== 'number') throw new Error('The thread that compresses gave no length.');
  return { bytes: room.subarray(0, length), release: () => giveMemory(room) };
}

function pickThread(): Thread {
  const idle = threads.find(({ waiting }) => waiting === 0);
  if (idle !== undefined) return idle;
  if (threads.length < Math.min(availableParallelism(), MAX_ZSTD_THREADS)) {
    const thread = startThread(PROGRAM);
    threads.push(thread);
    return thread;
  }
  return threads.reduce((least, thread) => (thread.waiting < least.waiting ? thread : least));
}
