import type { FileHandle } from 'node:fs/promises';
import { openTemporaryFile, type TemporaryFile } from '../archive/temporary-file.ts';

/** A temporary file that holds many files, one after the other. It is there as long as somebody holds it. */
export interface Pack {
  /** Bytes. */
  size(): number;
  read(position: number, length: number): Promise<Buffer>;
  hold(): void;
  /** Gives the disk space back when nobody holds it any more. */
  release(): Promise<void>;
}

/** Where a file is in a pack. */
export interface PackPlace {
  readonly pack: Pack;
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** Fills a new pack, which it holds once. */
export interface PackWriter {
  readonly pack: Pack;
  /** Where the next bytes go. */
  position(): number;
  /** The bytes may be used for something else when it returns. */
  append(bytes: Uint8Array): Promise<void>;
  /** Goes on where it was before: what is behind it is not kept. */
  goBack(position: number): void;
  /** Writes what is in memory; nothing can be read before. */
  end(): Promise<void>;
}

const PIECE_BYTES = 1024 * 1024;

const PURPOSE = {
  verb: 'keep the snapshot until it is stored',
  done: "The snapshot can't be kept until it is stored",
  need: 'It needs room for what has changed since the last snapshot, uncompressed, for each that waits',
};

/**
 * Begins a pack. Its file is made when there is something to write.
 *
 * @throws TransshipError `BACKEND`, from its methods, when the disk is full or the folder can't be written
 */
export function createPackWriter(directory: string, openFile?: (path: string) => Promise<FileHandle>): PackWriter {
  /** What waits; given up at the end, as the pack may live for long. */
  let buffer = Buffer.alloc(0);
  let file: TemporaryFile | undefined;
  let holders = 1;
  /** Bytes in the file that are of use, in the file at all, and in memory behind those that are of use. */
  let written = 0;
  let reached = 0;
  let waiting = 0;

  const write = async (bytes: Uint8Array) => {
    file ??= await openTemporaryFile({ directory, purpose: PURPOSE, openFile });
    await file.write(bytes, written);
    written += bytes.byteLength;
    reached = Math.max(reached, written);
  };
  const flush = async () => {
    await write(buffer.subarray(0, waiting));
    waiting = 0;
  };
  const pack: Pack = {
    size: () => written,
    async read(position, length) {
      if (file === undefined) throw new Error('A pack is read before it is written.');
      return file.read(position, length);
    },
    hold() {
      holders += 1;
    },
    async release() {
      holders -= 1;
      if (holders === 0) await file?.close();
    },
  };
  return {
    pack,
    position: () => written + waiting,
    async append(bytes) {
      if (waiting + bytes.byteLength > PIECE_BYTES) await flush();
      if (bytes.byteLength > PIECE_BYTES) await write(bytes);
      else {
        if (buffer.byteLength === 0) buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
        buffer.set(bytes, waiting);
        waiting += bytes.byteLength;
      }
    },
    goBack(position) {
      waiting = Math.max(0, position - written);
      written = Math.min(written, position);
    },
    async end() {
      if (waiting > 0) await flush();
      buffer = Buffer.alloc(0);
      if (reached > written) await file?.cut(written);
    },
  };
}

/** Reads a file in pieces. */
export async function* readPlace({ pack, start, size }: PackPlace): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < size; done += PIECE_BYTES) {
    yield await pack.read(start + done, Math.min(PIECE_BYTES, size - done));
  }
}
