/**
 * Started by a test to be killed: writes a snapshot. After so many bytes it says `middle` and waits for ever; a
 * snapshot that is written is said too.
 */
import { randomBytes } from 'node:crypto';
import { type OpenBackendOptions, openBackend } from '../../../src/backends/open.ts';

export interface WriteOrder {
  readonly options: OpenBackendOptions;
  readonly id: string;
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

process.once('message', async (order: WriteOrder) => {
  await openBackend(order.options).write(order.id, '.tar.zst', giveBytes(order));
  process.send?.('written');
});
