import { isUtf8 } from 'node:buffer';
import { create, toBinary } from '@bufbuild/protobuf';
import { encrypt } from '../archive/encryption.ts';
import { type Entry, readBody } from '../archive/entry.ts';
import { compressGzip } from '../archive/gzip.ts';
import { type Measured, measure } from '../archive/measure.ts';
import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { abortable, type Bytes, coalesce } from '../archive/streams.ts';
import { isRecordPath, MAX_ENTRY_BYTES, splitRecordFile } from '../releases/record-entry.ts';
import { fieldBytes } from './fields.ts';
import { ExportSchema, MetadataSchema } from './generated/hapi/export_pb.ts';
import { ReleaseSchema } from './generated/hapi/release_pb.ts';
import { FileSchema } from './generated/transship/helm_export_pb.ts';
import { toTimestamp } from './times.ts';
import { toRelease } from './to-release.ts';

/** How a helm-export file is written. */
export interface WriteOptions {
  /** age's public keys, to which the file is encrypted; not at all when left out. */
  readonly encryptTo?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A helm-export file under way. */
export interface HelmExportWriting {
  /** The stored bytes; read once. */
  readonly bytes: Bytes;
  /** What it came to; there only after the last byte. */
  summary(): Measured;
}

/** What goes to gzip at once. */
const PIECE_BYTES = 256 * 1024;

/**
 * Writes the entries of a snapshot as `helm-releases-<id>.gz`: records as releases, all others as they are. Only one is
 * in memory at a time. The same entries make the same file, unless it is encrypted.
 *
 * @param entries - `_snapshot.json` first
 * @throws TransshipError `CANCELLED` when the signal fires
 * @throws TransshipError `INPUT` naming a recipient that is none
 * @throws TransshipError `RECORD_INVALID` for a record whose payload is no JSON
 */
export function writeHelmExport(
  entries: AsyncIterable<Entry>,
  { encryptTo, signal }: WriteOptions = {},
): HelmExportWriting {
  const compressed = compressGzip(coalesce(writeMessage(abortable(entries, signal)), PIECE_BYTES));
  const { bytes, result } = measure(encryptTo === undefined ? compressed : encrypt(compressed, encryptTo));
  return { bytes, summary: result };
}

async function* writeMessage(entries: AsyncIterable<Entry>): AsyncGenerator<Uint8Array> {
  const { metadata, releases, transshipFiles } = ExportSchema.field;
  let isFirst = true;
  for await (const entry of entries) {
    const bytes = await readBody(entry, MAX_ENTRY_BYTES);
    if (isFirst !== (entry.path === SNAPSHOT_PATH)) throw new Error(`A snapshot starts with ${SNAPSHOT_PATH}.`);
    if (isFirst) yield* fieldBytes(metadata.number, writeMetadata(bytes));
    else if (isRecordPath(entry.path)) yield* fieldBytes(releases.number, writeRecord(entry.path, bytes));
    else {
      const file = create(FileSchema, { path: entry.path, content: bytes });
      yield* fieldBytes(transshipFiles.number, toBinary(FileSchema, file));
    }
    isFirst = false;
  }
}

function writeMetadata(snapshot: Buffer): Uint8Array {
  const { created, tool } = parseSnapshot(snapshot);
  const metadata = create(MetadataSchema, {
    tillerVersion: `${tool.name}/${tool.version}`,
    transshipSnapshot: snapshot,
  });
  const createdAt = toTimestamp(created.toISOString());
  if (createdAt !== undefined) metadata.createdAt = createdAt;
  return toBinary(MetadataSchema, metadata);
}

function writeRecord(path: string, bytes: Buffer): Uint8Array {
  const file = isUtf8(bytes) ? splitRecordFile(bytes.toString('utf8')) : undefined;
  if (file === undefined) throw new Error(`${path} is no release record.`);
  const release = toRelease({ path, head: Buffer.from(file.head, 'utf8'), json: file.json });
  return toBinary(ReleaseSchema, release);
}
