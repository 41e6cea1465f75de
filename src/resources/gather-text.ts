import type { Bytes } from '../archive/streams.ts';
import { openTemporaryFile, type TemporaryFile } from '../archive/temporary-file.ts';

/** Texts that were added one after the other, without anything between them. */
export interface Piece {
  readonly block: Block;
  /** In the block. */
  readonly start: number;
  /** Bytes. */
  length: number;
}

interface Block {
  /** Undefined when it is on disk. */
  bytes: Buffer | undefined;
  /** In the file. */
  start: number;
}

/** The text of one listing, held until all of it is known: a tar tells a file's size before its bytes. */
export interface TextGatherer {
  /** Adds text at the end of some pieces. */
  add(text: string, pieces: Piece[]): void;
  /** Moves what was added to disk when it has become much; more may be added only after. */
  relieve(): Promise<void> | undefined;
  /** The bytes of several pieces, in that order. */
  read(pieces: readonly Piece[]): Bytes;
  /** The bytes of several pieces where all of them are in memory. */
  peek(pieces: readonly Piece[]): Uint8Array[] | undefined;
  /** Forgets all of it. */
  close(): Promise<void>;
}

/** What all gatherers of an export share. */
export interface TextMemory {
  /** For temporary files; this user's alone. */
  readonly directory: string;
  /** Bytes in memory, of all gatherers. */
  held: number;
  readonly open: Set<TextGatherer>;
}

/** The most that one gatherer holds in memory, in bytes. */
const MOST_BYTES = 2 * 1024 * 1024;
/** The most that all of them hold, but for as little as no file is worth. */
const MOST_BYTES_IN_ALL = 8 * 1024 * 1024;
const LITTLE_BYTES = 256 * 1024;

/** Blocks grow from the one size to the other: most listings are small. */
const LEAST_BLOCK_BYTES = 4 * 1024;
const MOST_BLOCK_BYTES = 256 * 1024;

/** What is read at once: of the size of blocks, so that it takes the places in memory that those have left. */
const DISK_BYTES = MOST_BLOCK_BYTES;

/** A character of a string takes no more in UTF-8. */
const MOST_BYTES_A_CHARACTER = 3;

const PURPOSE = {
  verb: 'gather the objects of the export',
  done: "The objects of the export can't be gathered",
  need: 'It needs room for the largest kinds as JSON',
};

/** What gatherers share, to start with. */
export function createTextMemory(directory: string): TextMemory {
  return { directory, held: 0, open: new Set() };
}

/** Forgets all that has not been forgotten yet. */
export async function closeTexts({ open }: TextMemory): Promise<void> {
  await Promise.all([...open].map((text) => text.close()));
}

/** Gathers text in memory, and in a temporary file once it is much. */
export function gatherText(memory: TextMemory): TextGatherer {
  let blocks: { block: Block; length: number }[] = [];
  let held = 0;
  let block: Block = { bytes: Buffer.alloc(0), start: 0 };
  let bytes: Buffer = Buffer.alloc(0);
  /** In the block. */
  let position = 0;
  let spare: Buffer | undefined;
  let file: TemporaryFile | undefined;
  let fileLength = 0;

  function makeRoom(text: string): void {
    if (text.length * MOST_BYTES_A_CHARACTER <= bytes.length - position) return;
    const length = Buffer.byteLength(text);
    if (length <= bytes.length - position) return;
    finishBlock();
    const size = Math.max(length, Math.min(MOST_BLOCK_BYTES, Math.max(LEAST_BLOCK_BYTES, held)));
    // Not from the pool that small buffers share: what is held is to be what is counted.
    bytes = spare !== undefined && spare.length >= size ? spare : Buffer.allocUnsafeSlow(size);
    spare = undefined;
    block = { bytes, start: 0 };
    position = 0;
  }

  function finishBlock(): void {
    if (position > 0) blocks.push({ block, length: position });
    position = 0;
    bytes = Buffer.alloc(0);
  }

  async function moveToDisk(): Promise<void> {
    finishBlock();
    file ??= await openTemporaryFile({ directory: memory.directory, purpose: PURPOSE });
    const moving = blocks;
    blocks = [];
    for (const { block: full, length } of moving) {
      if (full.bytes === undefined) continue;
      await file.write(full.bytes.subarray(0, length), fileLength);
      // Nobody has seen it yet.
      spare = full.bytes;
      full.bytes = undefined;
      full.start = fileLength;
      fileLength += length;
    }
    memory.held -= held;
    held = 0;
  }

  async function* readDisk(start: number, end: number): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end && file !== undefined; at += DISK_BYTES) {
      yield await file.read(at, Math.min(DISK_BYTES, end - at));
    }
  }

  const gatherer: TextGatherer = {
    add(text, pieces) {
      makeRoom(text);
      const length = bytes.write(text, position);
      const last = pieces.at(-1);
      if (last?.block === block && last.start + last.length === position) last.length += length;
      else pieces.push({ block, start: position, length });
      position += length;
      held += length;
      memory.held += length;
    },
    relieve() {
      const isMuch = held > MOST_BYTES || (memory.held > MOST_BYTES_IN_ALL && held > LITTLE_BYTES);
      return isMuch ? moveToDisk() : undefined;
    },
    async *read(pieces) {
      let [start, end] = [0, 0];
      for (const piece of pieces) {
        const at = piece.block.start + piece.start;
        // What follows on disk what is to be read anyway is read together with it.
        if (piece.block.bytes === undefined && at === end) {
          end += piece.length;
          continue;
        }
        yield* readDisk(start, end);
        [start, end] = piece.block.bytes === undefined ? [at, at + piece.length] : [0, 0];
        if (piece.block.bytes !== undefined) yield inMemory(piece, piece.block.bytes);
      }
      yield* readDisk(start, end);
    },
    peek(pieces) {
      const all = pieces.flatMap((piece) => (piece.block.bytes ? [inMemory(piece, piece.block.bytes)] : []));
      return all.length === pieces.length ? all : undefined;
    },
    async close() {
      memory.open.delete(gatherer);
      memory.held -= held;
      held = 0;
      blocks = [];
      spare = undefined;
      await file?.close();
      file = undefined;
    },
  };
  memory.open.add(gatherer);
  return gatherer;
}

function inMemory({ start, length }: Piece, bytes: Buffer): Uint8Array {
  return bytes.subarray(start, start + length);
}
