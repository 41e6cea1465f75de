import { createHash } from 'node:crypto';
import { ArchiveDamagedError, damaged } from '../archive/damage.ts';
import { readBody } from '../archive/entry.ts';
import { readArchive } from '../archive/read.ts';
import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import type { Bytes } from '../backends/backend.ts';
import { TransshipError } from '../errors.ts';
import { createInventory } from '../releases/inventory.ts';
import type { RunVerify } from './run.ts';
import { openStorage, snapshotOutputs } from './storage.ts';

/** Reads a snapshot once, checks every size and digest, and says what is in it. Needs no cluster. */
export const run: RunVerify = async (inputs, { reporter, signal }) => {
  const backend = openStorage(inputs);
  const stored = await backend.find(inputs.snapshot);
  reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
  const measured = measure(backend.read(stored, signal));
  const inventory = createInventory();
  const problems: string[] = [];
  let files = 0;
  let bytes = 0;
  try {
    for await (const entry of readArchive(measured.bytes, signal)) {
      if (files === 0 && entry.path !== SNAPSHOT_PATH)
        throw damaged(`The archive does not start with ${SNAPSHOT_PATH}.`);
      if (entry.path === SNAPSHOT_PATH) parseSnapshot(await readBody(entry));
      await inventory.add(entry);
      files += 1;
      bytes += entry.size;
    }
  } catch (error) {
    if (!(error instanceof TransshipError && error.code === 'ARCHIVE_DAMAGED')) throw error;
    problems.push(...(error instanceof ArchiveDamagedError ? error.problems : [error.message]));
  }
  // What is damaged was not read to its end, and has no digest to speak of.
  const whole = problems.length === 0 ? measured.result() : undefined;
  if (whole !== undefined && inputs.digest !== undefined && inputs.digest !== whole.digest) {
    problems.push(`The archive is not the expected one: its digest is ${whole.digest}, expected is ${inputs.digest}.`);
  }
  return {
    outputs: { ...snapshotOutputs(stored), ...whole, releases: inventory.releases() },
    summary: { mode: 'verify', files, bytes, problems },
    failed: problems.length > 0,
  };
};

/** Counts and digests bytes as they pass. */
function measure(source: Bytes): { bytes: Bytes; result(): { size: number; digest: string } } {
  const sha256 = createHash('sha256');
  let size = 0;
  async function* pass(): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      sha256.update(piece);
      size += piece.byteLength;
      yield piece;
    }
  }
  return { bytes: pass(), result: () => ({ size, digest: `sha256:${sha256.copy().digest('hex')}` }) };
}
