import type { RunList } from './run.ts';
import { openStorage, snapshotOutputs } from './storage.ts';

/** Shows the snapshots that a backend holds, unfinished ones among them. */
export const run: RunList = async (inputs) => {
  const snapshots = await openStorage(inputs).list();
  const newest = snapshots.find(({ state }) => state === 'complete');
  return {
    outputs: { ...(newest === undefined ? {} : snapshotOutputs(newest)), snapshots },
    summary: { mode: 'list' },
    failed: false,
  };
};
