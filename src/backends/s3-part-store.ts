import { measure } from '../archive/measure.ts';
import type { NewPart, PartReader, PartStore, WrittenPart } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';
import { partBytes } from './part-bytes.ts';
import { formatRecord, groupName, isSamePart, partFileName, partNameOf, RECORD_SUFFIX } from './part-group.ts';
import type { S3Connection } from './s3-connect.ts';
import { type DownloadLimits, downloadObject } from './s3-download.ts';
import { beginS3Group, findRecords, isJournalKey, isLockKey, readRecord, type S3Group } from './s3-group.ts';
import { listObjects } from './s3-list.ts';
import { deleteObjects, deleteOthers, lookAt, replaceObject } from './s3-objects.ts';
import { addressOf, type S3Place } from './s3-place.ts';
import { loadChain } from './s3-segment-reader.ts';
import { type PartTarget, writeSegmented } from './s3-segment-writer.ts';
import { partKeyOf } from './s3-segments.ts';
import { uploadObject } from './s3-upload.ts';

type Stored = Pick<WrittenPart, 'size' | 'digest' | 'kept'>;

/**
 * Begins the parts of a snapshot as `<prefix>/transship-<id>.vms/…`, or goes on with those of an interrupted export.
 *
 * @param wanted - as of `Backend.beginParts`
 * @param folders - the names of those of the place
 * @param complete - the ids of the snapshots that are complete
 */
export async function beginS3Parts(
  connection: S3Connection,
  place: S3Place,
  wanted: { readonly id: string; readonly scope: string },
  known: { readonly folders: readonly string[]; readonly complete: ReadonlySet<string> },
  limits: DownloadLimits,
): Promise<PartStore> {
  const group = await beginS3Group(connection, place, wanted, known.folders, known.complete);
  const written = new Set<string>();
  let writers = 0;
  const writeAndCount = async (key: string, part: NewPart) => {
    writers += 1;
    try {
      return await writeAnew(group, key, part, { limits, countWriters: () => writers });
    } finally {
      writers -= 1;
    }
  };
  return {
    id: group.id,
    isBare: false,
    interrupted: group.isReadable ? await findSources(group) : new Map(),
    write: (part) =>
      group.claim.use(async () => {
        const file = partFileName(part);
        const key = `${group.prefix}${file}`;
        const stored = (await findWhole(group, key, part)) ?? (await writeAndCount(key, part));
        written.add(key);
        return { file: `${groupName(group.id)}/${file}`, location: addressOf(place, key), ...stored };
      }),
    async finish() {
      await group.claim.stop();
      await deleteOthers(group, written, isLockKey);
    },
    close: () => group.claim.release(),
  };
}

/** What the parts of a group were made of, by name; of one that is made anew, what that is made of. */
async function findSources(group: S3Group): Promise<Map<string, string>> {
  const { objects } = await listObjects(group.connection, group.place, group.prefix);
  const sources = new Map((await findRecords(group)).map(({ name, source }) => [name, source]));
  const begun = new Set(objects.flatMap(({ key }) => (isJournalKey(key) ? (partKeyOf(key) ?? []) : [])));
  for (const key of begun) {
    const name = partNameOf(key.slice(group.prefix.length));
    const chain = await loadChain(group, key);
    if (name !== undefined && chain !== undefined && !('problem' in chain)) sources.set(name, chain.head.source);
  }
  return sources;
}

/** A part that an interrupted export has stored whole, of the same source. */
async function findWhole(group: S3Group, key: string, part: NewPart): Promise<Stored | undefined> {
  if (!group.isReadable) return undefined;
  const record = await readRecord(group, key);
  if (record === undefined || !isSamePart(record, part)) return undefined;
  const size = await sizeOf(group, key, part.signal);
  return size === record.size ? { size, digest: record.digest, kept: size } : undefined;
}

async function writeAnew(
  group: S3Group,
  key: string,
  part: NewPart,
  shared: Pick<PartTarget, 'limits' | 'countWriters'>,
): Promise<Stored> {
  const { connection, place } = group;
  const makeRoom = async () => {
    if (!group.isReadable || (await sizeOf(group, key, part.signal)) === undefined) return;
    // At no time the record may say of one object what is true of another.
    await deleteObjects(group, [`${key}${RECORD_SUFFIX}`]);
    await deleteObjects(group, [key]);
  };
  const target: PartTarget = { connection, place, prefix: group.prefix, key, makeRoom, ...shared };
  const isSegmented = group.isReadable && part.encryptTo === undefined;
  const stored = isSegmented ? await writeSegmented(target, part) : await writeAtOnce(target, part);
  const { name, source, encryptTo } = part;
  const { size, digest } = stored;
  await replaceObject(group, `${key}${RECORD_SUFFIX}`, formatRecord({ name, source, encryptTo, size, digest }));
  return stored;
}

/** Stores what can't be gone on with. */
async function writeAtOnce({ connection, place, key, makeRoom }: PartTarget, part: NewPart): Promise<Stored> {
  const { bytes, result } = measure(partBytes(part));
  await uploadObject(connection, place, key, bytes, part.signal, makeRoom);
  return { ...result(), kept: 0 };
}

async function sizeOf(group: S3Group, key: string, signal: AbortSignal | undefined): Promise<number | undefined> {
  try {
    return (await lookAt(group, key, signal)).size;
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'SNAPSHOT_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * Opens an object to be read from anywhere, as long as it stays the same.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND`, `BACKEND`
 */
export async function openObject(
  connection: S3Connection,
  place: S3Place,
  key: string,
  limits: DownloadLimits,
  signal?: AbortSignal,
): Promise<PartReader> {
  const { size, etag } = await lookAt({ connection, place }, key, signal);
  const readFrom = (start: number, end: number) =>
    downloadObject(connection, place, key, size, signal, limits, { start, end, etag });
  return {
    size,
    async read(start, length) {
      if (length === 0) return Buffer.alloc(0);
      if (start + length > size) {
        throw new TransshipError('BACKEND', `${addressOf(place, key)} ends before byte ${start + length}.`);
      }
      const pieces: Uint8Array[] = [];
      for await (const piece of readFrom(start, start + length)) pieces.push(piece);
      return Buffer.concat(pieces, length);
    },
    bytes: () => readFrom(0, size),
    // Nothing stays open between two reads.
    close: async () => {},
  };
}
