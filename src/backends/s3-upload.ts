import { randomUUID } from 'node:crypto';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Bytes } from './backend.ts';
import { untilAborted } from './bytes.ts';
import type { CompletedPart } from './lazy/s3-sdk.ts';
import type { S3Connection } from './s3-connect.ts';
import { readS3Failure, type S3Attempt, s3Error } from './s3-errors.ts';
import { createPartMemory, type PartMemory, partsInFlight, SMALLEST_PART, splitIntoParts } from './s3-parts.ts';
import { addressOf, type S3Place } from './s3-place.ts';
import { snapshotExists } from './selector.ts';

/** The metadata by which an upload knows its own object again. */
const MARK = 'transship-upload';

/** The object that is to be. */
export interface UploadTarget {
  readonly connection: S3Connection;
  readonly attempt: S3Attempt & { readonly key: string };
  readonly object: { readonly Bucket: string; readonly Key: string };
  readonly mark: string;
}

/**
 * Stores a stream of unknown length as one object, never over an existing one. It becomes visible with the last request
 * and not before; when anything fails, what was sent is thrown away again. The last request is not given up when
 * `signal` fires during it: it takes moments, and afterwards nobody could say whether it was carried out.
 *
 * @param beforeLast - what is done just before the last request: makes room for it, where there may be an object
 * @returns the number of bytes stored
 * @throws TransshipError `SNAPSHOT_EXISTS`, `CANCELLED`, `BACKEND`; an error of `bytes` itself is rethrown as it is
 */
export async function uploadObject(
  connection: S3Connection,
  place: S3Place,
  key: string,
  bytes: Bytes,
  signal?: AbortSignal,
  beforeLast: () => Promise<void> = async () => {},
): Promise<number> {
  const target = createTarget(connection, place, key);
  const stop = new AbortController();
  const whenStopped = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const memory = createPartMemory();
  const parts = splitIntoParts(untilAborted(bytes, whenStopped), memory)[Symbol.asyncIterator]();
  try {
    const first = await parts.next();
    if (signal?.aborted) throw cancelledBy(signal);
    if (first.done === true) return 0;
    if (first.value.byteLength < SMALLEST_PART) {
      await beforeLast();
      await putWhole(target, first.value);
      return first.value.byteLength;
    }
    const source = { first: first.value, rest: parts, memory, beforeLast };
    return await uploadInParts(target, source, { stop, whenStopped, signal });
  } finally {
    await parts.return?.();
  }
}

/**
 * Stores bytes as one object by one request, never over an existing one.
 *
 * @param signal - ends also the request itself; whether it was carried out is not known then
 * @returns its ETag; undefined when the answer with it was lost
 * @throws TransshipError `SNAPSHOT_EXISTS`, `CANCELLED`, `BACKEND`
 */
export async function putObject(
  connection: S3Connection,
  place: S3Place,
  key: string,
  body: Uint8Array,
  signal?: AbortSignal,
): Promise<string | undefined> {
  return putWhole(createTarget(connection, place, key), body, signal);
}

/** What an upload is about; its mark is its own. */
export function createTarget(connection: S3Connection, place: S3Place, key: string): UploadTarget {
  return {
    connection,
    attempt: { place, key, action: 's3:PutObject', endpoint: connection.endpoint },
    object: { Bucket: place.bucket, Key: key },
    mark: randomUUID(),
  };
}

async function putWhole(target: UploadTarget, body: Uint8Array, signal?: AbortSignal): Promise<string | undefined> {
  const { client, sdk } = target.connection;
  const request = new sdk.PutObjectCommand({
    ...target.object,
    ...target.connection.sse.making,
    Body: body,
    Metadata: { [MARK]: target.mark },
    IfNoneMatch: '*',
  });
  let etag: string | undefined;
  const send = async () => {
    ({ ETag: etag } = await client.send(request, signal === undefined ? {} : { abortSignal: signal }));
  };
  await commit(target, send, signal);
  return etag;
}

interface Source {
  readonly first: Buffer;
  readonly rest: AsyncIterator<Buffer>;
  readonly memory: PartMemory;
  readonly beforeLast: () => Promise<void>;
}

interface Stopping {
  readonly stop: AbortController;
  /** Fires when `stop` or the caller's signal does. */
  readonly whenStopped: AbortSignal;
  readonly signal: AbortSignal | undefined;
}

async function uploadInParts(target: UploadTarget, source: Source, stopping: Stopping): Promise<number> {
  const { client, sdk } = target.connection;
  const uploadId = await startUpload(target);
  const upload = { ...target.object, UploadId: uploadId };
  try {
    const { parts, size } = await sendParts(target, uploadId, source, stopping);
    await source.beforeLast();
    await completeUpload(target, uploadId, parts);
    return size;
  } catch (error) {
    // When even this fails, the upload stays, and `list` names it unfinished; the first error is the one to tell.
    await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

/** Begins an upload in parts. */
export async function startUpload({
  connection: { client, sdk, sse },
  object,
  mark,
  attempt,
}: UploadTarget): Promise<string> {
  // The library adds a CRC32 to each part unless AWS_REQUEST_CHECKSUM_CALCULATION says otherwise, but announces it only
  // in lib-storage; a service keeps the checksums of the parts only when they were announced.
  const sums = (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED';
  const announced = sums ? { ChecksumAlgorithm: 'CRC32' as const } : {};
  const request = { ...object, ...sse.making, Metadata: { [MARK]: mark }, ...announced };
  try {
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(request));
    if (UploadId !== undefined) return UploadId;
  } catch (error) {
    throw s3Error(error, attempt);
  }
  throw new TransshipError('BACKEND', `${addressOf(attempt.place, attempt.key)}: the service gave the upload no id.`);
}

/** Ends an upload in parts: the object can be seen. */
export async function completeUpload(target: UploadTarget, uploadId: string, parts: CompletedPart[]): Promise<void> {
  const { client, sdk, sse } = target.connection;
  const request = new sdk.CompleteMultipartUploadCommand({
    ...target.object,
    ...sse.touching,
    UploadId: uploadId,
    MultipartUpload: { Parts: parts },
    IfNoneMatch: '*',
  });
  await commit(target, () => client.send(request));
}

/** Sends the parts, some at a time. After the first one that fails for good, nothing more is read or sent. */
async function sendParts(
  { connection: { client, sdk, sse }, object, attempt }: UploadTarget,
  uploadId: string,
  { first, rest, memory }: Source,
  { stop, whenStopped, signal }: Stopping,
): Promise<{ parts: CompletedPart[]; size: number }> {
  const parts: CompletedPart[] = [];
  const sending = new Set<Promise<void>>();
  let failure: TransshipError | undefined;
  let size = 0;

  const send = async (number: number, body: Buffer) => {
    const part = { ...object, ...sse.touching, UploadId: uploadId, PartNumber: number, Body: body };
    const request = new sdk.UploadPartCommand(part);
    const { ETag, ChecksumCRC32 } = await client.send(request, { abortSignal: whenStopped });
    memory.giveBack(body);
    parts[number - 1] = { PartNumber: number, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
  };
  const start = async (number: number, body: Buffer) => {
    while (sending.size >= partsInFlight(body.byteLength)) await Promise.race(sending);
    const sent: Promise<void> = send(number, body)
      .catch((error: unknown) => {
        failure ??= signal?.aborted ? cancelledBy(signal) : s3Error(error, attempt);
        stop.abort(failure);
      })
      .finally(() => sending.delete(sent));
    sending.add(sent);
  };

  try {
    let number = 0;
    for (let next: IteratorResult<Buffer> = { value: first }; next.done !== true; next = await rest.next()) {
      if (whenStopped.aborted) break;
      // A stream that ends exactly with a part is followed by an empty one.
      if (next.value.byteLength === 0) continue;
      number += 1;
      size += next.value.byteLength;
      await start(number, next.value);
    }
  } catch (error) {
    stop.abort(error);
    throw failure ?? error;
  } finally {
    await Promise.all(sending);
  }
  if (failure !== undefined) throw failure;
  if (signal?.aborted) throw cancelledBy(signal);
  return { parts, size };
}

/**
 * Sends the request that makes the object visible. When its answer is lost, the library sends it again, and then meets
 * the object it made itself: the mark tells that from another writer's.
 */
export async function commit(target: UploadTarget, send: () => Promise<unknown>, signal?: AbortSignal): Promise<void> {
  try {
    await send();
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    const existing = await findMark(target);
    if (existing === target.mark) return;
    // Without the right to look, a failed condition says enough: the object is there.
    if (existing !== undefined || readS3Failure(error).status === 412) {
      throw snapshotExists(addressOf(target.attempt.place, target.attempt.key), error);
    }
    throw s3Error(error, target.attempt);
  }
}

/** The mark of the object as it is now: empty for one of another kind; undefined when there is none to be seen. */
async function findMark({ connection: { client, sdk, sse }, object }: UploadTarget): Promise<string | undefined> {
  try {
    const { Metadata } = await client.send(new sdk.HeadObjectCommand({ ...object, ...sse.touching }));
    return Metadata?.[MARK] ?? '';
  } catch {
    return undefined;
  }
}
