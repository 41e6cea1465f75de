import { createHash } from 'node:crypto';
import { type Compression, compress } from './compression.ts';
import { digestEntries } from './digest-entries.ts';
import { encrypt } from './encryption.ts';
import type { Entry } from './entry.ts';
import { addManifest } from './manifest.ts';
import type { Bytes } from './streams.ts';
import { packTar, tarSpan } from './tar.ts';

/** How an archive is written. */
export interface WriteOptions {
  readonly compression: Compression;
  /** The time of every file in it: given, so that the same entries make the same archive. */
  readonly mtime: Date;
  /** age's public keys, to which the compressed bytes are encrypted; not at all when left out. */
  readonly encryptTo?: readonly string[] | undefined;
  /** False for an archive that has a `manifest` only, as KubeVirt's VM archives do. */
  readonly index?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What an archive came to. */
export interface ArchiveSummary {
  /** Bytes as stored. */
  readonly size: number;
  /** `sha256:<hex>` of the stored bytes. */
  readonly digest: string;
  /** How many files were given, and their bytes; folders and links, the index and the manifest are not counted. */
  readonly files: number;
  readonly bytes: number;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
}

/** An archive under way. */
export interface ArchiveWriting {
  /** The stored bytes; read once. */
  readonly bytes: Bytes;
  /** What it came to; there only after the last byte. */
  summary(): ArchiveSummary;
}

/**
 * Writes entries as an archive and adds `_index.json` and `manifest`. Nothing is read before `bytes` is; memory stays
 * flat but for some 200 bytes a file. Whoever reads first gets the order of the entries: `_snapshot.json` should lead.
 *
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` naming a recipient that is none
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a path that may not be in an archive, is there twice, or is one of
 *   those that are added; and for xz where it can't be written
 * @throws TransshipError `ARCHIVE_DAMAGED` for a body that yields fewer or more bytes than its entry's size
 */
export function writeArchive(entries: AsyncIterable<Entry>, options: WriteOptions): ArchiveWriting {
  const { compression, mtime, encryptTo, index = true, signal } = options;
  const totals = { files: 0, bytes: 0, tarSize: 0 };
  let summary: ArchiveSummary | undefined;

  async function* stored(): AsyncGenerator<Uint8Array> {
    const listed = index ? digestEntries(entries, totals, tarSpan) : addManifest(entries, totals);
    const tar = measure(packTar(listed, { mtime, signal }), totals);
    const sha256 = createHash('sha256');
    let size = 0;
    const compressed = compress(tar, compression, signal);
    for await (const piece of encryptTo === undefined ? compressed : encrypt(compressed, encryptTo)) {
      sha256.update(piece);
      size += piece.byteLength;
      yield piece;
    }
    summary = { size, digest: `sha256:${sha256.digest('hex')}`, ...totals };
  }

  return {
    bytes: stored(),
    summary: () => {
      if (summary === undefined) throw new Error('An archive has no summary before its last byte.');
      return summary;
    },
  };
}

async function* measure(tar: Bytes, totals: { tarSize: number }): AsyncGenerator<Uint8Array> {
  for await (const piece of tar) {
    totals.tarSize += piece.byteLength;
    yield piece;
  }
}
