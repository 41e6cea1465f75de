import type { TransshipError } from '../errors.ts';
import type { Differ } from '../plan/diff.ts';
import type { PlanProblem, ProblemKind } from '../plan/plan.ts';
import type { Preflight } from '../preflight/preflight.ts';

/** What a plan is explained with. */
export interface Explain {
  readonly differ: Differ;
  readonly preflight: Preflight;
}

const KINDS: Partial<Record<TransshipError['code'], ProblemKind>> = {
  RELEASE_EXISTS: 'exists',
  FORBIDDEN: 'forbidden',
  NOT_SERVED: 'not-served',
  RECORD_INVALID: 'other',
  INPUT: 'other',
};

/** What would stop an import, as a problem of a plan; undefined for what stops the plan as well. */
export function problemOf({ code, message, hint }: TransshipError): PlanProblem | undefined {
  const kind = KINDS[code];
  return kind && { kind, message, hint };
}
