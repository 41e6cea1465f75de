import { createHash } from 'node:crypto';
import type { Bytes } from './streams.ts';

/** What tells stored bytes from others. */
export interface Measured {
  /** Bytes. */
  readonly size: number;
  /** `sha256:<hex>` */
  readonly digest: string;
}

/** Counts and digests bytes as they pass; how many there were is known after the last one. */
export function measure(source: Bytes): { readonly bytes: Bytes; result(): Measured } {
  const sha256 = createHash('sha256');
  let size = 0;
  async function* pass(): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      sha256.update(piece);
      size += piece.byteLength;
      yield piece;
    }
  }
  return { bytes: pass(), result: () => ({ size, digest: `sha256:${sha256.copy().digest('hex')}` }) };
}

/** Reads bytes to their end, just to measure them. */
export async function measureAll(source: Bytes): Promise<Measured> {
  const { bytes, result } = measure(source);
  for await (const _ of bytes);
  return result();
}
