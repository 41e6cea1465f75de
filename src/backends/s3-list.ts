import { cancelledBy } from '../errors.ts';
import type { StoredSnapshot } from './backend.ts';
import type { ListMultipartUploadsCommandOutput } from './lazy/s3-sdk.ts';
import type { S3Connection } from './s3-connect.ts';
import { isDeniedOrUnknown, readS3Failure, s3Error } from './s3-errors.ts';
import { addressOf, idOfKey, keysBeginWith, type S3Place } from './s3-place.ts';
import { isEncryptedName } from './selector.ts';

/** An object as a list shows it. */
export interface ListedObject {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  /** When it was last written, in milliseconds. */
  readonly changed: number;
}

/** What begins with a key. */
export interface Listing {
  readonly objects: readonly ListedObject[];
  /** The next names behind the beginning, each ending in `/`, where it was asked to stop at these. */
  readonly folders: readonly string[];
}

/**
 * Lists the objects whose keys begin with `start`.
 *
 * @param stop - `/` lists what is in a folder and not what is below it
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function listObjects(
  connection: S3Connection,
  place: S3Place,
  start: string,
  stop?: '/',
  signal?: AbortSignal,
): Promise<Listing> {
  const objects: ListedObject[] = [];
  const folders: string[] = [];
  for await (const item of walkObjects(connection, place, start, stop, signal)) {
    if (typeof item === 'string') folders.push(item);
    else objects.push(item);
  }
  return { objects, folders };
}

/** As {@link listObjects}, page by page: objects and the names of folders. */
export async function* walkObjects(
  { client, sdk, endpoint }: S3Connection,
  place: S3Place,
  start: string,
  stop?: '/',
  signal?: AbortSignal,
): AsyncGenerator<ListedObject | string> {
  const request = { Bucket: place.bucket, Prefix: start, ...(stop === undefined ? {} : { Delimiter: stop }) };
  const pages = sdk.paginateListObjectsV2({ client }, request, aborting(signal));
  for (;;) {
    const next = await pages.next().catch((error: unknown) => {
      throw signal?.aborted ? cancelledBy(signal) : s3Error(error, { place, action: 's3:ListBucket', endpoint });
    });
    if (next.done === true) return;
    for (const { Key: key = '', Size: size = 0, ETag: etag = '', LastModified } of next.value.Contents ?? []) {
      yield { key, size, etag, changed: LastModified?.getTime() ?? 0 };
    }
    for (const { Prefix = '' } of next.value.CommonPrefixes ?? []) yield Prefix.slice(start.length);
  }
}

/** Those of some objects that are archives of this place. */
export function archivesAmong(place: S3Place, objects: readonly ListedObject[]): StoredSnapshot[] {
  return objects.flatMap(({ key, size }) => {
    const id = idOfKey(place, key);
    if (id === undefined) return [];
    const location = addressOf(place, key);
    return [{ id, layout: 'archive', location, size, state: 'complete', encrypted: isEncryptedName(key) } as const];
  });
}

/** The archives whose upload was neither completed nor aborted; none where that may not be asked. */
export async function listUploads(connection: S3Connection, place: S3Place): Promise<StoredSnapshot[]> {
  const uploads = await Promise.all(keysBeginWith(place).map((start) => findUploads(connection, place, start)));
  return uploads.flat().flatMap(({ key }) => {
    const id = idOfKey(place, key);
    if (id === undefined) return [];
    const [location, encrypted] = [addressOf(place, key), isEncryptedName(key)];
    return [{ id, layout: 'archive', location, size: 0, state: 'unfinished', encrypted } as const];
  });
}

/** An upload that was neither completed nor aborted. */
export interface FoundUpload {
  readonly key: string;
  readonly uploadId: string;
  /** When it was begun, in milliseconds. */
  readonly begun: number;
}

/** The unfinished uploads of keys that begin with `start`; none where that may not be asked. */
export async function findUploads(
  { client, sdk, endpoint }: S3Connection,
  place: S3Place,
  start: string,
  signal?: AbortSignal,
): Promise<FoundUpload[]> {
  const found: FoundUpload[] = [];
  const asked = { Bucket: place.bucket, Prefix: start };
  let next: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  try {
    while (next !== undefined) {
      const request = new sdk.ListMultipartUploadsCommand({ ...asked, ...next });
      const page: ListMultipartUploadsCommandOutput = await client.send(request, aborting(signal));
      for (const { Key: key = '', UploadId: uploadId = '', Initiated } of page.Uploads ?? []) {
        found.push({ key, uploadId, begun: Initiated?.getTime() ?? 0 });
      }
      next =
        page.IsTruncated === true
          ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
          : undefined;
    }
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    // Not every service knows this request, and few credentials may send it: what is complete is known without it.
    if (!isDeniedOrUnknown(error)) throw s3Error(error, { place, action: 's3:ListBucketMultipartUploads', endpoint });
  }
  return found;
}

/**
 * What is known of an upload by its parts.
 *
 * @returns its bytes, and when the last part was written, in milliseconds; `unknown` where its parts may not be listed
 */
export async function describeUpload(
  { client, sdk, endpoint }: S3Connection,
  place: S3Place,
  { key, uploadId, begun }: FoundUpload,
  signal?: AbortSignal,
): Promise<{ readonly size: number; readonly changed: number } | 'gone' | 'unknown'> {
  const request = { Bucket: place.bucket, Key: key, UploadId: uploadId };
  let size = 0;
  let changed = begun;
  try {
    for await (const page of sdk.paginateListParts({ client }, request, aborting(signal))) {
      for (const { Size = 0, LastModified } of page.Parts ?? []) {
        size += Size;
        changed = Math.max(changed, LastModified?.getTime() ?? 0);
      }
      // The last page has a marker too, `0` where there are no parts, which the paginator would follow for ever.
      if (page.IsTruncated !== true) break;
    }
    return { size, changed };
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    if (readS3Failure(error).name === 'NoSuchUpload') return 'gone';
    if (isDeniedOrUnknown(error)) return 'unknown';
    throw s3Error(error, { place, key, action: 's3:ListMultipartUploadParts', endpoint });
  }
}

/** What makes a request end with a signal. */
export function aborting(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
