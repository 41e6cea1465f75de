import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { LeaseStore, StoredLease } from './backend.ts';
import { waitUnlessAborted } from './bytes.ts';
import type { GetObjectCommandOutput } from './lazy/s3-sdk.ts';
import { LEASE_NAME } from './place-paths.ts';
import type { S3Connection } from './s3-connect.ts';
import { readS3Failure, s3Error } from './s3-errors.ts';
import { aborting } from './s3-list.ts';
import { deleteObjects } from './s3-objects.ts';
import { addressOf, type S3Place } from './s3-place.ts';

/** The metadata by which a writer knows its own write again. */
const MARK = 'transship-lease';
/** One that no object has: S3's own are MD5 sums or as long, and not zero. */
const NO_ETAG = `"${'0'.repeat(32)}"`;
/** A service may be busy with two writes, neither of which it has carried out. */
const CONFLICTS = 4;
const READS = 5;
const GAP_MILLISECONDS = 50;

interface Lease {
  readonly connection: S3Connection;
  readonly place: S3Place;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
}

/** Keeps a lease as the object `_manager.json`, by conditional writes: `If-None-Match` makes it, `If-Match` replaces it. */
export function createS3Lease(connect: () => Promise<S3Connection>, place: S3Place): LeaseStore {
  let isProven = false;
  const open = async (signal: AbortSignal | undefined): Promise<Lease> => {
    const connection = await waitUnlessAborted(connect(), signal);
    return { connection, place, key: `${place.prefix}${LEASE_NAME}`, signal };
  };
  return {
    async read(signal) {
      return readLease(await open(signal));
    },
    async write(text, expected, signal) {
      const lease = await open(signal);
      const version = await writeLease(lease, text, expected);
      if (version !== undefined && !isProven) {
        await proveConditions(lease, text);
        isProven = true;
      }
      return version;
    },
    async remove(signal) {
      const lease = await open(signal);
      await deleteObjects(lease, [lease.key], signal);
    },
  };
}

async function readLease(lease: Lease): Promise<StoredLease | undefined> {
  const { connection, place, key, signal } = lease;
  for (let attempt = 1; ; attempt += 1) {
    const answer = await getLease(lease);
    if (answer === undefined) return undefined;
    try {
      const text = (await answer.Body?.transformToString()) ?? '';
      const age = connection.timeOf(answer) - (answer.LastModified?.getTime() ?? 0);
      return { text, version: answer.ETag ?? '', age: Math.max(0, age) };
    } catch (error) {
      // The library does not ask again for a text that was cut, or is not that of its checksum: some services give the old
      // text with what is known of the new one, while it is replaced.
      if (signal?.aborted) throw cancelledBy(signal);
      if (attempt === READS) {
        throw s3Error(error, { place, key, action: 's3:GetObject', endpoint: connection.endpoint });
      }
      await waitUnlessAborted(delay(GAP_MILLISECONDS * attempt), signal);
    }
  }
}

async function getLease({ connection, place, key, signal }: Lease): Promise<GetObjectCommandOutput | undefined> {
  const { client, sdk, sse, endpoint } = connection;
  try {
    return await client.send(
      new sdk.GetObjectCommand({ Bucket: place.bucket, Key: key, ...sse.touching }),
      aborting(signal),
    );
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    if (isMissing(error)) return undefined;
    throw s3Error(error, { place, key, action: 's3:GetObject', endpoint });
  }
}

/**
 * When an answer is lost, the library sends the request again, and then meets what it wrote itself: the mark tells that
 * from another writer's.
 */
async function writeLease(lease: Lease, text: string, expected: string | undefined): Promise<string | undefined> {
  const { connection, place, key, signal } = lease;
  const mark = randomUUID();
  const condition = expected === undefined ? { IfNoneMatch: '*' } : { IfMatch: expected };
  for (let conflicts = 1; ; conflicts += 1) {
    try {
      return await putLease(lease, text, mark, condition);
    } catch (error) {
      if (signal?.aborted) throw cancelledBy(signal);
      const { name, status } = readS3Failure(error);
      if (name === 'NotImplemented' || status === 501) throw noConditions(lease, error);
      const failure = s3Error(error, { place, key, action: 's3:PutObject', endpoint: connection.endpoint });
      const found = await findMark(lease, failure);
      if (found?.mark === mark) return found.version;
      if (status === 412 || (expected !== undefined && isMissing(error))) return undefined;
      if (status !== 409) throw failure;
      if (conflicts === CONFLICTS) return undefined;
      await waitUnlessAborted(delay(GAP_MILLISECONDS * conflicts), signal);
    }
  }
}

async function putLease(
  { connection: { client, sdk, sse }, place, key, signal }: Lease,
  text: string,
  mark: string,
  condition: { readonly IfNoneMatch: string } | { readonly IfMatch: string },
): Promise<string> {
  const request = new sdk.PutObjectCommand({
    Bucket: place.bucket,
    Key: key,
    ...sse.making,
    Body: Buffer.from(text),
    ContentType: 'application/json',
    Metadata: { [MARK]: mark },
    ...condition,
  });
  const { ETag } = await client.send(request, aborting(signal));
  if (ETag !== undefined) return ETag;
  throw new TransshipError('BACKEND', `${addressOf(place, key)}: the service gave no ETag to what it stored.`);
}

/** @param failure - what is told when it can't be found out */
async function findMark(
  { connection: { client, sdk, sse }, place, key, signal }: Lease,
  failure: TransshipError,
): Promise<{ readonly mark: string | undefined; readonly version: string } | undefined> {
  try {
    const request = new sdk.HeadObjectCommand({ Bucket: place.bucket, Key: key, ...sse.touching });
    const { Metadata, ETag = '' } = await client.send(request, aborting(signal));
    return { mark: Metadata?.[MARK], version: ETag };
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    if (isMissing(error)) return undefined;
    throw failure;
  }
}

/**
 * Makes sure that the service does not just ignore conditions, as some do: a write that must be refused is. Done once, and
 * after a write of our own: what would be overwritten is that.
 */
async function proveConditions(lease: Lease, text: string): Promise<void> {
  const { connection, place, key, signal } = lease;
  try {
    await putLease(lease, text, randomUUID(), { IfMatch: NO_ETAG });
  } catch (error) {
    if (signal?.aborted) throw cancelledBy(signal);
    const { status } = readS3Failure(error);
    // 404: it was removed meanwhile.
    if (status === 412 || status === 409 || isMissing(error)) return;
    throw s3Error(error, { place, key, action: 's3:PutObject', endpoint: connection.endpoint });
  }
  await deleteObjects(lease, [key], signal);
  throw noConditions(lease);
}

function isMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes(readS3Failure(error).name);
}

function noConditions({ connection: { endpoint }, place, key }: Lease, cause?: unknown): TransshipError {
  const at = endpoint === undefined ? '' : ` at ${endpoint}`;
  return new TransshipError(
    'BACKEND',
    `${addressOf(place, key)}${at}: the service knows no conditional writes (If-Match), without which two managers could write here.`,
    { hint: 'Use a service that knows them, or a folder; or export on a schedule without a manager.', cause },
  );
}
