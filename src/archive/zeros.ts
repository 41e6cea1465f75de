/** As many as are handed on at once. Shared, so that holes cost no memory; nobody may write into it. */
const ZEROS = new Uint8Array(1024 * 1024);

/** Yields zeros, in pieces that share their memory. */
export function* zeros(count: number): Generator<Uint8Array> {
  for (let left = count; left > 0; left -= ZEROS.byteLength) {
    yield left < ZEROS.byteLength ? ZEROS.subarray(0, left) : ZEROS;
  }
}

/** Whether it is of the memory that all zeros share. */
export function isShared(bytes: Uint8Array): boolean {
  return bytes.buffer === ZEROS.buffer;
}

/** Whether there is nothing but zeros in it. */
export function allZeros(bytes: Uint8Array): boolean {
  if (isShared(bytes)) return true;
  for (let start = 0; start < bytes.byteLength; start += ZEROS.byteLength) {
    const part = bytes.subarray(start, start + ZEROS.byteLength);
    if (Buffer.compare(part, ZEROS.subarray(0, part.byteLength)) !== 0) return false;
  }
  return true;
}
