import { JOURNAL_SUFFIX } from '../archive/frame-journal.ts';
import {
  formatMarker,
  groupIdsAmong,
  groupName,
  MARKER_NAME,
  nextId,
  type PartRecord,
  parseMarker,
  parseRecord,
  RECORD_SUFFIX,
} from './part-group.ts';
import { type Claim, claim, type LockPlace, lockName, lockNumberOf } from './part-lock.ts';
import type { S3Connection } from './s3-connect.ts';
import { readSmallObject } from './s3-download.ts';
import { listObjects } from './s3-list.ts';
import { createObject, deleteObjects, isDenied, replaceObject, type S3Target } from './s3-objects.ts';
import { addressOf, type S3Place } from './s3-place.ts';

/** The parts of one snapshot, which this process may write. */
export interface S3Group extends S3Target {
  readonly id: string;
  readonly claim: Claim;
  /** Whether what was written can be read back: some credentials may only write. */
  readonly isReadable: boolean;
}

/** Writers say every half minute that they live. Short: a workflow that was killed is run again soon. */
const SILENCE_MILLISECONDS = 3 * 60_000;

/** The keys of a group's parts. */
export function groupTarget(connection: S3Connection, place: S3Place, id: string): S3Target {
  return { connection, place, prefix: `${place.prefix}${groupName(id)}/` };
}

/** Locks beside the objects that they are for. */
export function s3Locks(target: S3Target): LockPlace {
  const { connection, place, prefix } = target;
  const keyOf = (number: number) => `${prefix}${lockName(number)}`;
  return {
    silence: SILENCE_MILLISECONDS,
    async newest() {
      const objects = await listIfAllowed(target, `${prefix}_lock-`);
      const locks = objects.flatMap(({ key, changed }) => {
        const number = lockNumberOf(key.slice(prefix.length));
        return number === undefined ? [] : [{ number, changed }];
      });
      const last = locks.toSorted((a, b) => b.number - a.number)[0];
      if (last === undefined) return undefined;
      const text = await readSmallObject(connection, place, keyOf(last.number));
      return { ...last, text: text?.toString('utf8') ?? '' };
    },
    create: (number, text) => createObject(target, keyOf(number), text),
    refresh: (number, text) => replaceObject(target, keyOf(number), text),
    remove: (number) => deleteObjects(target, [keyOf(number)]),
  };
}

/**
 * Takes over an export of the scope that was interrupted, or begins a group.
 *
 * @param folders - the names of those of the place
 * @param complete - the ids of the snapshots that are complete
 */
export async function beginS3Group(
  connection: S3Connection,
  place: S3Place,
  wanted: { readonly id: string; readonly scope: string },
  folders: readonly string[],
  complete: ReadonlySet<string>,
): Promise<S3Group> {
  for (const id of groupIdsAmong(folders)) {
    if (complete.has(id)) continue;
    const target = groupTarget(connection, place, id);
    const isWanted = async () => (await readMarker(target))?.scope === wanted.scope;
    if (!(await isWanted())) continue;
    const claimed = await claim(s3Locks(target), addressOf(place, target.prefix));
    if (claimed === undefined) continue;
    // It may have been finished, and all locks removed, since its marker was read.
    if (await isWanted()) return { ...target, id, claim: claimed, isReadable: true };
    await claimed.release();
  }
  for (let id = wanted.id; ; id = nextId(id)) {
    if (complete.has(id)) continue;
    const target = groupTarget(connection, place, id);
    const marker = formatMarker({ id, scope: wanted.scope, begun: new Date().toISOString() });
    if (!(await createObject(target, `${target.prefix}${MARKER_NAME}`, marker))) continue;
    const claimed = await claim(s3Locks(target), addressOf(place, target.prefix));
    if (claimed !== undefined) return { ...target, id, claim: claimed, isReadable: await canRead(target) };
  }
}

/** What the parts of a group were made of, by name, of those that are whole. */
export async function findRecords(target: S3Target): Promise<PartRecord[]> {
  const { connection, place, prefix } = target;
  const { objects } = await listObjects(connection, place, prefix, '/');
  const keys = objects.map(({ key }) => key).filter((key) => key.endsWith(RECORD_SUFFIX));
  const records = await Promise.all(keys.map((key) => readRecord(target, key.slice(0, -RECORD_SUFFIX.length))));
  return records.filter((record) => record !== undefined);
}

/** What is known of a part that is whole. */
export async function readRecord({ connection, place }: S3Target, key: string): Promise<PartRecord | undefined> {
  return parseRecord(await readSmallObject(connection, place, `${key}${RECORD_SUFFIX}`));
}

async function readMarker({ connection, place, prefix }: S3Target) {
  return parseMarker(await readSmallObject(connection, place, `${prefix}${MARKER_NAME}`));
}

/** Whether a key is a lock's. */
export function isLockKey(key: string): boolean {
  return lockNumberOf(key.slice(key.lastIndexOf('/') + 1)) !== undefined;
}

/** Whether a key is that of a segment's journal. */
export function isJournalKey(key: string): boolean {
  return key.endsWith(JOURNAL_SUFFIX);
}

async function canRead(target: S3Target): Promise<boolean> {
  try {
    await listObjects(target.connection, target.place, target.prefix, '/');
    return (await readMarker(target)) !== undefined;
  } catch (error) {
    if (isDenied(error)) return false;
    throw error;
  }
}

/** Credentials that may only write are good practice: what they see nothing of can only be begun. */
async function listIfAllowed({ connection, place }: S3Target, start: string) {
  try {
    return (await listObjects(connection, place, start)).objects;
  } catch (error) {
    if (isDenied(error)) return [];
    throw error;
  }
}
