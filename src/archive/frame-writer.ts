import { availableParallelism } from 'node:os';
import { crc32 } from 'node:zlib';
import { mapInOrder } from '../streams.ts';
import { limitYoungGeneration } from '../young-generation.ts';
import type { Chunk, EndedFile } from './frame-chunks.ts';
import { type FrameCodec, type FrameCompression, frameCodecs, type StoredFrame } from './frame-codec.ts';
import { startHasher } from './frame-hasher.ts';
import { HELD_BYTES } from './frame-hold.ts';
import { type JournalFile, type JournalFrame, storedFiles } from './frame-journal.ts';
import { tarChunks } from './frame-tar.ts';
import type { FramedEntry, Piece } from './frames.ts';
import { useZstdThreads } from './zstd-threads.ts';

/** How an archive in frames is written. */
export interface FramedOptions {
  readonly compression: FrameCompression;
  /** Bytes of tar in each frame; what the compression asks for, unless a test needs little ones. */
  readonly frameBytes?: number | undefined;
  /**
   * How much data a disk may have to become a sparse file; 4 MiB, unless a test needs less. Archives that are written
   * side by side share it.
   */
  readonly heldBytes?: number | undefined;
  /** The time of every file in it. */
  readonly mtime: Date;
  /** What an earlier run has stored. */
  readonly from?: { readonly frames: readonly JournalFrame[]; readonly read: ReadStored } | undefined;
  /** How many frames are compressed at once. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reads what an earlier run has stored, between two offsets of the tar. */
export type ReadStored = (from: number, to: number) => AsyncIterable<Piece>;

/** Bytes to be stored behind those before; with what to add to the journal once they are. */
export interface FramedPart {
  /** They may be in memory that is used again: see {@link release}. */
  readonly bytes: Uint8Array;
  /** Nothing for the archive's head and tail, which belong to no frame. */
  readonly frame?: JournalFrame;
  /** Gives the memory of `bytes` back. To be called by whoever has stored or copied them. */
  readonly release?: (() => void) | undefined;
}

/** How many archives are written at this moment: they share the cores, and with them the memory. */
let writers = 0;

/**
 * Writes entries as a VM archive: a tar with `manifest` at its end, in frames that are compressed side by side and
 * stored in order. With `from`, goes on behind the frames that an earlier run has stored; what comes is then what that
 * run would have gone on with. Memory is that of some frames, whatever the disks' sizes.
 *
 * @throws SourceChangedError before the first part, when `from` is of other files
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a path that may not be in an archive, and a link that leads out; for xz
 *   where it can't be written
 * @throws TransshipError `ARCHIVE_DAMAGED` for a body that yields fewer or more bytes than its entry's size
 */
export async function* writeFramedArchive(
  entries: AsyncIterable<FramedEntry>,
  options: FramedOptions,
): AsyncGenerator<FramedPart> {
  const { compression, mtime, from, signal, heldBytes = HELD_BYTES } = options;
  const codec = frameCodecs[compression];
  const { frameBytes = codec.frameBytes, threads = Math.min(availableParallelism(), codec.maxThreads) } = options;
  // There are hundreds of thousands for a disk of a TiB.
  const frames: StoredFrame[] = from?.frames.map(sizesOf) ?? [];
  const stored = from === undefined ? undefined : { ...storedFiles(from.frames), read: from.read };
  const hasher = startHasher();
  const endThreads = compression === 'zstd' ? useZstdThreads() : async () => {};
  writers += 1;
  try {
    const pack = packer(codec);
    const chunks = tarChunks(entries, {
      ...{ frameBytes, mtime, hasher, stored, signal },
      heldBytes: () => heldBytes / writers,
    });
    if (frames.length === 0 && codec.head.byteLength > 0) yield { bytes: codec.head };
    for await (const part of mapInOrder(chunks, () => Math.ceil((threads + 1) / writers), pack)) {
      frames.push(sizesOf(part.frame));
      yield part;
    }
    const tail = codec.tail(frames);
    if (tail.byteLength > 0) yield { bytes: tail };
  } finally {
    writers -= 1;
    await endThreads();
    await hasher.close();
  }
}

/** The bytes of a part, to be kept for as long as wanted. */
export function keepBytes({ bytes, release }: FramedPart): Uint8Array {
  if (release === undefined) return bytes;
  const kept = Buffer.from(bytes);
  release();
  return kept;
}

async function ended({ sha1, ...file }: EndedFile): Promise<JournalFile> {
  const digest = await sha1;
  return digest === undefined ? file : { ...file, sha1: digest };
}

function sizesOf({ length, raw, blocks }: JournalFrame): StoredFrame {
  return blocks === undefined ? { length, raw } : { length, raw, blocks };
}

function packer(codec: FrameCodec): (chunk: Chunk) => Promise<FramedPart & { readonly frame: JournalFrame }> {
  // Of each length once: all runs of zeros are the same frame.
  const zeros = new Map<number, ReturnType<FrameCodec['pack']>>();
  const packZeros = (length: number) => {
    const packed = zeros.get(length) ?? codec.pack(Buffer.alloc(length));
    zeros.set(length, packed);
    return packed;
  };
  return async (chunk) => {
    limitYoungGeneration();
    const packing = chunk.bytes === undefined ? packZeros(chunk.length) : codec.pack(chunk.bytes);
    // The memory is read by both until both have ended.
    const [packed, hashed] = await Promise.allSettled([packing, chunk.hashed]);
    if (hashed.status === 'rejected') throw hashed.reason;
    if (packed.status === 'rejected') throw packed.reason;
    const { bytes, blocks } = packed.value;
    // The one of zeros is used for all of them.
    const release = chunk.bytes === undefined ? undefined : packed.value.release;
    chunk.release();
    const files = await Promise.all(chunk.files.map(ended));
    return {
      bytes,
      release,
      frame: {
        length: bytes.byteLength,
        raw: chunk.length,
        crc: crc32(bytes),
        ...(chunk.bytes === undefined ? { zeros: true } : {}),
        ...(blocks === undefined ? {} : { blocks }),
        ...(files.length === 0 ? {} : { files }),
        ...(chunk.open === undefined ? {} : { open: chunk.open }),
      },
    };
  };
}
