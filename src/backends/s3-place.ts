import { TransshipError } from '../errors.ts';
import { PLANS_FOLDER, planFileName } from './plans.ts';
import { archiveSuffixOf, FILE_BASE, FILE_STARTS, parseSnapshotFileName, snapshotFileName } from './selector.ts';
import { BACKUP_FOLDER } from './trees.ts';

/** Where in S3 snapshots are: objects `<prefix>transship-<id><suffix>` and `<prefix><cluster>/backup/<id>/…`. */
export interface S3Place {
  readonly bucket: string;
  /** Empty, or ending in `/`. */
  readonly prefix: string;
}

const PLACE = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/s;

/**
 * Reads `s3://bucket` or `s3://bucket/prefix`.
 *
 * @throws TransshipError `INPUT` for anything else, and for the address of a single object
 */
export function parseS3Place(path: string): S3Place {
  const [, bucket, rest = ''] = PLACE.exec(path) ?? [];
  if (bucket === undefined) {
    throw new TransshipError(
      'INPUT',
      `path: ${JSON.stringify(path)} is not a place in S3. Give s3://bucket or s3://bucket/prefix.`,
    );
  }
  if (archiveSuffixOf(rest) !== undefined) throw objectGiven(path, bucket, rest);
  const prefix = rest.replace(/^\/+|\/+$/g, '');
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/` };
}

/** The key of a snapshot's object. */
export function snapshotKey(place: S3Place, id: string, suffix: string): string {
  return `${place.prefix}${snapshotFileName(FILE_BASE, id, suffix)}`;
}

/** The key of a saved plan. */
export function planKey(place: S3Place, id: string): string {
  return `${place.prefix}${PLANS_FOLDER}/${planFileName(id)}`;
}

/** What the keys of all snapshots here begin with, or those of one id: each one of these. */
export function keysBeginWith(place: S3Place, id = ''): string[] {
  return FILE_STARTS.map((start) => `${place.prefix}${start}${id}`);
}

/** The snapshot's id in a key; undefined when the object is none of this place's snapshots. */
export function idOfKey(place: S3Place, key: string): string | undefined {
  if (!key.startsWith(place.prefix)) return undefined;
  const parsed = parseSnapshotFileName(key.slice(place.prefix.length));
  return parsed?.base === FILE_BASE ? parsed.id : undefined;
}

/** What the keys of a cluster's trees begin with, before their ids. */
export function treesBeginWith(place: S3Place, cluster: string): string {
  return `${place.prefix}${cluster}/${BACKUP_FOLDER}/`;
}

/** The name of the folder that the place itself is. */
export function lastNameOf({ bucket, prefix }: S3Place): string {
  return prefix.split('/').at(-2) ?? bucket;
}

/** The address of a key, as a user types it. */
export function addressOf(place: S3Place, key = place.prefix): string {
  return `s3://${place.bucket}/${key}`;
}

/**
 * The key in an address that {@link addressOf} made for the same bucket.
 *
 * @throws TransshipError `INPUT` for the address of something else
 */
export function keyOfAddress(place: S3Place, address: string): string {
  const start = addressOf(place, '');
  if (address.startsWith(start)) return address.slice(start.length);
  throw new TransshipError('INPUT', `${address} is not in ${start}.`);
}

function objectGiven(path: string, bucket: string, key: string): TransshipError {
  const slash = key.lastIndexOf('/');
  const parsed = parseSnapshotFileName(key.slice(slash + 1));
  const prefix = key.slice(0, Math.max(slash, 0));
  const folder = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`;
  return new TransshipError('INPUT', `path: ${JSON.stringify(path)} names one object, not the place it is in.`, {
    hint: parsed === undefined ? `Give ${folder}.` : `Give ${folder} as path and ${parsed.id} as snapshot.`,
  });
}
