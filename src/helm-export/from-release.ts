import { isUtf8 } from 'node:buffer';
import { damaged } from '../archive/damage.ts';
import { type Entry, entryOf } from '../archive/entry.ts';
import { isRecordPath, joinRecordFile } from '../releases/record-entry.ts';
import { joinJson } from './cuts.ts';
import type { Release } from './generated/hapi/release_pb.ts';
import type { Record } from './generated/transship/helm_export_pb.ts';

/**
 * The archive's file of a record that Transship wrote, byte for byte.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` when what the release says of it does not fit together
 */
export function toRecordEntry(release: Release, { path, head, json: pieces }: Record): Entry {
  const name = `Revision ${release.version} of release ${release.namespace}/${release.name}`;
  if (!isRecordPath(path))
    throw damaged(`${name} has the path ${JSON.stringify(path)}, which is not that of a record.`);
  if (!isUtf8(head) || !pieces.every(({ text }) => isUtf8(text))) throw damaged(`${name} is not UTF-8.`);
  const json = joinJson(pieces, release);
  if (json === undefined) throw damaged(`${name} is not whole: a field that its record is made of is missing.`);
  return entryOf(path, joinRecordFile({ head: Buffer.from(head).toString('utf8'), json }));
}
