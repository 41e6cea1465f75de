/** What a decision about a release's history needs to know of one of its records. */
export interface RevisionStatus {
  readonly revision: number;
  /** The status label, such as `deployed` or `pending-upgrade`. */
  readonly status: string;
}

/**
 * The record that stands for what runs: the highest `deployed` one, else the highest `superseded` or `failed` one.
 * Undefined where nothing runs: every record is pending, or the newest says that the release was uninstalled
 * (`helm uninstall --keep-history`).
 */
export function pickRunning<T extends RevisionStatus>(records: readonly T[]): T | undefined {
  const deployed = highest(records.filter((record) => record.status === 'deployed'));
  if (deployed !== undefined) return deployed;
  const newest = highest(records);
  if (newest?.status === 'uninstalled' || newest?.status === 'uninstalling') return undefined;
  return highest(records.filter((record) => record.status === 'superseded' || record.status === 'failed'));
}

/** The newest `count` records and the running one, oldest first. */
export function keepNewest<T extends RevisionStatus>(records: readonly T[], count: number): T[] {
  const sorted = records.toSorted((a, b) => a.revision - b.revision);
  const kept = sorted.slice(Math.max(0, sorted.length - count));
  const running = pickRunning(records);
  return running === undefined || kept.includes(running) ? kept : [running, ...kept];
}

/** The record with the highest revision. */
export function highest<T extends RevisionStatus>(records: readonly T[]): T | undefined {
  let found: T | undefined;
  for (const record of records) {
    if (found === undefined || record.revision > found.revision) found = record;
  }
  return found;
}
