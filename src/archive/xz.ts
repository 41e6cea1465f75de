import { availableParallelism } from 'node:os';
import { messageOf } from '../errors.ts';
import { damaged, needsMemory } from './damage.ts';
import type { Lzma, LzmaStream } from './lazy/lzma.ts';
import { type Bytes, slice, through } from './streams.ts';
import { MAX_DECODER_MEBIBYTES, runXz } from './xz-program.ts';

/** Presets above cost many times more for a few percent. */
const PRESET = 1;

/** Each thread holds some blocks of 3 MiB. */
const MAX_THREADS = 8;

/** What waits for the encoder, so that it and the rest of the work run at the same time. */
const BUFFER_BYTES = 2 * 1024 * 1024;

/** What goes into the decoder at once: it holds all that comes out of it, up to 7,000 times as much (a disk's zeros). */
const DECODER_PIECE_BYTES = 8 * 1024;

/**
 * Where an addon may be loaded. Bundled ones are built and tried by scripts/build-xz-addon.mjs. Of those that npm
 * brings, the one for linux-arm64 is of another machine and the one for darwin-arm64 may end the process:
 * https://github.com/addaleax/lzma-native/issues/144 and /127
 */
const BUNDLED = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
const FROM_NPM = ['linux-x64', 'darwin-x64'];

/** What xz depends on: replaced in tests. */
export interface XzParts {
  /** `<process.platform>-<process.arch>` */
  readonly platform: string;
  /** Loads lzma-native; throws where its addon does not load. */
  readonly load: () => Promise<Lzma>;
  /** The program to fall back to. */
  readonly program: string;
}

const parts: XzParts = {
  platform: `${process.platform}-${process.arch}`,
  load: async () => (await import('./lazy/lzma.ts')).library,
  program: 'xz',
};

/**
 * Compresses with CRC64, on all cores unless fewer threads are wanted, with lzma-native, or with the `xz` program where there
 * is no sound addon.
 *
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` where there is neither
 */
export async function* compressXz(
  source: Bytes,
  { platform, load, program } = parts,
  threads = Math.min(availableParallelism(), MAX_THREADS),
): AsyncGenerator<Uint8Array> {
  const { lzma, error } = await loadAddon(platform, load);
  if (lzma === undefined) {
    yield* runXz('compress', source, program, error);
    return;
  }
  const encoder = lzma.createStream('easyEncoder', {
    preset: PRESET,
    threads,
    check: lzma.CHECK_CRC64,
    highWaterMark: BUFFER_BYTES,
  });
  yield* through(source, withoutSplitting(encoder), (failure) => failure);
}

/** Whether six bytes start an xz stream. */
export function isXz(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, 6)).equals(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]));
}

/**
 * Decompresses any number of xz streams.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for a stream that is cut or damaged, or for anything else after them
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` where there is neither addon nor program, and for a stream that takes more
 *   than 512 MiB of memory
 */
export async function* decompressXz(source: Bytes, { platform, load, program } = parts): AsyncGenerator<Uint8Array> {
  const { lzma, error } = await loadAddon(platform, load);
  if (lzma === undefined) {
    yield* runXz('decompress', source, program, error);
    return;
  }
  const memlimit = MAX_DECODER_MEBIBYTES * 1024 * 1024;
  const decoder = lzma.createStream('streamDecoder', { memlimit, highWaterMark: DECODER_PIECE_BYTES });
  yield* through(slice(source, DECODER_PIECE_BYTES), decoder, (failure) =>
    failure instanceof Error && failure.name === 'LZMA_MEMLIMIT_ERROR'
      ? needsMemory('xz', MAX_DECODER_MEBIBYTES, failure)
      : damaged(`The xz stream is cut or damaged: ${messageOf(failure)}.`, failure),
  );
}

async function loadAddon(platform: string, load: XzParts['load']): Promise<{ lzma?: Lzma; error?: unknown }> {
  const sound = import.meta.filename.endsWith('.ts') ? FROM_NPM : BUNDLED;
  if (!sound.includes(platform)) return {};
  try {
    return { lzma: await load() };
  } catch (error) {
    // Not there, or made for another C library (Alpine's, an older glibc): the program does it.
    return { error };
  }
}

/**
 * lzma-native cuts every piece at each "YZ", the end mark of an xz stream, to find where a decoder's streams end. For
 * an encoder it is of no use, and 512 KiB of "YZ" take seconds. It looks by the piece's own `indexOf`.
 */
function withoutSplitting(encoder: LzmaStream): LzmaStream {
  const transform = encoder._transform.bind(encoder);
  encoder._transform = (piece, encoding, callback) =>
    transform(piece && Object.defineProperty(piece.subarray(), 'indexOf', { value: () => -1 }), encoding, callback);
  return encoder;
}
