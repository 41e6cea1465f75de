import type { StoredSnapshot } from './backend.ts';
import type { ListMultipartUploadsCommandOutput } from './lazy/s3-sdk.ts';
import type { S3Connection } from './s3-connect.ts';
import { isDeniedOrUnknown, s3Error } from './s3-errors.ts';
import { addressOf, idOfKey, keysBeginWith, type S3Place } from './s3-place.ts';
import { isEncryptedName } from './selector.ts';

/** An object as a list shows it. */
export interface ListedObject {
  readonly key: string;
  readonly size: number;
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
 * @throws TransshipError `BACKEND`
 */
export async function listObjects(
  { client, sdk, endpoint }: S3Connection,
  place: S3Place,
  start: string,
  stop?: '/',
): Promise<Listing> {
  const request = { Bucket: place.bucket, Prefix: start, ...(stop === undefined ? {} : { Delimiter: stop }) };
  const objects: ListedObject[] = [];
  const folders: string[] = [];
  try {
    for await (const page of sdk.paginateListObjectsV2({ client }, request)) {
      for (const { Key: key = '', Size: size = 0, LastModified } of page.Contents ?? []) {
        objects.push({ key, size, changed: LastModified?.getTime() ?? 0 });
      }
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) folders.push(Prefix.slice(start.length));
    }
  } catch (error) {
    throw s3Error(error, { place, action: 's3:ListBucket', endpoint });
  }
  return { objects, folders };
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
  const uploads = await findUploads(connection, place, keysBeginWith(place));
  return uploads.flatMap(({ key }) => {
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
}

/** The unfinished uploads of keys that begin with `start`; none where that may not be asked. */
export async function findUploads(
  { client, sdk, endpoint }: S3Connection,
  place: S3Place,
  start: string,
): Promise<FoundUpload[]> {
  const found: FoundUpload[] = [];
  const asked = { Bucket: place.bucket, Prefix: start };
  let next: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  try {
    while (next !== undefined) {
      const request = new sdk.ListMultipartUploadsCommand({ ...asked, ...next });
      const page: ListMultipartUploadsCommandOutput = await client.send(request);
      for (const { Key: key = '', UploadId: uploadId = '' } of page.Uploads ?? []) found.push({ key, uploadId });
      next =
        page.IsTruncated === true
          ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
          : undefined;
    }
  } catch (error) {
    // Not every service knows this request, and few credentials may send it: what is complete is known without it.
    if (!isDeniedOrUnknown(error)) throw s3Error(error, { place, action: 's3:ListBucketMultipartUploads', endpoint });
  }
  return found;
}
