import { isMap } from '../values.ts';
import { redactPair } from './redact.ts';

/** Shows what changes, secrets redacted. */
export interface Differ {
  /**
   * A unified diff of two objects as YAML, without file headers; empty when nothing differs but the order of keys or what
   * the server keeps (status, managed fields, uid, …).
   */
  objects(before: object, after: object): string;
  /** The same for any two values, such as Helm's; one that is `undefined` is shown as nothing. */
  values(before: unknown, after: unknown): string;
}

/** Loads what makes diffs; the same one every time. */
export function loadDiff(): Promise<Differ> {
  loaded ??= load();
  return loaded;
}

let loaded: Promise<Differ> | undefined;

/** Bytes. */
const MOST_BYTES = 64 * 1024;
const CONTEXT_LINES = 3;
/** Lines removed and added. The time grows with their square: with so many it is half a second, and no more would be shown. */
const MOST_EDITS = 1000;
/** Characters of a line, where the whole is too long. */
const LONG_LINE = 2000;
const SERVER_FIELDS = ['managedFields', 'resourceVersion', 'uid', 'generation', 'creationTimestamp', 'selfLink'];

async function load(): Promise<Differ> {
  const [{ formatPatch, OMIT_HEADERS, structuredPatch }, { stringify }] = await Promise.all([
    import('./lazy/diff.ts'),
    import('./lazy/yaml.ts'),
  ]);
  const print = (value: unknown): string =>
    value === undefined ? '' : stringify(plain(value), { lineWidth: 0, aliasDuplicateObjects: false });

  const values = (before: unknown, after: unknown): string => {
    const [old, wanted] = redactPair(before, after).map(print);
    if (old === undefined || wanted === undefined || old === wanted) return '';
    const patch = structuredPatch('', '', old, wanted, '', '', { context: CONTEXT_LINES, maxEditLength: MOST_EDITS });
    return patch === undefined ? replaceAll(old, wanted) : cut(formatPatch(patch, OMIT_HEADERS), MOST_BYTES);
  };
  return { values, objects: (before, after) => values(withoutServerFields(before), withoutServerFields(after)) };
}

function withoutServerFields(object: object): object {
  const { status: _status, ...kept }: Record<string, unknown> = { ...object };
  if (!isMap(kept.metadata)) return kept;
  const metadata = Object.entries(kept.metadata).filter(([key]) => !SERVER_FIELDS.includes(key));
  return { ...kept, metadata: Object.fromEntries(metadata) };
}

/** With its keys sorted, and numbers that JavaScript can't hold as such that YAML can print. */
function plain(value: unknown): unknown {
  if (JSON.isRawJSON(value)) return BigInt(value.rawJSON);
  if (Array.isArray(value)) return value.map(plain);
  if (!isMap(value)) return value;
  const keys = Object.keys(value).sort();
  return new Map(keys.map((key) => [key, plain(value[key])]));
}

/** One hunk, of what is between the lines that both begin and end with. */
function replaceAll(before: string, after: string): string {
  const [old, wanted] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < old.length && old[start] === wanted[start]) start += 1;
  let end = 0;
  while (end < Math.min(old.length, wanted.length) - start && old.at(-1 - end) === wanted.at(-1 - end)) end += 1;
  const [removed, added] = [old.slice(start, old.length - end), wanted.slice(start, wanted.length - end)];
  const hunk = `@@ -${start + 1},${removed.length} +${start + 1},${added.length} @@\n`;
  const half = MOST_BYTES / 2;
  return hunk + cut(asLines('-', removed), half) + cut(asLines('+', added), half);
}

function asLines(sign: string, lines: readonly string[]): string {
  return lines.map((line) => `${sign}${line}\n`).join('');
}

function linesOf(text: string): string[] {
  return text.split('\n').slice(0, -1);
}

/** Ends where it would be too long, with a note that no tool takes for a line of the diff. */
function cut(diff: string, most: number): string {
  if (Buffer.byteLength(diff) <= most) return diff;
  const lines = linesOf(diff).map(clip);
  let bytes = 0;
  const fitting = lines.findIndex((line) => {
    bytes += Buffer.byteLength(line) + 1;
    return bytes > most;
  });
  if (fitting === -1) return `${lines.join('\n')}\n`;
  return `${lines.slice(0, fitting).join('\n')}\n\\ ${lines.length - fitting} more lines are not shown\n`;
}

function clip(line: string): string {
  if (line.length <= LONG_LINE) return line;
  return `${line.slice(0, LONG_LINE).toWellFormed()} … and ${line.length - LONG_LINE} more characters`;
}
