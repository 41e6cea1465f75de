/**
 * Started by a test to be killed: writes a snapshot. After so many bytes it says `middle` and waits for ever; a
 * snapshot that is written is said too.
 */
import { randomBytes } from 'node:crypto';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { writeTree } from '../../../src/archive/tree.ts';
import { type OpenBackendOptions, openBackend } from '../../../src/backends/open.ts';

export interface WriteOrder {
  readonly options: OpenBackendOptions;
  readonly id: string;
  /** As what to write it; an archive when left out. A tree has a file for each MiB, of a cluster `stage`. */
  readonly layout?: 'tree';
  /** How many MiB to give before waiting; without end when left out. */
  readonly mebibytes: number;
  /** End after them instead of waiting. */
  readonly finish?: boolean;
}

async function* giveBytes({ mebibytes, finish }: WriteOrder): AsyncGenerator<Uint8Array> {
  for (let given = 0; given < mebibytes; given += 1) yield randomBytes(1024 * 1024);
  if (finish === true) return;
  process.send?.('middle');
  await new Promise(() => {});
}

async function* giveEntries(order: WriteOrder): AsyncGenerator<Entry> {
  yield entryOf('_snapshot.json', '{}');
  let given = 0;
  for await (const bytes of giveBytes(order)) yield entryOf(`shop/file-${++given}.json`, bytes);
}

process.once('message', async (order: WriteOrder) => {
  const backend = openBackend(order.options);
  if (order.layout === 'tree') await backend.writeTree(order.id, 'stage', writeTree(giveEntries(order)).entries);
  else await backend.write(order.id, '.tar.zst', giveBytes(order));
  process.send?.('written');
});
