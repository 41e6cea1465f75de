import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { damaged } from '../archive/damage.ts';
import { type FrameHasher, startHasher } from '../archive/frame-hasher.ts';
import type { FramedFile } from '../archive/framed-archive.ts';
import { cutPiece, lengthOf, type Piece } from '../archive/frames.ts';
import { zeros } from '../archive/zeros.ts';
import { TransshipError } from '../errors.ts';
import { limitYoungGeneration } from '../young-generation.ts';

/** A file of an archive whose digest is to be compared while it is read. */
export interface KnownFile {
  readonly file: FramedFile;
  /** Of the manifest, in hex; undefined for what is no file. */
  readonly sha1: string | undefined;
}

/** Digests one body after the other. */
export interface Digester {
  /** Adds to the body under way; the one before must have been added. What was given may change once this is done. */
  add(piece: Piece): Promise<void>;
  /** Ends the body under way: its SHA-1 in hex. The next one begins. */
  end(): Promise<string>;
}

/** Bytes. A thread of its own is worth its start for what is larger. */
const LARGE = 64 * 1024 * 1024;
/** Bytes of zeros that are told to the digester at once. */
const ZEROS_AT_ONCE = 64 * 1024 * 1024;
/** Bytes. */
const SENT_AT_ONCE = 256 * 1024;
/** Bytes that are handed to a thread at once, and how many of them may wait there. */
const SLOT = 512 * 1024;
const SLOTS = 4;

/** On this thread: for what is small. */
export function createDigester(): Digester {
  let sha1 = createHash('sha1');
  return {
    async add(piece) {
      for (const bytes of piece instanceof Uint8Array ? [piece] : zeros(piece.zeros)) sha1.update(bytes);
    },
    async end() {
      const digest = sha1.digest('hex');
      sha1 = createHash('sha1');
      return digest;
    },
  };
}

/**
 * On a thread of its own, through memory that both see and that is used again and again: what is copied to another thread
 * is garbage there for long.
 */
function throughSlots(hasher: FrameHasher): Digester {
  const slots = Array.from({ length: SLOTS }, () => ({
    bytes: new Uint8Array(new SharedArrayBuffer(SLOT)),
    read: Promise.resolve(),
  }));
  let turn = 0;
  const give = async (fill: (bytes: Uint8Array) => Piece) => {
    const slot = slots[turn % SLOTS];
    turn += 1;
    if (slot === undefined) return;
    await slot.read;
    slot.read = hasher.add(fill(slot.bytes));
    // It is met when the slot is used again, or at the end.
    slot.read.catch(() => {});
  };
  return {
    async add(piece) {
      if (!(piece instanceof Uint8Array)) return give(() => piece);
      for (let at = 0; at < piece.byteLength; at += SLOT) {
        const part = piece.subarray(at, at + SLOT);
        await give((bytes) => {
          bytes.set(part);
          return bytes.subarray(0, part.byteLength);
        });
      }
    },
    end: () => hasher.end(),
  };
}

/** Digesters to borrow; those with a thread are started when they are needed, and used again. */
export interface Digesters {
  /** @param bytes - that are to be digested in all */
  borrow<T>(bytes: number, work: (digester: Digester) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function createDigesters(): Digesters {
  const idle: Digester[] = [];
  const all: FrameHasher[] = [];
  const start = () => {
    const hasher = startHasher();
    all.push(hasher);
    return throughSlots(hasher);
  };
  return {
    async borrow(bytes, work) {
      if (bytes < LARGE) return work(createDigester());
      // More threads than there are processors only take memory.
      const digester = idle.pop() ?? (all.length < availableParallelism() ? start() : createDigester());
      try {
        return await work(digester);
      } finally {
        idle.push(digester);
      }
    },
    async close() {
      await Promise.all(all.map((hasher) => hasher.close()));
    },
  };
}

/**
 * The bytes of a file, the last of which come only when all of them are what the manifest says: who sends them on has
 * sent no whole file that is damaged.
 *
 * @param onVerified - called before the last bytes come
 * @throws TransshipError `ARCHIVE_DAMAGED`
 */
export async function* verifiedBytes(
  { file, sha1 }: KnownFile,
  digester: Digester,
  onVerified?: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined;
  let isEnded = false;
  try {
    for await (const whole of file.read()) {
      for (const piece of inSteps(whole)) {
        await digester.add(piece);
        limitYoungGeneration();
        for (const bytes of piece instanceof Uint8Array ? slicesOf(piece) : zeros(piece.zeros)) {
          if (held !== undefined) yield held;
          held = bytes;
        }
      }
    }
    isEnded = true;
    const digest = await digester.end();
    if (digest !== sha1) {
      throw damaged(`${file.path} is damaged: its SHA-1 is ${digest}, and the manifest has ${sha1 ?? 'none'}.`);
    }
    await onVerified?.();
    if (held !== undefined) yield held;
  } finally {
    // The next body begins anew.
    if (!isEnded) await digester.end().catch(() => {});
  }
}

/** Reads a file whole and compares its digest where there is one. */
export async function readSmall({ file, sha1 }: KnownFile, limit: number): Promise<Buffer> {
  if (file.size > limit) {
    throw new TransshipError('ARCHIVE_UNSUPPORTED', `${file.path} has ${file.size} bytes, more than ${limit}.`);
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of file.read()) {
    pieces.push(...(piece instanceof Uint8Array ? [piece] : zeros(piece.zeros)));
  }
  const bytes = Buffer.concat(pieces);
  const digest = createHash('sha1').update(bytes).digest('hex');
  if (sha1 !== undefined && digest !== sha1) {
    throw damaged(`${file.path} is damaged: its SHA-1 is ${digest}, and the manifest has ${sha1}.`);
  }
  return bytes;
}

/** TLS copies what it is given at once. */
function* slicesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += SENT_AT_ONCE) yield bytes.subarray(at, at + SENT_AT_ONCE);
}

function* inSteps(piece: Piece): Generator<Piece> {
  const length = lengthOf(piece);
  if (piece instanceof Uint8Array) yield piece;
  else
    for (let at = 0; at < length; at += ZEROS_AT_ONCE) yield cutPiece(piece, at, Math.min(length, at + ZEROS_AT_ONCE));
}
