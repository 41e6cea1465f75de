import * as z from 'zod/mini';
import { type Entry, entryOf } from '../archive/entry.ts';
import { partCompressions } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';

/** The file of a snapshot that names its virtual machines and where their archives are. */
export const VMS_PATH = '_vms.json';

const count = z.int().check(z.nonnegative());

const partSchema = z.object({
  kind: z.enum(['vm', 'snapshot', 'pvc']),
  namespace: z.string(),
  /** Of the machine; of a claim alone, the claim's. */
  name: z.string(),
  /** Of the VirtualMachineSnapshot that it was exported from. */
  snapshot: z.optional(z.string()),
  /** Within the snapshot, to open it by. */
  file: z.string(),
  /** Bytes as stored. */
  size: count,
  digest: z.string().check(z.regex(/^sha256:[0-9a-f]{64}$/)),
  compression: z.enum(partCompressions),
  encrypted: z.boolean(),
  volumes: z.array(z.object({ claim: z.string(), contents: z.enum(['disk', 'files']), size: count })),
});
const listSchema = z.array(partSchema);

/** A virtual machine, or a claim alone, and the archive that it is in. */
export type VmPart = z.infer<typeof partSchema>;

/** The entry that names the virtual machines of a snapshot, a line each. */
export function vmsEntry(parts: readonly VmPart[]): Entry {
  const lines = parts.map((part) => `  ${JSON.stringify(part)}`);
  return entryOf(VMS_PATH, lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`);
}

/**
 * Reads it.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for anything else
 */
export function parseVms(content: Uint8Array): VmPart[] {
  try {
    return listSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content)));
  } catch (error) {
    throw new TransshipError('ARCHIVE_DAMAGED', `${VMS_PATH} is not as Transship writes it.`, { cause: error });
  }
}
