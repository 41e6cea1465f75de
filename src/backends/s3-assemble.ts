import { cancelledBy } from '../errors.ts';
import { mapInOrder } from '../streams.ts';
import type { Bytes } from './backend.ts';
import type { CompletedPart } from './lazy/s3-sdk.ts';
import { readS3Failure, s3Error } from './s3-errors.ts';
import { aborting, type S3Target } from './s3-objects.ts';
import { type Segment, segmentKey } from './s3-segments.ts';
import { completeUpload, createTarget, startUpload, type UploadTarget, uploadObject } from './s3-upload.ts';

const COPIES_AT_ONCE = 8;

/**
 * Makes one object of segments, which the service copies itself: nothing is sent again. One that can't is sent all of it.
 *
 * @param beforeLast - what is done just before the object is to be seen
 * @throws TransshipError `SNAPSHOT_EXISTS`, `BACKEND`, `CANCELLED`
 */
export async function assemble(
  { connection, place }: S3Target,
  key: string,
  segments: readonly Segment[],
  bytes: () => Bytes,
  beforeLast: () => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const target = createTarget(connection, place, key);
  const { client, sdk } = connection;
  const uploadId = await startUpload(target);
  const upload = { ...target.object, UploadId: uploadId };
  try {
    const parts: CompletedPart[] = [];
    const copy = copier(target, uploadId, signal);
    for await (const part of mapInOrder(segments, COPIES_AT_ONCE, copy)) parts.push(part);
    await beforeLast();
    await completeUpload(target, uploadId, parts);
  } catch (error) {
    // When even this fails, the end of the export removes it.
    await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => {});
    if (error instanceof CannotCopyError) {
      await uploadObject(connection, place, key, bytes(), signal, beforeLast);
      return;
    }
    throw signal?.aborted ? cancelledBy(signal) : s3Error(error, target.attempt);
  }
}

/** The service does not know how to copy into an upload. */
class CannotCopyError extends Error {}

function copier(
  { connection: { client, sdk, sse, endpoint }, object, attempt }: UploadTarget,
  uploadId: string,
  signal: AbortSignal | undefined,
): (segment: Segment) => Promise<CompletedPart> {
  const { SSECustomerAlgorithm, SSECustomerKey } = sse.touching;
  const source =
    SSECustomerKey === undefined
      ? {}
      : { CopySourceSSECustomerAlgorithm: SSECustomerAlgorithm, CopySourceSSECustomerKey: SSECustomerKey };
  let order = 0;
  return async (segment) => {
    const PartNumber = ++order;
    const from = segmentKey(object.Key, segment);
    const request = new sdk.UploadPartCopyCommand({
      ...object,
      ...sse.touching,
      ...source,
      UploadId: uploadId,
      PartNumber,
      CopySource: `${object.Bucket}/${from.split('/').map(encodeURIComponent).join('/')}`,
    });
    try {
      const { CopyPartResult } = await client.send(request, aborting(signal));
      const { ETag, ChecksumCRC32 } = CopyPartResult ?? {};
      return { PartNumber, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
    } catch (error) {
      const { name, status } = readS3Failure(error);
      if (name === 'NotImplemented' || status === 501 || status === 405) throw new CannotCopyError();
      throw s3Error(error, { ...attempt, key: from, action: 's3:GetObject', endpoint });
    }
  };
}
