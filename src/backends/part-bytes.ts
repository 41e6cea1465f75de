import { encrypt } from '../archive/encryption.ts';
import { type FramedPart, keepBytes, writeFramedArchive } from '../archive/frame-writer.ts';
import type { NewPart } from '../archive/part.ts';
import type { Bytes } from './backend.ts';

/** A part's stored bytes, from the start. */
export function partBytes({ compression, encryptTo, mtime, entries, signal }: NewPart): Bytes {
  const bytes = bytesOf(writeFramedArchive(entries(), { compression, mtime, signal }));
  return encryptTo === undefined ? bytes : encrypt(bytes, encryptTo);
}

async function* bytesOf(parts: AsyncIterable<FramedPart>): AsyncGenerator<Uint8Array> {
  for await (const part of parts) yield keepBytes(part);
}
