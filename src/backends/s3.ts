import type { Backend, Bytes, StoredSnapshot, WrittenSnapshot } from './backend.ts';
import type { ListMultipartUploadsCommandOutput } from './lazy/s3-sdk.ts';
import { connectS3, type S3Connection, type S3Options } from './s3-connect.ts';
import { type DownloadLimits, downloadLimits, downloadObject } from './s3-download.ts';
import { isDeniedOrUnknown, type S3Attempt, s3Error } from './s3-errors.ts';
import {
  addressOf,
  idOfKey,
  keyOfAddress,
  keysBeginWith,
  parseS3Place,
  type S3Place,
  snapshotKey,
} from './s3-place.ts';
import { uploadObject } from './s3-upload.ts';
import { FILE_BASE, selectSnapshot, snapshotExists, snapshotFileName, sortSnapshots } from './selector.ts';

/**
 * Keeps snapshots as objects `<prefix>/transship-<id><suffix>` of an S3 bucket. An unfinished snapshot is a multipart
 * upload that was neither completed nor aborted.
 */
export class S3Backend implements Backend {
  readonly name = 's3';
  readonly #place: S3Place;
  readonly #options: S3Options;
  readonly #limits: DownloadLimits;
  #connection: Promise<S3Connection> | undefined;

  /**
   * @param path - `s3://bucket` or `s3://bucket/prefix`
   * @throws TransshipError `INPUT` when `path` is something else
   */
  constructor(path: string, options: S3Options = {}, limits: DownloadLimits = downloadLimits) {
    this.#place = parseS3Place(path);
    this.#options = options;
    this.#limits = limits;
  }

  async write(id: string, suffix: string, bytes: Bytes, signal?: AbortSignal): Promise<WrittenSnapshot> {
    const connection = await this.#connect();
    await this.#refuseExisting(connection, id);
    const key = snapshotKey(this.#place, id, suffix);
    const size = await uploadObject(connection, this.#place, key, bytes, signal);
    return { id, location: addressOf(this.#place, key), size, state: 'complete' };
  }

  async list(): Promise<StoredSnapshot[]> {
    const connection = await this.#connect();
    const start = keysBeginWith(this.#place);
    const [complete, unfinished] = await Promise.all([
      this.#listObjects(connection, start),
      this.#listUploads(connection, start),
    ]);
    return sortSnapshots([...complete, ...unfinished]);
  }

  async find(selector: string): Promise<StoredSnapshot> {
    return selectSnapshot(await this.list(), selector, addressOf(this.#place));
  }

  async *read(snapshot: StoredSnapshot, signal?: AbortSignal): Bytes {
    const key = keyOfAddress(this.#place, snapshot.location);
    const connection = await this.#connect();
    yield* downloadObject(connection, this.#place, key, snapshot.size, signal, this.#limits);
  }

  #connect(): Promise<S3Connection> {
    this.#connection ??= connectS3(this.#options);
    return this.#connection;
  }

  /** Speaks up before a long export begins; the conditional write at its end is what holds when two writers race. */
  async #refuseExisting(connection: S3Connection, id: string): Promise<void> {
    const start = `${this.#place.prefix}${snapshotFileName(FILE_BASE, id, '')}`;
    try {
      const [existing] = await this.#listObjects(connection, start);
      if (existing !== undefined) throw snapshotExists(existing.location);
    } catch (error) {
      // Credentials that may only write are good practice.
      if (!isDeniedOrUnknown(causeOf(error))) throw error;
    }
  }

  async #listObjects({ client, sdk, endpoint }: S3Connection, start: string): Promise<StoredSnapshot[]> {
    const request = { Bucket: this.#place.bucket, Prefix: start };
    const found: StoredSnapshot[] = [];
    try {
      for await (const page of sdk.paginateListObjectsV2({ client }, request)) {
        for (const { Key = '', Size = 0 } of page.Contents ?? []) {
          const id = idOfKey(this.#place, Key);
          if (id !== undefined)
            found.push({ id, location: addressOf(this.#place, Key), size: Size, state: 'complete' });
        }
      }
    } catch (error) {
      throw s3Error(error, this.#attempt('s3:ListBucket', endpoint));
    }
    return found;
  }

  async #listUploads({ client, sdk, endpoint }: S3Connection, start: string): Promise<StoredSnapshot[]> {
    const found: StoredSnapshot[] = [];
    let next: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
    try {
      while (next !== undefined) {
        const request = new sdk.ListMultipartUploadsCommand({ Bucket: this.#place.bucket, Prefix: start, ...next });
        const page: ListMultipartUploadsCommandOutput = await client.send(request);
        for (const { Key = '' } of page.Uploads ?? []) {
          const id = idOfKey(this.#place, Key);
          if (id !== undefined) found.push({ id, location: addressOf(this.#place, Key), size: 0, state: 'unfinished' });
        }
        next =
          page.IsTruncated === true
            ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
            : undefined;
      }
    } catch (error) {
      // Not every service knows this request, and few credentials may send it: what is complete is known without it.
      if (!isDeniedOrUnknown(error)) throw s3Error(error, this.#attempt('s3:ListBucketMultipartUploads', endpoint));
    }
    return found;
  }

  #attempt(action: S3Attempt['action'], endpoint: string | undefined): S3Attempt {
    return { place: this.#place, action, endpoint };
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}
