import { measureAll } from '../archive/measure.ts';
import type { PartReader } from '../archive/part.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmResult } from '../report/results.ts';
import type { VmPart } from '../vms/part-list.ts';
import { collectProblems } from './verify-problems.ts';

/** What the archives of virtual machines are read with. */
export interface VerifyVmsOptions {
  readonly directory: string;
  readonly identities: readonly string[];
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** What was found of the archives of virtual machines. */
export interface VerifiedVms {
  readonly vms: readonly VmResult[];
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly string[];
}

/**
 * Reads the archives of virtual machines that a snapshot names, and compares what is stored with the snapshot, and what is
 * in it with its manifest; without the identity of one that is encrypted, only what is stored.
 */
export async function verifyVms(
  parts: readonly VmPart[],
  open: (file: string) => Promise<PartReader>,
  options: VerifyVmsOptions,
): Promise<VerifiedVms> {
  const vms: VmResult[] = [];
  const problems: string[] = [];
  let files = 0;
  let bytes = 0;
  for (const part of parts) {
    const { kind, namespace, name, volumes, size } = part;
    options.reporter.progress(`Reading the archive of ${namespace}/${name}`);
    const checked = await collectProblems(() => verifyOne(part, open, options));
    files += checked.value?.files ?? 0;
    bytes += checked.value?.bytes ?? 0;
    problems.push(...checked.problems, ...(checked.value?.problems ?? []));
    vms.push({ kind, namespace, name, volumes, size, outcome: 'exported' });
  }
  return { vms, files, bytes, problems };
}

async function verifyOne(
  part: VmPart,
  open: (file: string) => Promise<PartReader>,
  { directory, identities, signal }: VerifyVmsOptions,
): Promise<{ files: number; bytes: number; problems: readonly string[] }> {
  const origin = `${part.namespace}/${part.name}`;
  const reader = await open(part.file);
  try {
    const problems = await compareStored(reader, part, origin);
    if (part.encrypted && identities.length === 0) return { files: 0, bytes: 0, problems };
    const { verifyPart } = await import('../vms/verify-part.ts');
    const content = await collectProblems(() => verifyPart(reader, { origin, directory, identities, signal }));
    return {
      files: content.value?.files ?? 0,
      bytes: content.value?.bytes ?? 0,
      problems: [...content.problems, ...problems],
    };
  } finally {
    await reader.close();
  }
}

async function compareStored(reader: PartReader, { digest }: VmPart, origin: string): Promise<string[]> {
  const { digest: found } = await measureAll(reader.bytes());
  if (found === digest) return [];
  return [`${origin}: its archive is not the one that was exported: its digest is ${found}, expected is ${digest}.`];
}
