import type * as z from 'zod/mini';
import { TransshipError } from './errors.ts';
import { findNearest } from './inputs/nearest.ts';
import { oneOf, quote } from './inputs/parsers.ts';
import { chooseStorage, findConflicts, type GivenInputs, type Problem, type Storage } from './inputs/rules.ts';
import { modesOf, schema } from './inputs/schema.ts';
import {
  cliModes,
  DEFAULT_PATH,
  type Door,
  type InputName,
  infoOf,
  inputNames,
  isInputName,
  type Mode,
  modeNames,
} from './inputs/table.ts';

export { formatDuration } from './inputs/parsers.ts';
export type { BackendName } from './inputs/schema.ts';
export { type Door, type Mode, modeNames } from './inputs/table.ts';

type Parsed = z.output<typeof schema>;
type WithStorage<T> = T extends { mode: 'teardown' }
  ? T
  : T extends { mode: 'promote' }
    ? Omit<T, keyof Storage> & { readonly storage?: Storage | undefined }
    : Omit<T, keyof Storage> & Storage;

/** The validated inputs of a run, keyed by the names users write; `mode` tells the kinds apart. */
export type Inputs = WithStorage<Parsed>;
export type ExportInputs = Extract<Inputs, { mode: 'export' }>;
export type ImportInputs = Extract<Inputs, { mode: 'import' }>;
export type PlanInputs = Extract<Inputs, { mode: 'plan' }>;
export type PromoteInputs = Extract<Inputs, { mode: 'promote' }>;
export type TeardownInputs = Extract<Inputs, { mode: 'teardown' }>;
export type ListInputs = Extract<Inputs, { mode: 'list' }>;
export type VerifyInputs = Extract<Inputs, { mode: 'verify' }>;
export type ClearInputs = Extract<Inputs, { mode: 'clear' }>;
export type WatchInputs = Extract<Inputs, { mode: 'watch' }>;

/** Inputs as a caller wrote them: names that may be unknown, texts that may be wrong. */
export type RawInputs = Readonly<Record<string, string>>;

/**
 * Validates what a door was given.
 *
 * @param more - problems the door itself has found, to be named in the same breath
 * @throws TransshipError `INPUT` naming every problem: the input, its value, what is allowed, what to do
 */
export function parseInputs(all: RawInputs, door: Door, more: readonly Problem[] = []): Inputs {
  const empty = Object.keys(all).filter((name) => all[name]?.trim() === '');
  const raw = Object.fromEntries(Object.entries(all).filter(([name]) => !empty.includes(name)));
  const given: GivenInputs = Object.fromEntries(Object.entries(raw).filter(([name]) => isInputName(name)));
  const storage = chooseStorage(given, door, DEFAULT_PATH);
  const parsed = schema.safeParse(raw);
  const problems = [
    ...more,
    ...empty
      .filter((name) => name !== 'mode')
      .map((input) => ({ input, message: 'has no value. Give it one, or leave it out.' })),
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => explain(issue, raw, door))),
  ];
  const mode = modeNames.find((name) => name === raw.mode);
  if (mode !== undefined) {
    const named = new Set(problems.map((problem) => problem.input));
    // An input that is wrong on its own is not also blamed for how it goes with others.
    problems.push(...findConflicts(belonging(given, mode), storage, door).filter(({ input }) => !named.has(input)));
  }
  if (parsed.success && problems.length === 0) {
    const { data } = parsed;
    if (data.mode === 'teardown') return data;
    if (data.mode === 'promote') return { ...data, storage };
    if (storage !== undefined) return { ...data, ...storage };
  }
  throw inputError(problems);
}

function inputError(problems: readonly Problem[]): TransshipError {
  const lines = problems.map(({ input, message }) => `${input}: ${message}`);
  const message = lines.length === 1 ? lines.join('') : `${lines.length} inputs are wrong:\n- ${lines.join('\n- ')}`;
  return new TransshipError('INPUT', message);
}

function explainUnknown(name: string): string {
  const nearest = findNearest(name, inputNames);
  return `is not an input. ${nearest === undefined ? `There are: ${inputNames.join(', ')}.` : `Did you mean ${nearest}?`}`;
}

function explain(issue: z.core.$ZodIssue, raw: RawInputs, door: Door): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => ({
      input: name,
      message: isInputName(name) ? explainForeign(name, raw, door) : explainUnknown(name),
    }));
  }
  const input = String(issue.path[0] ?? 'mode');
  return [{ input, message: input === 'mode' ? explainMode(raw.mode, door) : issue.message }];
}

function explainForeign(name: InputName, raw: RawInputs, door: Door): string {
  const value = infoOf(name).secret ? 'was given, but' : quote(raw[name] ?? '');
  const there = modesOf(name).filter((mode) => door === 'cli' || !cliModes.includes(mode));
  const whose = there.length === 0 ? 'the command line' : `mode ${oneOf(there)}`;
  return `${value} does not belong to mode ${raw.mode}. Remove it: it is for ${whose}.`;
}

function explainMode(mode: string | undefined, door: Door): string {
  const modes = modeNames.filter((name) => door === 'cli' || !cliModes.includes(name));
  const allowed = `Give ${oneOf(modes)}.`;
  if (mode === undefined) return `is missing. ${allowed}`;
  const nearest = findNearest(mode, modes);
  return `${quote(mode)} is not a mode. ${allowed}${nearest === undefined ? '' : ` Did you mean ${nearest}?`}`;
}

function belonging(given: GivenInputs, mode: Mode): GivenInputs {
  return Object.fromEntries(
    Object.entries(given).filter(([name]) => isInputName(name) && modesOf(name).includes(mode)),
  );
}
