import { TransshipError } from '../errors.ts';
import { gaveUpEarly } from './helm.ts';
import { type FrozenOptions, type HelmContext, runFrozen, type Way } from './install-release.ts';
import { deleteSucceeded, type LeftByHelm } from './left-by-helm.ts';
import type { RecordPlace } from './put-records.ts';
import type { ReleaseRecord } from './record.ts';

/** From where on Helm is to work on a frozen chart, and how. */
export interface Start extends Pick<FrozenOptions, 'labels'> {
  readonly way: Way;
  readonly left: LeftByHelm;
}

/** How often Helm is run in all. */
const MOST_RUNS = 3;

/**
 * Has Helm bring in the frozen chart of a record, and go on where it stopped waiting early: no hook runs twice for that.
 *
 * @param mark - of the frozen chart
 * @param look - finds out what Helm has left, for it to go on
 * @returns what the last run began with
 * @throws TransshipError `HELM` in Helm's own words
 */
export async function bringFrozen(
  context: HelmContext,
  record: ReleaseRecord,
  { driver, namespace, name }: RecordPlace,
  mark: string,
  first: Start,
  look: () => Promise<Start>,
): Promise<LeftByHelm> {
  let start = first;
  for (let runs = 1; !start.left.isDone; runs++) {
    const { way, left, labels } = start;
    try {
      await runFrozen(context, record, driver, way, mark, { hooks: left.hooks, labels });
      break;
    } catch (error) {
      const isEarly = error instanceof TransshipError && error.code === 'HELM' && gaveUpEarly(error.message);
      if (!isEarly || runs === MOST_RUNS) throw error;
      context.reporter.debug(`Helm stopped waiting for ${namespace}/${name} early, and is run again: ${error.message}`);
      start = await look();
    }
  }
  await deleteSucceeded(context, namespace, start.left.ran);
  return start.left;
}
