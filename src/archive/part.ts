import type { RandomAccess } from './frame-reader.ts';
import type { FramedEntry } from './frames.ts';

/** Compressions of an archive that is a part. */
export const partCompressions = ['xz', 'zstd', 'gzip', 'none'] as const;
export type PartCompression = (typeof partCompressions)[number];

/** An archive that belongs to a snapshot and is kept beside its own: a virtual machine's. */
export interface NewPart {
  /** What its file is called, without the ending: `shop.db`; of letters, digits, `-`, `_` and `.`. */
  readonly name: string;
  readonly compression: PartCompression;
  /** Of the files in it that have no time of their own. */
  readonly mtime: Date;
  /**
   * What is exported and as it is now: only while this is the same as that of an interrupted export can that be gone on with.
   */
  readonly source: string;
  /** age recipients; what is encrypted can't be gone on with. */
  readonly encryptTo?: readonly string[] | undefined;
  /** Called once more when what was stored turns out to be of other files. */
  readonly entries: () => AsyncIterable<FramedEntry>;
  /** Told why what was stored is thrown away, as a sentence. */
  readonly onRestart?: ((why: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A part as it is stored. */
export interface WrittenPart {
  /** Names it within its snapshot, to {@link PartReader}: `transship-26-01-31_12-00-00.vms/shop.db.tar.xz`. */
  readonly file: string;
  /** Where it is, as a user would type it. */
  readonly location: string;
  /** Bytes as stored. */
  readonly size: number;
  /** `sha256:<hex>` of the stored bytes. */
  readonly digest: string;
  /** Stored bytes that an interrupted export had left. */
  readonly kept: number;
}

/** Where the parts of one snapshot are written. */
export interface PartStore {
  /** Of the snapshot: the one that was asked for, or that of an interrupted export, which is gone on with. */
  readonly id: string;
  /** By name of the part, {@link NewPart.source} of what an interrupted export of the same scope has left; else empty. */
  readonly interrupted: ReadonlyMap<string, string>;
  /** The path is one file: there can be but one part, it is that file, and there is no snapshot around it. */
  readonly isBare: boolean;
  /**
   * Stores a part under its final name, once its last byte is in place. Whatever fails, what is stored stays for the next
   * export to go on with. A part that an interrupted export of the same source has stored whole is kept as it is.
   *
   * @throws TransshipError `BACKEND` when the storage refuses or fails
   */
  write(part: NewPart): Promise<WrittenPart>;
  /** To be called when the snapshot is in place: removes what only served to go on. */
  finish(): Promise<void>;
  /** To be called instead when it will not be: what is stored stays, and any other export may go on with it. */
  close(): Promise<void>;
}

/** A part that is being read. */
export interface PartReader extends RandomAccess {
  /** All of it from the start; a connection that breaks is resumed. */
  bytes(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
