import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Bytes. With less, V8 would copy what is still in use more often than it pays. */
const ENOUGH = 16 * 1024 * 1024;

let isLimited = false;

/**
 * Keeps V8 from letting the part of the heap where new objects go grow much beyond 16 MB. What a stream has passed on is
 * garbage at once, and V8 would gather up to 128 MB of it, and as much of buffers, before it looks. It has a flag for
 * that size, but only at the start of the process, where the Action has no say; this stops the growing once there is
 * enough. To be called again and again by what streams much: each time but the one costs next to nothing.
 * https://nodejs.org/docs/latest-v24.x/api/v8.html#v8setflagsfromstringflags
 */
export function limitYoungGeneration(): void {
  if (isLimited) return;
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  if (young !== undefined && young.space_size < ENOUGH) return;
  setFlagsFromString('--semi-space-growth-factor=1');
  isLimited = true;
}
