import { readBody } from '../../../src/archive/entry.ts';
import type { ArchiveFiles } from '../../../src/releases/bundles.ts';
import { decodeRecord } from '../../../src/releases/record.ts';
import { recordToEntry } from '../../../src/releases/record-entry.ts';
import { makeObject, type RecordSpec } from './make-record.ts';

/** An archive of the given records, and other files. */
export async function archiveOf(
  specs: readonly RecordSpec[],
  others: Readonly<Record<string, string>> = {},
): Promise<ArchiveFiles> {
  const files = new Map<string, Buffer>(Object.entries(others).map(([path, text]) => [path, Buffer.from(text)]));
  for (const spec of specs) {
    const record = await decodeRecord(makeObject(spec));
    const entry = recordToEntry(record, Buffer.from(record.json), spec.driver === 'configmap');
    files.set(entry.path, await readBody(entry));
  }
  return {
    paths: () => files.keys(),
    read: async (path) => files.get(path) ?? Promise.reject(new Error(`There is no ${path}.`)),
  };
}
