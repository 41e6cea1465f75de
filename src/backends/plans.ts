import { TransshipError } from '../errors.ts';

/** The folder that saved plans are in, beside the snapshots. */
export const PLANS_FOLDER = 'plans';

/** A time as in a snapshot's id, and the fingerprint of what the plan is bound to. */
const PLAN_ID = /^\d\d-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{32}$/;

/**
 * The file name of a saved plan.
 *
 * @throws TransshipError `INPUT` for what is no plan's id: it becomes a part of a path
 */
export function planFileName(id: string): string {
  if (PLAN_ID.test(id)) return `${id}.json`;
  throw new TransshipError('INPUT', `plan-id: ${JSON.stringify(id)} is not the id of a plan.`, {
    hint: 'Give the output plan-id of mode plan as it is.',
  });
}

/** Whether a file is that of a saved plan. */
export function isPlanFileName(name: string): boolean {
  return name.endsWith('.json') && PLAN_ID.test(name.slice(0, -'.json'.length));
}
