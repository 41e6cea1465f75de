import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { Bytes } from './backend.ts';
import { waitUnlessAborted } from './bytes.ts';
import type { S3Connection } from './s3-connect.ts';
import { readS3Failure, type S3Attempt, s3Error } from './s3-errors.ts';
import { addressOf, type S3Place } from './s3-place.ts';

/** When a download gives up; shorter in tests. */
export interface DownloadLimits {
  /** A connection that brings nothing for so long, while somebody waits for it, is broken. */
  readonly stallMilliseconds: number;
  /** How often in a row a connection may break without having brought a byte. */
  readonly attempts: number;
  /** The first gap before trying again; it doubles. */
  readonly gapMilliseconds: number;
}

export const downloadLimits: DownloadLimits = { stallMilliseconds: 60_000, attempts: 6, gapMilliseconds: 500 };

/** Which bytes of an object. */
export interface ObjectRange {
  readonly start: number;
  readonly end: number;
  /** The object must still be this one. */
  readonly etag?: string | undefined;
}

interface Download {
  readonly connection: S3Connection;
  readonly attempt: S3Attempt & { readonly key: string };
  readonly size: number;
  readonly range: ObjectRange;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads an object from the start to its end. A connection that breaks or brings nothing is taken up again where it
 * broke, and only while the object is still the same.
 *
 * @param size - the bytes the object must have
 * @param range - all of it when left out
 * @throws TransshipError `BACKEND` when the object changes, or when the connection breaks too often
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when there is no such object
 */
export async function* downloadObject(
  connection: S3Connection,
  place: S3Place,
  key: string,
  size: number,
  signal?: AbortSignal,
  limits: DownloadLimits = downloadLimits,
  range: ObjectRange = { start: 0, end: size },
): Bytes {
  const { start, end } = range;
  const attempt = { place, key, action: 's3:GetObject', endpoint: connection.endpoint } as const;
  const download: Download = { connection, attempt, size, range, signal };
  let offset = start;
  let { etag } = range;
  let failures = 0;
  for (;;) {
    let broken: unknown;
    try {
      const answer = await requestFrom(download, offset, etag);
      etag ??= answer.etag;
      for await (const chunk of untilStalled(answer.body, limits.stallMilliseconds, signal)) {
        offset += chunk.byteLength;
        if (offset > end) throw changed(attempt, `it has more than ${size} bytes`);
        failures = 0;
        yield chunk;
      }
      if (offset === end) return;
      broken = new Error('the connection ended too early');
    } catch (error) {
      if (signal?.aborted) throw cancelledBy(signal);
      if (error instanceof TransshipError) throw error;
      broken = error;
    }
    failures += 1;
    if (failures >= limits.attempts) throw gaveUp(attempt, offset, size, broken);
    await waitUnlessAborted(delay(limits.gapMilliseconds * 2 ** (failures - 1)), signal);
  }
}

/**
 * Reads a small object whole; undefined when there is none.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function readSmallObject(
  { client, sdk, sse, endpoint }: S3Connection,
  place: S3Place,
  key: string,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  const request = new sdk.GetObjectCommand({ Bucket: place.bucket, Key: key, ...sse.touching });
  try {
    const { Body } = await client.send(request, signal === undefined ? {} : { abortSignal: signal });
    return Body === undefined ? Buffer.alloc(0) : Buffer.from(await Body.transformToByteArray());
  } catch (error) {
    if (readS3Failure(error).name === 'NoSuchKey') return undefined;
    throw signal?.aborted ? cancelledBy(signal) : s3Error(error, { place, key, action: 's3:GetObject', endpoint });
  }
}

/** Asks for the object from `offset` on. Throws what is not worth another try as a TransshipError. */
async function requestFrom(
  { connection: { client, sdk, sse }, attempt, size, range: { start, end }, signal }: Download,
  offset: number,
  etag: string | undefined,
): Promise<{ body: Readable; etag: string | undefined }> {
  const request = new sdk.GetObjectCommand({
    Bucket: attempt.place.bucket,
    Key: attempt.key,
    ...sse.touching,
    ...(offset === 0 && end === size ? {} : { Range: `bytes=${offset}-${end === size ? '' : end - 1}` }),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  });
  try {
    const answer = await client.send(request, signal === undefined ? {} : { abortSignal: signal });
    const body: unknown = answer.Body;
    if (!(body instanceof Readable)) throw new Error('the answer has no body');
    const fault = findFault(answer, offset, end, size);
    if (fault === undefined) return { body, etag: answer.ETag };
    body.destroy();
    throw changed(attempt, fault);
  } catch (error) {
    const { status } = readS3Failure(error);
    if (status === 412) throw changed(attempt, 'it was replaced', error);
    // The library has tried several times already: only a download that had begun is worth more.
    if (offset > start && (status === 0 || status >= 500)) throw error;
    throw signal?.aborted ? cancelledBy(signal) : s3Error(error, attempt);
  }
}

function findFault(
  answer: { readonly ContentLength?: number | undefined; readonly ContentRange?: string | undefined },
  offset: number,
  end: number,
  size: number,
): string | undefined {
  const isPart = offset > 0 || end < size;
  if (isPart && !answer.ContentRange?.startsWith(`bytes ${offset}-`)) return 'the service did not resume it';
  const total = offset + (answer.ContentLength ?? end - offset);
  return total === end ? undefined : `it has ${total} bytes instead of ${size}`;
}

/** Breaks a stream off when nothing comes while somebody waits; a reader that takes its time is no stall. */
async function* untilStalled(body: Readable, milliseconds: number, signal: AbortSignal | undefined): Bytes {
  let waiting = true;
  const timer = setTimeout(() => {
    if (waiting) body.destroy(new Error(`nothing came for ${milliseconds / 1000} s`));
    else timer.refresh();
  }, milliseconds);
  const onAbort = () => body.destroy();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const chunk of body) {
      waiting = false;
      yield chunk;
      waiting = true;
      timer.refresh();
    }
    if (signal?.aborted) throw cancelledBy(signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    body.destroy();
  }
}

function changed({ place, key }: S3Attempt & { readonly key: string }, what: string, cause?: unknown): TransshipError {
  return new TransshipError('BACKEND', `${addressOf(place, key)} cannot be read as it was found: ${what}.`, {
    hint: 'Find out what writes there, and run again.',
    cause,
  });
}

function gaveUp(
  { place, key }: S3Attempt & { readonly key: string },
  offset: number,
  size: number,
  cause: unknown,
): TransshipError {
  return new TransshipError(
    'BACKEND',
    `${addressOf(place, key)}: the download broke at byte ${offset} of ${size} again and again: ${messageOf(cause)}.`,
    { hint: 'Check the network to the service, then run again.', cause },
  );
}
