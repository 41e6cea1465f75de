/**
 * Started by tests to be killed: writes a part whose source falls silent in the middle, and says so.
 */
import { type OpenBackendOptions, openBackend } from '../../../src/backends/open.ts';
import { type PartOptions, partOf, SCOPE } from './parts.ts';

export interface PartOrder {
  readonly options: OpenBackendOptions;
  readonly id: string;
  readonly part: Pick<PartOptions, 'at' | 'size' | 'source' | 'name' | 'ending'>;
}

const run = async ({ options, id, part }: PartOrder) => {
  const store = await openBackend(options).beginParts(id, SCOPE);
  await store.write(partOf({ ending: 'falls silent', onSilence: () => process.send?.('silent'), ...part }));
};

const [order] = process.argv.slice(2);
if (order === undefined) process.once('message', run);
else await run(JSON.parse(order));
