import { TransshipError } from '../errors.ts';
import { nameSource, type VmSource } from './export-state.ts';

/** What one target failed with, or several together. */
export interface VmFailure {
  readonly sources: readonly VmSource[];
  readonly error: unknown;
}

/** Compares failures by where in a list the first of their sources is. */
export function inOrderOf(all: readonly VmSource[]): (a: VmFailure, b: VmFailure) => number {
  const placeOf = ({ sources: [first] }: VmFailure) => (first === undefined ? -1 : all.indexOf(first));
  return (a, b) => placeOf(a) - placeOf(b);
}

/**
 * One error of all failures. What is no error for the user is a bug, and is told as it is.
 *
 * @param of - how many there were in all
 * @param could - such as `could not be exported`
 * @param more - hint to be added
 */
export function joinFailures(failures: readonly VmFailure[], of: number, could: string, more?: string): unknown {
  const [first] = failures;
  const bug = failures.find(({ error }) => !(error instanceof TransshipError));
  if (bug !== undefined) return bug.error;
  if (first === undefined || of === 1 || first.sources.length === of) return first?.error;
  const errors = failures.flatMap((one) => (one.error instanceof TransshipError ? [{ ...one, error: one.error }] : []));
  const lines = errors.map(({ sources, error }) => {
    const [what = ''] = sources.length === 1 ? sources.map(nameSource) : [];
    return error.message.includes(what) ? error.message : `${what}: ${error.message}`;
  });
  const count = failures.reduce((sum, { sources }) => sum + sources.length, 0);
  const hints = [...new Set([...errors.map(({ error }) => error.hint), more])].filter((hint) => hint !== undefined);
  const codes = new Set(errors.map(({ error }) => error.code));
  const [code = 'CLUSTER'] = codes.size === 1 ? codes : [];
  return new TransshipError(code, [`${count} of ${of} ${could}.`, ...lines].join('\n'), {
    hint: hints.length === 0 ? undefined : hints.join(' '),
    cause: first.error,
  });
}
