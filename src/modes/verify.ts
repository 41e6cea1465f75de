import { ArchiveDamagedError, damaged } from '../archive/damage.ts';
import { readBody } from '../archive/entry.ts';
import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import type { StoredSnapshot } from '../backends/backend.ts';
import { TransshipError } from '../errors.ts';
import { createInventory } from '../releases/inventory.ts';
import { createResourceInventory } from '../resources/inventory.ts';
import { readIdentities } from './identities.ts';
import type { RunVerify } from './run.ts';
import { checkEncrypted, openStorage, readSnapshot, type SnapshotReading, snapshotOutputs } from './storage.ts';

/**
 * Reads a snapshot once, checks every size and digest, and says what is in it. Of one that is encrypted, without an
 * identity, it checks what is stored. Needs no cluster.
 */
export const run: RunVerify = async (inputs, { reporter, signal }) => {
  const identities = await readIdentities(inputs.identity, reporter);
  const backend = openStorage(inputs);
  const stored = await backend.find(inputs.snapshot);
  reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
  if (stored.encrypted === true && identities.length === 0) {
    reporter.warn('No identity is given, so only what is stored was checked, and not what is in it.', 'Encrypted');
    const checked = await collectProblems(() => checkEncrypted(backend, stored, signal));
    const problems = [...checked.problems, ...compareDigest(checked.value, inputs.digest ?? stored.digest)];
    return {
      outputs: { ...snapshotOutputs(stored), ...checked.value },
      summary: { mode: 'verify', files: 0, bytes: 0, unread: true, problems },
      failed: problems.length > 0,
    };
  }
  const reading = readSnapshot(backend, stored, identities, signal);
  const { files, bytes, releases, resources, ...content } = await readContent(reading);
  // What is damaged was not read to its end, and has no digest to speak of.
  const whole = content.problems.length === 0 ? reading.result() : undefined;
  const problems = [...content.problems, ...compareDigest(whole, inputs.digest)];
  return {
    outputs: { ...snapshotOutputs(stored), ...whole, releases, resources },
    summary: { mode: 'verify', files, bytes, problems },
    failed: problems.length > 0,
  };
};

/** Reads all that is in a snapshot; what is damaged is noted. */
async function readContent(reading: SnapshotReading) {
  const releases = createInventory();
  const resources = createResourceInventory();
  const found = { files: 0, bytes: 0 };
  const unreadable: string[] = [];
  const { problems } = await collectProblems(async () => {
    for await (const entry of reading.entries) {
      if (found.files === 0 && entry.path !== SNAPSHOT_PATH)
        throw damaged(`The snapshot does not start with ${SNAPSHOT_PATH}.`);
      if (entry.path === SNAPSHOT_PATH) parseSnapshot(await readBody(entry));
      await releases.add(entry);
      // A file that can't be understood does not keep the others from being checked.
      unreadable.push(...(await collectProblems(() => resources.add(entry))).problems);
      found.files += 1;
      found.bytes += entry.size;
    }
  });
  return {
    ...found,
    releases: releases.releases(),
    resources: resources.resources(),
    problems: [...unreadable, ...problems],
  };
}

/** Does some work; when that finds something damaged, says what. */
async function collectProblems<T>(work: () => Promise<T>): Promise<{ value?: T; problems: readonly string[] }> {
  try {
    return { value: await work(), problems: [] };
  } catch (error) {
    if (!(error instanceof TransshipError && error.code === 'ARCHIVE_DAMAGED')) throw error;
    return { problems: error instanceof ArchiveDamagedError ? error.problems : [error.message] };
  }
}

function compareDigest(whole: Pick<StoredSnapshot, 'digest'> | undefined, expected: string | undefined): string[] {
  if (whole === undefined || expected === undefined || whole.digest === expected) return [];
  return [`The snapshot is not the expected one: its digest is ${whole.digest}, expected is ${expected}.`];
}
