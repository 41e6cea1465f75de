import { type Bytes, joinPieces } from '../archive/streams.ts';
import { openTemporaryFile, type TemporaryFile } from '../archive/temporary-file.ts';

/** Some text that was gathered; only its gatherer changes it. */
export interface Piece {
  /** Bytes. */
  readonly length: number;
  /** Undefined when they are on disk. */
  bytes: Uint8Array | undefined;
  /** Where they are on disk. */
  start: number;
}

/** The text of one listing, held until all of it is known: a tar tells a file's size before its bytes. */
export interface TextGatherer {
  add(text: string): Piece;
  /** Moves what was added to disk when it has become much; more may be added only after. */
  relieve(): Promise<void> | undefined;
  /** The bytes of several pieces, in that order. */
  read(pieces: readonly Piece[]): Bytes;
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

/** What gatherers share, to start with. */
export function createTextMemory(directory: string): TextMemory {
  return { directory, held: 0, open: new Set() };
}

/** Forgets all that has not been forgotten yet. */
export async function closeTexts({ open }: TextMemory): Promise<void> {
  await Promise.all([...open].map((text) => text.close()));
}

/** The most that one gatherer holds in memory, in bytes. */
const MOST_BYTES = 1 * 1024 * 1024;
/** The most that all of them hold, but for as little as no file is worth. */
const MOST_BYTES_IN_ALL = 4 * 1024 * 1024;
const LITTLE_BYTES = 256 * 1024;
/** What is written or read at once. */
const DISK_BYTES = 1024 * 1024;

const PURPOSE = {
  verb: 'gather the objects of the export',
  done: "The objects of the export can't be gathered",
  need: 'It needs room for the largest kinds as JSON',
};

/** Gathers text in memory, and in a temporary file once it is much. */
export function gatherText(memory: TextMemory): TextGatherer {
  let inMemory: Piece[] = [];
  let held = 0;
  let file: TemporaryFile | undefined;
  let fileLength = 0;

  async function moveToDisk(): Promise<void> {
    file ??= await openTemporaryFile({ directory: memory.directory, purpose: PURPOSE });
    const moving = inMemory;
    inMemory = [];
    for (let first = 0, next = 0; first < moving.length; first = next) {
      const batch: Uint8Array[] = [];
      let length = 0;
      for (let piece = moving[next]; piece?.bytes !== undefined && length < DISK_BYTES; piece = moving[next]) {
        batch.push(piece.bytes);
        length += piece.length;
        next += 1;
      }
      await file.write(joinPieces(batch, length), fileLength);
      for (const piece of moving.slice(first, next)) {
        piece.bytes = undefined;
        piece.start = fileLength;
        fileLength += piece.length;
      }
      held -= length;
      memory.held -= length;
    }
  }

  async function* readDisk(start: number, end: number): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end && file !== undefined; at += DISK_BYTES) {
      yield await file.read(at, Math.min(DISK_BYTES, end - at));
    }
  }

  const gatherer: TextGatherer = {
    add(text) {
      const bytes = Buffer.from(text);
      const piece: Piece = { length: bytes.byteLength, bytes, start: 0 };
      inMemory.push(piece);
      held += piece.length;
      memory.held += piece.length;
      return piece;
    },
    relieve() {
      const isMuch = held > MOST_BYTES || (memory.held > MOST_BYTES_IN_ALL && held > LITTLE_BYTES);
      return isMuch ? moveToDisk() : undefined;
    },
    async *read(pieces) {
      let [start, end] = [0, 0];
      for (const { bytes, start: at, length } of pieces) {
        // What follows on disk what is to be read anyway is read together with it.
        if (bytes === undefined && at === end) {
          end += length;
          continue;
        }
        yield* readDisk(start, end);
        [start, end] = bytes === undefined ? [at, at + length] : [0, 0];
        if (bytes !== undefined) yield bytes;
      }
      yield* readDisk(start, end);
    },
    async close() {
      memory.open.delete(gatherer);
      memory.held -= held;
      held = 0;
      inMemory = [];
      await file?.close();
      file = undefined;
    },
  };
  memory.open.add(gatherer);
  return gatherer;
}
