import { cancelledBy, TransshipError } from '../errors.ts';
import { forEachOf } from '../streams.ts';
import type { S3Connection } from './s3-connect.ts';
import { isDeniedOrUnknown, s3Error } from './s3-errors.ts';
import { findUploads, listObjects } from './s3-list.ts';
import type { S3Place } from './s3-place.ts';
import { putObject } from './s3-upload.ts';

const DELETES_AT_ONCE = 16;

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
  { connection: { client, sdk, endpoint }, place }: S3Target,
  keys: readonly string[],
): Promise<void> {
  await forEachOf(keys, DELETES_AT_ONCE, async (key) => {
    try {
      await client.send(new sdk.DeleteObjectCommand({ Bucket: place.bucket, Key: key }));
    } catch (error) {
      throw s3Error(error, { place, key, action: 's3:DeleteObject', endpoint });
    }
  });
}

/** Deletes all below the prefix but what is kept, what is to go last at the end; and uploads that were never ended. */
export async function deleteOthers(
  target: S3Target,
  keep: ReadonlySet<string>,
  isLast: (key: string) => boolean,
): Promise<void> {
  const { connection, place, prefix } = target;
  const { client, sdk } = connection;
  try {
    const { objects } = await listObjects(connection, place, prefix);
    const keys = objects.map(({ key }) => key).filter((key) => !keep.has(key));
    const uploads = await findUploads(connection, place, prefix);
    await forEachOf(uploads, DELETES_AT_ONCE, async ({ key, uploadId }) => {
      const request = { Bucket: place.bucket, Key: key, UploadId: uploadId };
      await client.send(new sdk.AbortMultipartUploadCommand(request)).catch((error: unknown) => {
        throw s3Error(error, { place, key, action: 's3:AbortMultipartUpload', endpoint: connection.endpoint });
      });
    });
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

/** What makes a request end with a signal. */
export function aborting(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
