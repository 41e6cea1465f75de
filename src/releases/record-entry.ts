import { isUtf8 } from 'node:buffer';
import * as z from 'zod/mini';
import { type Entry, entryOf, readBody } from '../archive/entry.ts';
import { ENVIRONMENT_LABEL } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import { parseRelease, type RecordHead, type ReleaseRecord, recordObjectName } from './record.ts';

/** The folder of an archive that holds the releases. */
export const RELEASES_FOLDER = '_releases/';

/** What follows the first line, before the stored JSON. */
const PREFIX = '\n"release":';
const SUFFIX = '}\n';
const SUFFIX_BYTES = Buffer.from(SUFFIX);

/** The most bytes of an entry that is read; a record's JSON is far smaller. */
export const MAX_ENTRY_BYTES = 132 * 1024 * 1024;

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

const firstLine = z.strictObject({
  record: z.strictObject({
    driver: z.enum(['secret', 'configmap']),
    namespace: z.string().check(z.maxLength(63), z.regex(DNS_LABEL)),
    release: z.string().check(z.maxLength(253), z.regex(DNS_SUBDOMAIN)),
    revision: z.int().check(z.positive()),
    encoding: z.enum(['gzip', 'plain']),
    labels: z.record(z.string(), z.string()),
    annotations: z.optional(z.record(z.string(), z.string())),
  }),
});

/** Whether an entry's path is that of a release record. */
export function isRecordPath(path: string): boolean {
  return path.startsWith(RELEASES_FOLDER);
}

/**
 * Where a record stands in an archive: `_releases/<namespace>/<release>/<revision>.json`. Of a revision that both
 * drivers hold, the ConfigMap's is told apart by `shadowed`.
 */
export function recordPath(
  { namespace, release, revision }: Pick<RecordHead, 'namespace' | 'release' | 'revision'>,
  shadowed = false,
): string {
  return `${RELEASES_FOLDER}${namespace}/${release}/${revision}${shadowed ? '.configmap' : ''}.json`;
}

/**
 * A record as an archive's file: JSON for any reader, whose first line holds what is not in the payload, and whose rest
 * is the payload exactly as Helm stored it. The label of an environment stays behind: it says who brought the release to
 * its cluster.
 *
 * @param bytes - the release's JSON
 */
export function recordToEntry(head: RecordHead, bytes: Uint8Array, shadowed = false): Entry {
  const { driver, namespace, release, revision, encoding, annotations } = head;
  const { [ENVIRONMENT_LABEL]: _environment, ...labels } = head.labels;
  const record = { driver, namespace, release, revision, encoding, labels, annotations };
  const line = `${JSON.stringify({ record }).slice(0, -1)},${PREFIX}`;
  return entryOf(recordPath(head, shadowed), Buffer.concat([Buffer.from(line, 'utf8'), bytes, SUFFIX_BYTES]));
}

/** A record's file in two: its first line, and the release's JSON. */
export interface RecordFile {
  readonly head: string;
  readonly json: string;
}

/** Takes the file apart that {@link recordToEntry} makes; undefined for any other. */
export function splitRecordFile(text: string): RecordFile | undefined {
  const newline = text.indexOf('\n');
  if (newline === -1 || !text.startsWith(PREFIX, newline) || !text.endsWith(SUFFIX)) return undefined;
  return { head: text.slice(0, newline), json: text.slice(newline + PREFIX.length, -SUFFIX.length) };
}

/** Puts the file together again. */
export function joinRecordFile({ head, json }: RecordFile): string {
  return `${head}${PREFIX}${json}${SUFFIX}`;
}

/**
 * Reads a record back from an archive's file.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` when the file is not what {@link recordToEntry} writes
 */
export async function entryToRecord(entry: Entry): Promise<ReleaseRecord> {
  const bytes = await readBody(entry, MAX_ENTRY_BYTES);
  if (!isUtf8(bytes)) throw damaged(entry, 'it is not UTF-8');
  const text = bytes.toString('utf8');
  const newline = text.indexOf('\n');
  if (newline === -1 || text[newline - 1] !== ',') throw damaged(entry, 'its first line is no record');
  if (!text.startsWith(PREFIX, newline) || !text.endsWith(SUFFIX)) throw damaged(entry, 'it holds no release');
  const head = readFirstLine(entry, `${text.slice(0, newline - 1)}}`);
  if (entry.path !== recordPath(head) && entry.path !== recordPath(head, true)) {
    throw damaged(entry, `it holds ${head.namespace}/${head.release} revision ${head.revision}`);
  }
  const record = {
    ...head,
    objectName: recordObjectName(head.release, head.revision),
    status: head.labels.status ?? 'unknown',
    json: text.slice(newline + PREFIX.length, -SUFFIX.length),
  };
  try {
    parseRelease(record);
  } catch (error) {
    throw damaged(entry, 'its release is not readable', error);
  }
  return record;
}

function readFirstLine(entry: Entry, line: string): z.infer<typeof firstLine>['record'] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    throw damaged(entry, 'its first line is not JSON', error);
  }
  const result = firstLine.safeParse(parsed);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw damaged(entry, `${issue?.path.join('.') ?? 'record'}: ${issue?.message ?? 'invalid'}`, result.error);
  }
  return result.data.record;
}

function damaged(entry: Entry, problem: string, cause?: unknown): TransshipError {
  return new TransshipError('ARCHIVE_DAMAGED', `${entry.path} is no release record: ${problem}.`, {
    hint: 'Take the snapshot again, or use the Transship version that wrote it.',
    cause,
  });
}
