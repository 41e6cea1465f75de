import type { ObjectFailure, ResourceResult } from '../../src/report/results.ts';
import { asList } from './live-object.ts';
import type { TransshipRun } from './run-transship.ts';

/** The rows of the output `resources`, a kind each. */
export function rowsOf(run: TransshipRun): ResourceResult[] {
  return asList(run.output.resources) as ResourceResult[];
}

/** The row of one kind. */
export function rowOf(run: TransshipRun, kind: string): ResourceResult {
  const row = rowsOf(run).find((one) => one.kind === kind);
  if (row === undefined) throw new Error(`No row for ${kind} in:\n${run.stdout}\n${run.stderr}`);
  return row;
}

/** The output `failures`: what failed or was skipped, sorted by object. */
export function failuresOf(run: TransshipRun): ObjectFailure[] {
  const failures = asList(run.output.failures) as ObjectFailure[];
  return failures.sort((a, b) => (a.object < b.object ? -1 : 1));
}
