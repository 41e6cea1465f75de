/** As much as a frame of the tar, or what it is compressed to, takes at the most. */
const ROOM = 4 * 1024 * 1024 + 64 * 1024;

const spares: Buffer[] = [];

/**
 * Memory that threads share, and that is used again: V8 neither knows what it takes nor when to look for it, and what is
 * new has to be cleared by the kernel. Its content is undefined.
 *
 * @param size - bytes; what is larger than a frame is new each time
 */
export function takeMemory(size: number): Buffer {
  const memory = size > ROOM ? Buffer.from(new SharedArrayBuffer(size)) : spares.pop();
  return (memory ?? Buffer.from(new SharedArrayBuffer(ROOM))).subarray(0, size);
}

/** Gives memory back that was taken. Nobody may read it any more, in no thread. */
export function giveMemory({ buffer }: Buffer): void {
  if (buffer.byteLength === ROOM) spares.push(Buffer.from(buffer));
}
