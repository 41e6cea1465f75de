import { createHash } from 'node:crypto';
import { encrypt } from '../archive/encryption.ts';
import { type FramedPart, keepBytes, writeFramedArchive } from '../archive/frame-writer.ts';
import type { NewPart } from '../archive/part.ts';
import type { Bytes } from './backend.ts';

/** A part's stored bytes, from the start. */
export function partBytes({ compression, encryptTo, mtime, entries, signal }: NewPart): Bytes {
  const bytes = bytesOf(writeFramedArchive(entries(), { compression, mtime, signal }));
  return encryptTo === undefined ? bytes : encrypt(bytes, encryptTo);
}

/** Counts and digests bytes as they pass. */
export function measure(source: Bytes): { bytes: Bytes; result(): { size: number; digest: string } } {
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

async function* bytesOf(parts: AsyncIterable<FramedPart>): AsyncGenerator<Uint8Array> {
  for await (const part of parts) yield keepBytes(part);
}
