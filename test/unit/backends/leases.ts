import type { LeaseStore } from '../../../src/backends/backend.ts';
import { type OpenBackendOptions, openBackend } from '../../../src/backends/open.ts';

export function leaseAt(options: OpenBackendOptions): LeaseStore {
  const { lease } = openBackend(options);
  if (lease === undefined) throw new Error('There is no lease.');
  return lease;
}

/** Counts on so many times; whoever replaced a number has seen that number. */
export async function countOn(lease: LeaseStore, times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const before = await lease.read();
    const next = String(Number(before?.text ?? 0) + 1);
    if ((await lease.write(next, before?.version)) !== undefined) done += 1;
  }
}
