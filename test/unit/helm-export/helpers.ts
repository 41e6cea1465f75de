import { fromBinary } from '@bufbuild/protobuf';
import { type Entry, entryOf, readBody } from '../../../src/archive/entry.ts';
import { decompressGzip } from '../../../src/archive/gzip.ts';
import { type Snapshot, snapshotEntry } from '../../../src/archive/snapshot.ts';
import { type Export, ExportSchema } from '../../../src/helm-export/generated/hapi/export_pb.ts';
import { readHelmExport } from '../../../src/helm-export/read.ts';
import { writeHelmExport } from '../../../src/helm-export/write.ts';
import { decodeRecord, type RecordHead } from '../../../src/releases/record.ts';
import { recordToEntry } from '../../../src/releases/record-entry.ts';
import { makeObject, type RecordSpec } from '../releases/make-record.ts';

export const CREATED = new Date('2026-01-31T12:00:00Z');

const SNAPSHOT: Snapshot = {
  id: '26-01-31_12-00-00',
  created: CREATED,
  tool: { name: 'transship', version: '0.1.0' },
  cluster: { uid: 'c0ffee', version: 'v1.35.4', context: 'stage' },
  scope: { namespaces: ['shop'], include: ['releases'], history: 'all' },
};

/** `_snapshot.json` as an export writes it. */
export const SNAPSHOT_ENTRY = snapshotEntry(SNAPSHOT);

/** A record's file, as an archive has it. */
export async function recordEntry(
  spec: RecordSpec,
  { shadowed = false, ...more }: Partial<RecordHead> & { shadowed?: boolean } = {},
): Promise<Entry> {
  const { json, ...head } = await decodeRecord(makeObject(spec));
  return recordToEntry({ ...head, ...more }, Buffer.from(json), shadowed);
}

/** The same of JSON that is taken as it is. */
export function rawEntry(json: string, revision = 1): Entry {
  const head = {
    driver: 'secret',
    namespace: 'shop',
    release: 'web',
    revision,
    encoding: 'gzip',
    labels: { owner: 'helm', name: 'web', version: String(revision), status: 'deployed' },
    status: 'deployed',
    objectName: `sh.helm.release.v1.web.v${revision}`,
  } as const;
  return recordToEntry(head, Buffer.from(json));
}

export async function* streamOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

export async function joinBytes(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The file of some entries. */
export function writeFile(entries: readonly Entry[]): Promise<Buffer> {
  return joinBytes(writeHelmExport(streamOf(entries)).bytes);
}

/** A file's protobuf, decoded. */
export async function decodeFile(file: Uint8Array): Promise<Export> {
  return fromBinary(ExportSchema, await joinBytes(decompressGzip(streamOf([file]))));
}

/** Path and text of each entry of a file, which comes in pieces of some bytes. */
export async function readFile(file: Uint8Array, piece = file.byteLength): Promise<[path: string, text: string][]> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < file.byteLength; at += piece) pieces.push(file.subarray(at, at + piece));
  return readEntries(readHelmExport(decompressGzip(streamOf(pieces)), CREATED));
}

export async function readEntries(entries: AsyncIterable<Entry>): Promise<[path: string, text: string][]> {
  const read: [string, string][] = [];
  for await (const entry of entries) {
    const body = await readBody(entry);
    if (body.byteLength !== entry.size) throw new Error(`${entry.path} has another size than it says`);
    read.push([entry.path, body.toString('utf8')]);
  }
  return read;
}

/** Path and text of entries as they are given. */
export function textsOf(entries: readonly Entry[]): Promise<[path: string, text: string][]> {
  return readEntries(streamOf(entries));
}

/** CRDs that travel with releases. */
export const CRDS_ENTRY = entryOf('customresourcedefinitions.json', '{"kind":"List","items":[{"kind":"CRD"}]}\n');
