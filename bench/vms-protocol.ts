/** A disk that is served. */
export interface ServedDisk {
  /** Its claim, as it is in the path. */
  readonly claim: string;
  /** Bytes. */
  readonly size: number;
  /** What it holds; a disk without is all zeros. */
  readonly file?: string;
  /** Where the file's bytes are in it, one run after the other. Absent: from its start. */
  readonly places?: readonly { readonly at: number; readonly length: number }[];
}

/** What the parent says to the server; each is answered. */
export type ServerOrder =
  | { readonly start: { readonly cert: string; readonly key: string; readonly disks: readonly ServedDisk[] } }
  /** Resets the connection at these bytes of a disk, each once. */
  | { readonly cuts: { readonly claim: string; readonly at: readonly number[] } }
  /** Whether uploads are digested, which takes time of its own. */
  | { readonly digest: boolean }
  /** Asks for the counts since the last time. */
  | { readonly count: true };

/** What was sent and received since the counts were asked for the last time. */
export interface ServerCounts {
  /** Bytes of disks, handed to connections. */
  readonly sent: number;
  /** Resets that were ordered and have happened. */
  readonly cuts: number;
  readonly uploads: readonly Upload[];
  /** When a disk was asked for first, in milliseconds since 1970; absent where none was. */
  readonly firstRead?: number | undefined;
}

export interface Upload {
  readonly bytes: number;
  readonly sha256: string | undefined;
  /** From the head of its request to its last byte. */
  readonly milliseconds: number;
}

/** What the server says: an answer to an order; or, by itself, that an upload with this token is whole. */
export type ServerMessage =
  | { readonly port: number }
  | { readonly done: true }
  | { readonly counts: ServerCounts }
  | { readonly uploaded: { readonly token: string } };
