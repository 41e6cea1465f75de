import { ArchiveDamagedError, damaged } from '../archive/damage.ts';
import { readBody } from '../archive/entry.ts';
import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { TransshipError } from '../errors.ts';
import { createInventory } from '../releases/inventory.ts';
import { createResourceInventory } from '../resources/inventory.ts';
import type { RunVerify } from './run.ts';
import { openStorage, readSnapshot, snapshotOutputs } from './storage.ts';

/** Reads a snapshot once, checks every size and digest, and says what is in it. Needs no cluster. */
export const run: RunVerify = async (inputs, { reporter, signal }) => {
  const backend = openStorage(inputs);
  const stored = await backend.find(inputs.snapshot);
  reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
  const reading = readSnapshot(backend, stored, signal);
  const releases = createInventory();
  const resources = createResourceInventory();
  const problems: string[] = [];
  // A file that can't be understood does not keep the others from being checked.
  const noteDamage = (error: unknown): void => {
    if (!(error instanceof TransshipError && error.code === 'ARCHIVE_DAMAGED')) throw error;
    problems.push(...(error instanceof ArchiveDamagedError ? error.problems : [error.message]));
  };
  let files = 0;
  let bytes = 0;
  try {
    for await (const entry of reading.entries) {
      if (files === 0 && entry.path !== SNAPSHOT_PATH)
        throw damaged(`The snapshot does not start with ${SNAPSHOT_PATH}.`);
      if (entry.path === SNAPSHOT_PATH) parseSnapshot(await readBody(entry));
      await releases.add(entry);
      await resources.add(entry).catch(noteDamage);
      files += 1;
      bytes += entry.size;
    }
  } catch (error) {
    noteDamage(error);
  }
  // What is damaged was not read to its end, and has no digest to speak of.
  const whole = problems.length === 0 ? reading.result() : undefined;
  if (whole !== undefined && inputs.digest !== undefined && inputs.digest !== whole.digest) {
    problems.push(`The snapshot is not the expected one: its digest is ${whole.digest}, expected is ${inputs.digest}.`);
  }
  return {
    outputs: { ...snapshotOutputs(stored), ...whole, releases: releases.releases(), resources: resources.resources() },
    summary: { mode: 'verify', files, bytes, problems },
    failed: problems.length > 0,
  };
};
