/**
 * Started by tests, several at once: races for a lease, and tells of each order what came of it.
 */
import type { OpenBackendOptions } from '../../../src/backends/open.ts';
import { countOn, leaseAt } from './leases.ts';

export interface RaceOrder {
  readonly options: OpenBackendOptions;
  /** The version that all racers of a round mean to replace, and how many of them are in this process. */
  readonly replace?: { readonly expected: string | undefined; readonly racers: number; readonly name: string };
  /** How often to count on what is there by one. */
  readonly count?: number;
}

/** The texts that were written, of racers. */
export type RaceResult = readonly string[];

process.on('message', async ({ options, replace, count = 0 }: RaceOrder) => {
  const lease = leaseAt(options);
  await countOn(lease, count);
  const names = Array.from({ length: replace?.racers ?? 0 }, (_, index) => `${replace?.name}-${index}`);
  const versions = await Promise.all(names.map((name) => lease.write(name, replace?.expected)));
  process.send?.(names.filter((_, index) => versions[index] !== undefined));
});
