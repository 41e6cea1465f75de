import { randomBytes } from 'node:crypto';
import { rename, rm, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { JOURNAL_SUFFIX } from '../archive/frame-journal.ts';
import { writeFramedFile } from '../archive/framed-file.ts';
import { measure } from '../archive/measure.ts';
import type { NewPart, PartStore, WrittenPart } from '../archive/part.ts';
import { parseSnapshotId } from '../archive/snapshot.ts';
import { failTo, syncFolder, writeNewFile } from './files.ts';
import {
  beginLocalGroup,
  findSources,
  localLocks,
  readJournalSource,
  readMarker,
  readRecord,
  removeHelpers,
  removeOthers,
  writeMarker,
  writeRecord,
} from './local-group.ts';
import { partBytes } from './part-bytes.ts';
import { groupName, isSamePart, MARKER_NAME, partFileName, partSuffix, RECORD_SUFFIX } from './part-group.ts';
import { claim, takenOver } from './part-lock.ts';
import { placeFile } from './place-file.ts';
import { checkSuffix } from './selector.ts';

/**
 * Begins the parts of a snapshot in `<parent>/transship-<id>.vms/`, or goes on with those of an interrupted export.
 *
 * @param complete - the ids of the snapshots that are complete
 */
export async function beginLocalParts(
  parent: string,
  id: string,
  scope: string,
  complete: ReadonlySet<string>,
): Promise<PartStore> {
  const group = await beginLocalGroup(parent, id, scope, complete);
  const { folder } = group;
  const written = new Set<string>();
  return {
    id: group.id,
    isBare: false,
    interrupted: await findSources(folder),
    write: (part) =>
      group.claim.use(async () => {
        const file = partFileName(part);
        const location = join(folder, file);
        const result = (await findWhole(location, part)) ?? (await writeAnew(location, part));
        written.add(file);
        return { file: `${groupName(group.id)}/${file}`, location, ...result };
      }),
    async finish() {
      await group.claim.stop();
      await removeOthers(folder, written);
    },
    close: () => group.claim.release(),
  };
}

/**
 * Begins the one part of a path that is a file.
 *
 * @throws TransshipError `BACKEND` when another export is writing it
 */
export async function beginBarePart(folder: string, file: string, id: string, scope: string): Promise<PartStore> {
  const location = join(folder, file);
  const helpers = { folder, start: `${file}.` };
  const claimed = await claim(localLocks(helpers), location);
  if (claimed === undefined) throw takenOver(location);
  const marker = await readMarker(helpers);
  const source = await readJournalSource(`${location}${JOURNAL_SUFFIX}`);
  const isSame = marker?.scope === scope && marker.name !== undefined && source !== undefined;
  let name: string | undefined;
  return {
    id,
    isBare: true,
    interrupted: new Map(isSame ? [[marker.name, source]] : []),
    write: (part) =>
      claimed.use(async () => {
        checkSuffix(file, partSuffix(part));
        if (name !== undefined) throw new Error(`${location} is the part ${name}, and can't be ${part.name} too.`);
        await writeMarker(helpers, { id, scope, begun: new Date().toISOString(), name: part.name });
        const result = await store(location, part, async (partial) => {
          const time = parseSnapshotId(id);
          if (time !== undefined) await utimes(partial, time, time).catch(failTo('write', partial));
          await placeFile(partial, location);
          await syncFolder(folder);
        });
        name = part.name;
        return { file: '', location, ...result };
      }),
    async finish() {
      await claimed.stop();
      await removeHelpers(helpers, (one) => one === MARKER_NAME || `.${one}` === JOURNAL_SUFFIX);
    },
    close: () => claimed.release(),
  };
}

type Stored = Pick<WrittenPart, 'size' | 'digest' | 'kept'>;

/** A part that an interrupted export has stored whole, of the same source. */
async function findWhole(location: string, part: NewPart): Promise<Stored | undefined> {
  const record = await readRecord(location);
  if (record === undefined || !isSamePart(record, part)) return undefined;
  const size = await stat(location).then(
    (stats) => stats.size,
    () => -1,
  );
  return size === record.size ? { size, digest: record.digest, kept: size } : undefined;
}

async function writeAnew(location: string, part: NewPart): Promise<Stored> {
  const { name, source, encryptTo } = part;
  const stored = await store(location, part, async (partial) => {
    // At no time it may say of one file what is true of another.
    await rm(`${location}${RECORD_SUFFIX}`, { force: true }).catch(failTo('write', location));
    await rename(partial, location).catch(failTo('write', location));
    await syncFolder(dirname(location));
  });
  const { size, digest } = stored;
  await writeRecord(location, { name, source, encryptTo, size, digest });
  return stored;
}

type Place = (partial: string) => Promise<void>;

async function store(location: string, part: NewPart, place: Place): Promise<Stored> {
  const { source, compression, mtime, onRestart, signal, entries } = part;
  if (part.encryptTo !== undefined) return storeAtOnce(location, part, place);
  return writeFramedFile(location, entries, { source, compression, mtime, onRestart, signal, place });
}

/** Stores what can't be gone on with. */
async function storeAtOnce(location: string, part: NewPart, place: Place): Promise<Stored> {
  const partial = `${location}.${randomBytes(4).toString('hex')}.partial`;
  const { bytes, result } = measure(partBytes(part));
  await writeNewFile(partial, bytes, part.signal);
  try {
    await place(partial);
  } catch (error) {
    await unlink(partial).catch(() => {});
    throw error;
  }
  return { ...result(), kept: 0 };
}
