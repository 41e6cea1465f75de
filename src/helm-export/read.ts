import type { Message } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { damaged } from '../archive/damage.ts';
import { type Entry, entryOf } from '../archive/entry.ts';
import { createPathGuard } from '../archive/paths.ts';
import { parseSnapshot, SNAPSHOT_PATH, snapshotEntry, snapshotId } from '../archive/snapshot.ts';
import type { Bytes } from '../archive/streams.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { isRecordPath } from '../releases/record-entry.ts';
import { readFields } from './fields.ts';
import { convertRelease } from './from-helm2.ts';
import { toRecordEntry } from './from-release.ts';
import { ExportSchema, type Metadata, MetadataSchema } from './generated/hapi/export_pb.ts';
import { type Release, ReleaseSchema } from './generated/hapi/release_pb.ts';
import { FileSchema } from './generated/transship/helm_export_pb.ts';
import { checkWeight } from './weight.ts';

const { metadata: METADATA, releases: RELEASES, transshipFiles: FILES } = ExportSchema.field;
const KNOWN: readonly number[] = [METADATA.number, RELEASES.number, FILES.number];

/**
 * Reads what is in a helm-export file, one release at a time: the entries that an archive of the same releases has,
 * `_snapshot.json` first. Of a file that another program wrote, they are made up as Helm 3 would have them.
 *
 * @param bytes - after gzip, which has checked them
 * @param made - when the file was made, where it does not say
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is cut, no protobuf, or would fill the memory
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a release that Helm 3 can't hold, and paths that may not be in an archive
 */
export async function* readHelmExport(bytes: Bytes, made: Date): AsyncGenerator<Entry> {
  const guard = createPathGuard();
  let isFirst = true;
  for await (const field of readFields(bytes, (number) => KNOWN.includes(number))) {
    const isMetadata = field.number === METADATA.number;
    if (isFirst) {
      const metadata = isMetadata ? decode(MetadataSchema, field.bytes) : undefined;
      yield readSnapshot(metadata, made);
      guard(SNAPSHOT_PATH);
      isFirst = false;
    } else if (isMetadata) {
      throw damaged('The helm-export file has its metadata twice, or not first.');
    }
    if (isMetadata) continue;
    const entry =
      field.number === FILES.number ? readFile(field.bytes) : readRelease(decode(ReleaseSchema, field.bytes));
    guard(entry.path);
    yield entry;
  }
  if (isFirst) throw damaged('The helm-export file is empty.');
}

function readSnapshot(metadata: Metadata | undefined, made: Date): Entry {
  const own = metadata?.transshipSnapshot ?? new Uint8Array();
  if (own.byteLength > 0) {
    parseSnapshot(own);
    return entryOf(SNAPSHOT_PATH, own);
  }
  const seconds = Number(metadata?.createdAt?.seconds ?? 0);
  // What has no time, or none that an id can have, is as old as its file.
  const created = seconds > FIRST_SECOND && seconds < END_SECOND ? new Date(seconds * 1000) : made;
  const version = metadata?.tillerVersion || 'unknown';
  return snapshotEntry({
    id: snapshotId(created),
    created,
    tool: { name: 'helm', version },
    cluster: { version: 'unknown', context: 'unknown' },
    scope: { namespaces: ['*'], include: ['releases'], history: 'all' },
  });
}

/** The years 2000 to 2099. */
const FIRST_SECOND = 946_684_800;
const END_SECOND = 4_102_444_800;

function readRelease(release: Release): Entry {
  const { transshipRecord: record } = release;
  return record === undefined ? convertRelease(release) : toRecordEntry(release, record);
}

function readFile(bytes: Uint8Array): Entry {
  const { path, content } = decode(FileSchema, bytes);
  if (isRecordPath(path)) throw damaged(`The helm-export file has ${path} beside its releases.`);
  return entryOf(path, content);
}

function decode<T extends Message>(schema: GenMessage<T>, bytes: Uint8Array): T {
  try {
    checkWeight(schema, bytes);
    return fromBinary(schema, bytes);
  } catch (error) {
    if (error instanceof TransshipError) throw error;
    throw damaged(`The helm-export file is no protobuf of the kind: ${schema.typeName}: ${messageOf(error)}.`, error);
  }
}
