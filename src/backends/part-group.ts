import * as z from 'zod/mini';
import { suffixOf } from '../archive/compression.ts';
import { withAge } from '../archive/encryption-header.ts';
import type { NewPart } from '../archive/part.ts';
import { parseSnapshotId, snapshotId } from '../archive/snapshot.ts';
import { TransshipError } from '../errors.ts';
import { archiveSuffixOf, FILE_BASE, snapshotFileName } from './selector.ts';

/*
 * The parts of a snapshot are a group: `transship-<id>.vms/`. While it is being written, there are also what was asked for
 * (`_export.json`), who writes (`_lock-<number>`), and beside each part what it was made of.
 */

const GROUP_SUFFIX = '.vms';
/** What is exported: written first, removed when the snapshot is in place. */
export const MARKER_NAME = '_export.json';
/** Beside a part that is whole: what it was made of. */
export const RECORD_SUFFIX = '.stored';

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/** What an export was asked for. */
export interface GroupMarker {
  readonly id: string;
  readonly scope: string;
  /** When it began, ISO 8601. */
  readonly begun: string;
  /** The one part of a file that is no group. */
  readonly name?: string | undefined;
}

/** A part that is whole, and what it was made of. */
export interface PartRecord {
  readonly name: string;
  readonly source: string;
  readonly encryptTo?: readonly string[] | undefined;
  /** Bytes as stored. */
  readonly size: number;
  /** `sha256:<hex>` */
  readonly digest: string;
}

const markerSchema = z.object({
  id: z.string(),
  scope: z.string(),
  begun: z.string(),
  name: z.optional(z.string()),
});
const recordSchema = z.object({
  name: z.string(),
  source: z.string(),
  encryptTo: z.optional(z.array(z.string())),
  size: z.int().check(z.nonnegative()),
  digest: z.string().check(z.regex(/^sha256:[0-9a-f]{64}$/)),
});

/** What a group is called, as a folder and in a key. */
export function groupName(id: string): string {
  return snapshotFileName(FILE_BASE, id, GROUP_SUFFIX);
}

/** The id in a group's name; undefined for any other name. */
export function groupIdOf(name: string): string | undefined {
  if (!name.startsWith(`${FILE_BASE}-`) || !name.endsWith(GROUP_SUFFIX)) return undefined;
  const id = name.slice(FILE_BASE.length + 1, -GROUP_SUFFIX.length);
  return parseSnapshotId(id) === undefined ? undefined : id;
}

/** The ids in some names, newest first. */
export function groupIdsAmong(names: readonly string[]): string[] {
  return names.flatMap((name) => groupIdOf(name) ?? []).toSorted((a, b) => (a < b ? 1 : -1));
}

/** The id of a second later: of two exports that begin within one, each gets its own. */
export function nextId(id: string): string {
  const time = parseSnapshotId(id);
  if (time === undefined) throw new Error(`${id} is no id of a snapshot.`);
  return snapshotId(new Date(time.getTime() + 1000));
}

/** The ending of a part's file. */
export function partSuffix({ compression, encryptTo }: Pick<NewPart, 'compression' | 'encryptTo'>): string {
  return withAge(suffixOf(compression), encryptTo);
}

/** What the file of a part is called. */
export function partFileName(part: Pick<NewPart, 'name' | 'compression' | 'encryptTo'>): string {
  if (!SEGMENT.test(part.name)) throw new Error(`${JSON.stringify(part.name)} can't be the name of a part.`);
  return `${part.name}${partSuffix(part)}`;
}

/** The name of a part in that of its file; undefined for the file of something else. */
export function partNameOf(file: string): string | undefined {
  const suffix = archiveSuffixOf(file);
  return suffix === undefined || file.startsWith('_') ? undefined : file.slice(0, -suffix.length);
}

/**
 * Takes apart what a snapshot names a part by. It was read from the snapshot, which anybody may have made: it must not
 * lead anywhere else.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for what leads elsewhere
 */
export function checkPartFile(file: string): readonly [group: string, name: string] {
  const [group = '', name = '', ...more] = file.split('/');
  if (more.length === 0 && SEGMENT.test(group) && SEGMENT.test(name)) return [group, name];
  throw new TransshipError('ARCHIVE_DAMAGED', `${JSON.stringify(file)} can't be the name of a part of a snapshot.`);
}

/** Whether what is whole is what would be written. */
export function isSamePart(record: PartRecord, part: Pick<NewPart, 'source' | 'encryptTo'>): boolean {
  return record.source === part.source && JSON.stringify(record.encryptTo) === JSON.stringify(part.encryptTo);
}

export function formatMarker(marker: GroupMarker): string {
  return `${JSON.stringify(marker)}\n`;
}

/** Undefined for what is none, such as one that was cut. */
export function parseMarker(content: Uint8Array | undefined): GroupMarker | undefined {
  return parseAs(markerSchema, content);
}

export function formatRecord({ name, source, encryptTo, size, digest }: PartRecord): string {
  return `${JSON.stringify({ name, source, encryptTo, size, digest })}\n`;
}

/** Undefined for what is none. */
export function parseRecord(content: Uint8Array | undefined): PartRecord | undefined {
  return parseAs(recordSchema, content);
}

function parseAs<T>(schema: z.ZodMiniType<T>, content: Uint8Array | undefined): T | undefined {
  if (content === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(content).toString('utf8')));
  } catch {
    return undefined;
  }
}
