import type { Duplex } from 'node:stream';
// Loaded at first use: this is where the native addon is loaded, which throws where there is none.
import lzma from 'lzma-native';

/** A codec of lzma-native: a Transform of readable-stream 3. */
export interface LzmaStream extends Duplex {
  _transform(piece: Uint8Array | null, encoding: BufferEncoding, callback: () => void): void;
}

/** The part of lzma-native that is used, as it is: @types/lzma-native gives `check` a type that the addon ignores. */
export interface Lzma {
  readonly CHECK_CRC64: number;
  createStream(
    coder: 'easyEncoder',
    options: { preset: number; threads: number; check: number; highWaterMark: number },
  ): LzmaStream;
  createStream(coder: 'streamDecoder', options: { memlimit: number; highWaterMark: number }): LzmaStream;
}

function isLzma(module: unknown): module is Lzma {
  return typeof module === 'object' && module !== null && 'createStream' in module && 'CHECK_CRC64' in module;
}

function checked(module: unknown): Lzma {
  if (!isLzma(module)) throw new Error('lzma-native is not what it was.');
  return module;
}

export const library: Lzma = checked(lzma);
