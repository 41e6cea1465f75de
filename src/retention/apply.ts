import type { Backend } from '../backends/backend.ts';
import { chooseKept, type Dated, groupOf } from './choose.ts';
import type { RetentionPolicy } from './policy.ts';
import { isAbandoned, type RemovalOptions, type Removed, removeAll } from './removal.ts';

export interface RetentionOptions extends RemovalOptions {
  /**
   * A snapshot that was just stored: it stays whatever the clocks say, and only its like is looked at, such as the trees of
   * its cluster. Without it, all that is at the path.
   */
  readonly of?: Omit<Dated, 'state'> | undefined;
}

/** What became of stored snapshots. */
export interface RetentionResult extends Removed {
  /** How many complete ones stay. */
  readonly kept: number;
}

/**
 * Deletes the snapshots that a policy does not keep, and what exports have left more than a day ago.
 *
 * @returns what was deleted, and what could not be: then the others still are
 * @throws TransshipError `BACKEND` when the storage can't be looked at
 */
export async function applyRetention(
  backend: Pick<Backend, 'survey' | 'remove' | 'removeLeftover' | 'removePlan'>,
  policy: RetentionPolicy,
  options: RetentionOptions,
): Promise<RetentionResult> {
  const { reporter, signal, of } = options;
  const survey = await backend.survey(signal);
  const group = of && groupOf(of);
  const like = survey.snapshots.filter((snapshot) => group === undefined || groupOf(snapshot) === group);
  const { keep, remove } = chooseKept(like, policy, survey.now);
  const future = [...keep].filter(([, reasons]) => reasons.includes('future')).map(([{ id }]) => id);
  if (future.length > 0) {
    reporter.warn(
      `${future.slice(0, 5).join(', ')}${future.length > 5 ? ` and ${future.length - 5} more` : ''}: of a time that is yet to come, so some clock was wrong. They stay, and are not counted.`,
      'Snapshots of the future',
    );
  }
  const snapshots = remove.filter(({ id }) => id !== of?.id);
  const leftovers = survey.leftovers.filter((leftover) => isAbandoned(leftover, survey));
  const done = await removeAll(backend, { snapshots, leftovers, plans: [], now: survey.now }, options);
  return {
    ...done,
    kept:
      like.filter(({ state }) => state === 'complete').length -
      done.removed.filter(({ what }) => what === 'snapshot').length,
  };
}
