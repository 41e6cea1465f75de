import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { DataObject, KubeObject } from '../cluster/cluster.ts';
import { toDataObject } from '../cluster/data-objects.ts';
import { TransshipError } from '../errors.ts';
import type { HelmRelease } from './helm-release.ts';
import { checkRelease, kindOf, unpackRecord } from './unpack.ts';

export type { HelmChart, HelmFile, HelmHook, HelmRelease } from './helm-release.ts';
export { kindOf, unpackRecord } from './unpack.ts';

/** Where Helm keeps a record: `HELM_DRIVER=secret` (its default) or `configmap`. */
export type Driver = 'secret' | 'configmap';

/** How the payload is packed: gzip, or plain JSON as the first Helm 3 betas and some tools wrote it. */
export type RecordEncoding = 'gzip' | 'plain';

/** Everything of a record but its payload. */
export interface RecordHead {
  readonly driver: Driver;
  readonly namespace: string;
  /** `sh.helm.release.v1.<release>.v<revision>` */
  readonly objectName: string;
  /** Helm's own labels (`owner`, `name`, `version`, `status`, `createdAt`, `modifiedAt`) and the user's. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly release: string;
  readonly revision: number;
  /** The value of the `status` label, which is what Helm looks releases up by. */
  readonly status: string;
  readonly encoding: RecordEncoding;
}

/** One stored revision of a release. */
export interface ReleaseRecord extends RecordHead {
  /** The release as JSON, byte for byte as Helm stored it. Edit it with json-splice.ts; parsing loses what JS can't hold. */
  readonly json: string;
}

/** A record as the cluster holds it, not decoded yet. */
export interface StoredRecord extends Omit<RecordHead, 'encoding'> {
  /** What Helm put there: base64. Empty when there is none. */
  readonly payload: Uint8Array;
}

/**
 * The most bytes that the values of a Secret or ConfigMap may have together (`MaxSecretSize`):
 * https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/apis/core/types.go
 */
export const MAX_RECORD_BYTES = 1024 * 1024;

const OBJECT_NAME = /^sh\.helm\.release\.v1\.(.+)\.v([1-9][0-9]*)$/;

const gzipAsync = promisify<Uint8Array, { level: number; memLevel: number }, Buffer>(gzip);

/** The name of the object that holds a record. */
export function recordObjectName(release: string, revision: number): string {
  return `sh.helm.release.v1.${release}.v${revision}`;
}

/** {@link recordIn} of an object as it is in JSON. */
export function readStoredRecord(object: KubeObject): StoredRecord | undefined {
  const dataObject = toDataObject(object);
  return dataObject && recordIn(dataObject);
}

/**
 * Reads what a Secret or ConfigMap says about the record in it, without unpacking the payload.
 *
 * @returns undefined when the object is no record of Helm's, which its name tells; its `type` tells nothing, Helm
 * itself does not look at it
 */
export function recordIn({ kind, metadata, data }: DataObject): StoredRecord | undefined {
  const match = OBJECT_NAME.exec(metadata.name);
  if (match === null) return undefined;
  const { name, namespace = '', labels = {}, annotations } = metadata;
  return {
    driver: kind === 'Secret' ? 'secret' : 'configmap',
    namespace,
    objectName: name,
    labels,
    annotations,
    release: match[1] ?? '',
    revision: Number(match[2]),
    status: labels.status ?? 'unknown',
    payload: data.get('release') ?? new Uint8Array(),
  };
}

/**
 * Decodes a Secret or ConfigMap into the record it holds.
 *
 * @throws TransshipError `RECORD_INVALID` when it holds none
 */
export async function decodeRecord(object: KubeObject): Promise<ReleaseRecord> {
  const stored = readStoredRecord(object);
  if (stored === undefined) {
    throw new TransshipError(
      'RECORD_INVALID',
      `${object.kind} ${object.metadata.namespace}/${object.metadata.name} is no Helm release record.`,
    );
  }
  const { encoding, bytes } = await unpackRecord(stored);
  const { payload: _, ...head } = stored;
  return { ...head, encoding, json: bytes.toString('utf8') };
}

/**
 * Parses a record's JSON; for reading only.
 *
 * @throws TransshipError `RECORD_INVALID` when it is no release, or another one than the object's name says
 */
export function parseRelease(record: ReleaseRecord): HelmRelease {
  return checkRelease(record, record.json, record.encoding);
}

/**
 * The exact Secret or ConfigMap to create for a record, in the record's namespace.
 *
 * @throws TransshipError `RECORD_INVALID` when the packed payload is larger than the API server accepts
 */
export async function recordToObject(record: ReleaseRecord): Promise<KubeObject> {
  const bytes = Buffer.from(record.json, 'utf8');
  const packed = record.encoding === 'gzip' ? await gzipAsync(bytes, { level: 9, memLevel: 9 }) : bytes;
  const value = packed.toString('base64');
  if (value.length > MAX_RECORD_BYTES) {
    throw new TransshipError(
      'RECORD_INVALID',
      `Revision ${record.revision} of release ${record.namespace}/${record.release} has ${value.length} bytes packed, ` +
        `more than the ${MAX_RECORD_BYTES} that a ${kindOf(record.driver)} can hold.`,
      { hint: 'Travel with a shorter history that leaves this revision out, or make the chart smaller.' },
    );
  }
  const isSecret = record.driver === 'secret';
  return {
    apiVersion: 'v1',
    kind: kindOf(record.driver),
    metadata: {
      name: record.objectName,
      namespace: record.namespace,
      labels: { ...record.labels },
      ...(record.annotations === undefined ? {} : { annotations: { ...record.annotations } }),
    },
    ...(isSecret ? { type: 'helm.sh/release.v1' } : {}),
    data: { release: isSecret ? Buffer.from(value, 'latin1').toString('base64') : value },
  };
}
