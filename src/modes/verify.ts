import { damaged } from '../archive/damage.ts';
import { readBody } from '../archive/entry.ts';
import { parseSnapshot, SNAPSHOT_PATH } from '../archive/snapshot.ts';
import type { StoredSnapshot } from '../backends/backend.ts';
import type { VerifyInputs } from '../inputs.ts';
import { createInventory } from '../releases/inventory.ts';
import { createResourceInventory } from '../resources/inventory.ts';
import { parseVms, VMS_PATH, type VmPart } from '../vms/part-list.ts';
import { type BareVm, openBareVm } from './bare-vm.ts';
import { readIdentities } from './identities.ts';
import { openParts } from './import-vms.ts';
import type { RunResult, RunVerify } from './run.ts';
import {
  checkEncrypted,
  openStorage,
  readSnapshot,
  type SnapshotReading,
  snapshotOutputs,
  withVms,
} from './storage.ts';
import { collectProblems } from './verify-problems.ts';
import { type VerifyVmsOptions, verifyVms } from './verify-vms.ts';

/**
 * Reads a snapshot once, checks every size and digest, and says what is in it. Of one that is encrypted, without an
 * identity, it checks what is stored. Needs no cluster.
 */
export const run: RunVerify = async (inputs, { reporter, signal, temporaryDirectory }) => {
  const identities = await readIdentities(inputs.identity, reporter);
  const backend = openStorage(inputs);
  const stored = await backend.find(inputs.snapshot);
  reporter.info(`Reading snapshot ${stored.id} from ${stored.location}.`);
  const options = { directory: temporaryDirectory, identities, reporter, signal };
  const bare = await openBareVm(backend, stored, options);
  if (bare !== undefined) return verifyBare(stored, bare, inputs, options);
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
  const { releases, resources, parts, ...content } = await readContent(reading);
  // What is damaged was not read to its end, and has no digest to speak of.
  const whole = content.problems.length === 0 ? reading.result() : undefined;
  const machines = parts && (await verifyVms(parts, openParts(backend, stored, temporaryDirectory, signal), options));
  const problems = [...content.problems, ...compareDigest(whole, inputs.digest), ...(machines?.problems ?? [])];
  const files = content.files + (machines?.files ?? 0);
  const bytes = content.bytes + (machines?.bytes ?? 0);
  const outputs = { ...snapshotOutputs(stored), ...whole, releases, resources };
  return {
    outputs: machines === undefined ? outputs : withVms(outputs, { results: machines.vms }),
    summary: { mode: 'verify', files, bytes, problems },
    failed: problems.length > 0,
  };
};

/** The archive of one machine that is in no snapshot. */
async function verifyBare(
  stored: StoredSnapshot,
  { archives, spool }: BareVm,
  { digest }: VerifyInputs,
  options: VerifyVmsOptions,
): Promise<RunResult> {
  await spool.close();
  const { verifyPart } = await import('../vms/verify-part.ts');
  const found = { files: 0, bytes: 0, problems: [] as readonly string[] };
  for (const { open, origin } of archives) {
    const { value, problems } = await collectProblems(async () => verifyPart(await open(), { ...options, origin }));
    Object.assign(found, value, { problems });
  }
  const problems = [...found.problems, ...compareDigest(spool, digest)];
  return {
    outputs: { ...snapshotOutputs(stored), digest: spool.digest, size: spool.size },
    summary: { mode: 'verify', ...found, problems },
    failed: problems.length > 0,
  };
}

/** Reads all that is in a snapshot; what is damaged is noted. */
async function readContent(reading: SnapshotReading) {
  const releases = createInventory();
  const resources = createResourceInventory();
  const found = { files: 0, bytes: 0 };
  const unreadable: string[] = [];
  let parts: readonly VmPart[] | undefined;
  const { problems } = await collectProblems(async () => {
    for await (const entry of reading.entries) {
      if (found.files === 0 && entry.path !== SNAPSHOT_PATH)
        throw damaged(`The snapshot does not start with ${SNAPSHOT_PATH}.`);
      if (entry.path === SNAPSHOT_PATH) parseSnapshot(await readBody(entry));
      if (entry.path === VMS_PATH) parts = parseVms(await readBody(entry));
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
    parts,
    problems: [...unreadable, ...problems],
  };
}

function compareDigest(whole: Pick<StoredSnapshot, 'digest'> | undefined, expected: string | undefined): string[] {
  if (whole === undefined || expected === undefined || whole.digest === expected) return [];
  return [`The snapshot is not the expected one: its digest is ${whole.digest}, expected is ${expected}.`];
}
