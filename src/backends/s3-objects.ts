import { cancelledBy, TransshipError } from '../errors.ts';
import { forEachOf } from '../streams.ts';
import type { S3Connection } from './s3-connect.ts';
import { isDeniedOrUnknown, readS3Failure, s3Error } from './s3-errors.ts';
import { aborting, findUploads, listObjects } from './s3-list.ts';
import type { S3Place } from './s3-place.ts';
import { putObject } from './s3-upload.ts';

export { aborting };

const DELETES_AT_ONCE = 16;
/** The most that one request deletes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html */
const KEYS_AT_ONCE = 1000;

/** What every request about the parts of a snapshot needs. */
export interface S3Target {
  readonly connection: S3Connection;
  readonly place: S3Place;
  /** What the keys begin with; ends in `/`. */
  readonly prefix: string;
}

/** What is known of an object without reading it. */
export interface ObjectFacts {
  readonly size: number;
  readonly etag: string | undefined;
}

/**
 * Looks at an object.
 *
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there is none
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function lookAt(
  { connection: { client, sdk, sse, endpoint }, place }: Pick<S3Target, 'connection' | 'place'>,
  key: string,
  signal?: AbortSignal,
): Promise<ObjectFacts> {
  const request = new sdk.HeadObjectCommand({ Bucket: place.bucket, Key: key, ...sse.touching });
  try {
    const { ContentLength: size = 0, ETag: etag } = await client.send(request, aborting(signal));
    return { size, etag };
  } catch (error) {
    throw signal?.aborted ? cancelledBy(signal) : s3Error(error, { place, key, action: 's3:GetObject', endpoint });
  }
}

/** Puts an object where there is none; false when there is one. */
export async function createObject({ connection, place }: S3Target, key: string, text: string): Promise<boolean> {
  try {
    await putObject(connection, place, key, Buffer.from(text));
    return true;
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'SNAPSHOT_EXISTS') return false;
    throw error;
  }
}

/** Puts an object, also in the place of another. */
export async function replaceObject(
  { connection: { client, sdk, sse, endpoint }, place }: S3Target,
  key: string,
  text: string,
): Promise<void> {
  const request = new sdk.PutObjectCommand({ Bucket: place.bucket, Key: key, ...sse.making, Body: text });
  try {
    await client.send(request);
  } catch (error) {
    throw s3Error(error, { place, key, action: 's3:PutObject', endpoint });
  }
}

/** Deletes objects, several at once; one that is not there is no error. */
export async function deleteObjects(
  { connection: { client, sdk, endpoint }, place }: Pick<S3Target, 'connection' | 'place'>,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  await forEachOf(keys, DELETES_AT_ONCE, async (key) => {
    try {
      await client.send(new sdk.DeleteObjectCommand({ Bucket: place.bucket, Key: key }), aborting(signal));
    } catch (error) {
      if (signal?.aborted) throw cancelledBy(signal);
      // S3 itself does not tell.
      if (['NoSuchKey', 'NotFound'].includes(readS3Failure(error).name)) return;
      throw s3Error(error, { place, key, action: 's3:DeleteObject', endpoint });
    }
  });
}

/** Deletes many objects by few requests, where the service knows such; one that is not there is no error. */
export async function deleteManyObjects(
  target: Pick<S3Target, 'connection' | 'place'>,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  let isKnown = true;
  for (let start = 0; start < keys.length; start += KEYS_AT_ONCE) {
    const batch = keys.slice(start, start + KEYS_AT_ONCE);
    const refused: readonly string[] | undefined = isKnown ? await deleteBatch(target, batch, signal) : undefined;
    isKnown = refused !== undefined;
    // One by one, each is tried again, and an error names what it is about.
    await deleteObjects(target, refused ?? batch, signal);
  }
}

/** @returns the keys that were not deleted; undefined when the service refuses the request as such */
async function deleteBatch(
  { connection: { client, sdk, endpoint }, place }: Pick<S3Target, 'connection' | 'place'>,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string[] | undefined> {
  const Delete = { Objects: keys.map((Key) => ({ Key })), Quiet: true };
  try {
    const request = new sdk.DeleteObjectsCommand({ Bucket: place.bucket, Delete });
    const { Errors = [] } = await client.send(request, aborting(signal));
    return Errors.flatMap(({ Key }) => Key ?? []);
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    const { status } = readS3Failure(error);
    if ((status >= 400 && status < 500) || status === 501) return undefined;
    throw s3Error(error, { place, key: keys[0], action: 's3:DeleteObject', endpoint });
  }
}

/** Gives up an upload; one that is no more is no error. */
export async function abortUpload(
  { connection: { client, sdk, endpoint }, place }: Pick<S3Target, 'connection' | 'place'>,
  { key, uploadId }: { readonly key: string; readonly uploadId: string },
  signal?: AbortSignal,
): Promise<void> {
  const request = new sdk.AbortMultipartUploadCommand({ Bucket: place.bucket, Key: key, UploadId: uploadId });
  try {
    await client.send(request, aborting(signal));
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    if (['NoSuchUpload', 'NotFound'].includes(readS3Failure(error).name)) return;
    throw s3Error(error, { place, key, action: 's3:AbortMultipartUpload', endpoint });
  }
}

/** Deletes all below the prefix but what is kept, what is to go last at the end; and uploads that were never ended. */
export async function deleteOthers(
  target: S3Target,
  keep: ReadonlySet<string>,
  isLast: (key: string) => boolean,
): Promise<void> {
  const { connection, place, prefix } = target;
  try {
    const { objects } = await listObjects(connection, place, prefix);
    const keys = objects.map(({ key }) => key).filter((key) => !keep.has(key));
    const uploads = await findUploads(connection, place, prefix);
    await forEachOf(uploads, DELETES_AT_ONCE, (upload) => abortUpload(target, upload));
    await deleteObjects(
      target,
      keys.filter((key) => !isLast(key)),
    );
    await deleteObjects(target, keys.filter(isLast));
  } catch (error) {
    // Credentials that may not delete are good practice. What stays is in nobody's way, as the snapshot is complete.
    if (!isDenied(error)) throw error;
  }
}

/** Whether the cause of an error is that a right is missing. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && isDeniedOrUnknown(error.cause);
}
