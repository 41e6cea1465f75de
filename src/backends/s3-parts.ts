import type { Bytes } from './backend.ts';

const MIB = 1024 * 1024;

/** The smallest size of a part, and the size below which an archive is stored by one request. */
export const SMALLEST_PART = 16 * MIB;
const LARGEST_PART = 1024 * MIB;
/** S3 takes 10,000 parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const SHARE = 1000;
const MOST_IN_FLIGHT = 4;
const MOST_BYTES_IN_FLIGHT = 128 * MIB;

/**
 * The size of the next part of an upload whose length nobody knows yet: a thousandth of what has been sent, so that the
 * 10,000 parts that S3 takes reach beyond the 5 TiB that it stores, while all up to 16 GiB goes in parts of 16 MiB.
 *
 * @param sent - bytes in the parts before
 */
export function nextPartSize(sent: number): number {
  const share = Math.ceil(sent / SHARE / MIB) * MIB;
  return Math.min(Math.max(share, SMALLEST_PART), LARGEST_PART);
}

/** How many parts of this size may be on their way at once, so that memory stays small. */
export function partsInFlight(size: number): number {
  return Math.max(1, Math.min(MOST_IN_FLIGHT, Math.floor(MOST_BYTES_IN_FLIGHT / size)));
}

/** Memory for parts, used again and again: what the garbage collector finds late would be tens of MiB more. */
export interface PartMemory {
  take(size: number): Buffer;
  /** Only for a part that the service has confirmed: then no request that could still count reads it. */
  giveBack(part: Buffer): void;
}

/** Keeps parts that were given back until one of their size is needed. */
export function createPartMemory(): PartMemory {
  let free: Buffer[] = [];
  return {
    take(size) {
      free = free.filter((part) => part.byteLength === size);
      // Not zeroed and not from Node's pool: pages of a part that are never filled cost nothing.
      return free.pop() ?? Buffer.allocUnsafeSlow(size);
    },
    giveBack(part) {
      free.push(part);
    },
  };
}

/** Cuts a stream into parts of {@link nextPartSize}; only the last is smaller. An empty stream has one empty part. */
export async function* splitIntoParts(bytes: Bytes, memory: PartMemory): AsyncIterable<Buffer> {
  let sent = 0;
  let part = memory.take(nextPartSize(sent));
  let filled = 0;
  for await (const chunk of bytes) {
    let rest = chunk;
    while (rest.byteLength > 0) {
      if (filled === part.byteLength) {
        yield part;
        sent += filled;
        part = memory.take(nextPartSize(sent));
        filled = 0;
      }
      const fits = rest.subarray(0, part.byteLength - filled);
      part.set(fits, filled);
      filled += fits.byteLength;
      rest = rest.subarray(fits.byteLength);
    }
  }
  yield part.subarray(0, filled);
}
