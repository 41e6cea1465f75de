import { cancelledBy } from '../errors.ts';
import type { Survey } from './backend.ts';
import { describePath, findOwner } from './place-paths.ts';
import type { S3Connection } from './s3-connect.ts';
import { s3Error } from './s3-errors.ts';
import { aborting, describeUpload, findUploads, walkObjects } from './s3-list.ts';
import { addressOf, lastNameOf, type S3Place } from './s3-place.ts';
import { type FoundFile, type OpenUpload, surveyPlace } from './survey.ts';
import { gather } from './trees.ts';

/**
 * Looks at all that is at a place.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function surveyS3(connection: S3Connection, place: S3Place, signal?: AbortSignal): Promise<Survey> {
  // First: what is written meanwhile is young.
  const now = await timeAt(connection, place, signal);
  const uploads = await findOwnUploads(connection, place, now, signal);
  const list = async function* (folder: string, stop?: '/'): AsyncGenerator<FoundFile | string> {
    const start = folder === '' ? '' : folder === '/' ? folder : `${folder}/`;
    for await (const item of walkObjects(connection, place, `${place.prefix}${start}`, stop, signal)) {
      // A name may be empty, as nothing keeps two slashes from following each other.
      if (typeof item === 'string') yield `${start}${item.slice(0, -1)}` || '/';
      else if (!isFolderMark(item)) yield { ...item, path: item.key.slice(place.prefix.length) };
    }
  };
  const found = await surveyPlace({
    storage: 'bucket',
    name: lastNameOf(place),
    uploads,
    locate: (path) => addressOf(place, `${place.prefix}${path}`),
    look: (folder) => list(folder, '/'),
    async *walk(folder) {
      for await (const item of list(folder)) if (typeof item !== 'string') yield item;
    },
  });
  return { ...found, now: new Date(now) };
}

/** Empty objects that some programs make to show a folder. */
function isFolderMark({ key, size }: { readonly key: string; readonly size: number }): boolean {
  return key.endsWith('/') && size === 0;
}

/** The service's time, in milliseconds. */
async function timeAt(
  { client, sdk, endpoint, timeOf }: S3Connection,
  place: S3Place,
  signal: AbortSignal | undefined,
): Promise<number> {
  const request = new sdk.ListObjectsV2Command({ Bucket: place.bucket, Prefix: place.prefix, MaxKeys: 1 });
  try {
    return timeOf(await client.send(request, aborting(signal)));
  } catch (error) {
    throw signal?.aborted ? cancelledBy(signal) : s3Error(error, { place, action: 's3:ListBucket', endpoint });
  }
}

/** Uploads of what Transship writes. One of which it is not known when its last part came may still be going on. */
async function findOwnUploads(
  connection: S3Connection,
  place: S3Place,
  now: number,
  signal: AbortSignal | undefined,
): Promise<OpenUpload[]> {
  const uploads = (await findUploads(connection, place, place.prefix, signal)).map((upload) => ({
    ...upload,
    path: upload.key.slice(place.prefix.length),
  }));
  const own = uploads.filter(({ path }) => {
    return describePath(path, 'bucket')?.what === 'archive' || findOwner(path, 'bucket') !== undefined;
  });
  const described = await gather(own, async (upload) => {
    const { path, uploadId } = upload;
    const known = await describeUpload(connection, place, upload, signal);
    if (known === 'gone') return [];
    return [{ path, uploadId, ...(known === 'unknown' ? { size: 0, changed: now } : known) }];
  });
  return described.flat();
}
