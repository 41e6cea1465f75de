import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { TransshipError } from '../errors.ts';
import { nearestNames } from '../selection/name-patterns.ts';
import type { Pair, Place } from './spec.ts';

/** A file being read: whatever is wrong with it is gathered, to be said all at once. */
export interface FileNodes {
  readonly root: Node | null;
  /** `transforms.yaml:3:5` of a node. */
  placeOf(node: Node | null | undefined): Place;
  /**
   * Notes what is wrong.
   *
   * @param at - how many characters into the text of the node
   */
  refuse(node: Node | null | undefined, problem: string, at?: number): undefined;
  /** The node, or what an alias stands for. */
  resolve(node: unknown): Node | null;
  valueOf(node: Node | null): unknown;
  /** @throws TransshipError `INPUT` with all that is wrong */
  finish(): void;
}

/** One key of a map in a file. */
export interface Field {
  readonly name: string;
  readonly key: Node;
  readonly value: Node | null;
}

const MOST_PROBLEMS = 10;
const HINT = 'docs/transforms.md shows the format.';

/** Opens a file in YAML or JSON. @throws TransshipError `INPUT` when it is neither */
export function openFile(path: string, text: string): FileNodes {
  const lines = new LineCounter();
  const document: Document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const problems: string[] = [];
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const placeOf = (node: Node | null | undefined): Place => placeAt(node?.range?.[0] ?? 0);
  const [error] = document.errors;
  if (error !== undefined) {
    const what =
      error.code === 'MULTIPLE_DOCS' ? 'a file of transforms has one document' : `${lowerFirst(error.message)}`;
    throw new TransshipError('INPUT', `${placeAt(error.pos[0])}: ${what.replace(/[.:]$/, '')}.`, { hint: HINT });
  }
  return {
    root: document.contents,
    placeOf,
    refuse: (node, problem, at = 0) => {
      const isQuoted = isScalar(node) && (node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE');
      const isPlain = isScalar(node) && node.type === 'PLAIN';
      const offset = isQuoted ? at + 1 : isPlain ? at : 0;
      problems.push(`${placeAt((node?.range?.[0] ?? 0) + (at > 0 ? offset : 0))}: ${problem}`);
      return undefined;
    },
    resolve: (node) => {
      const found = isAlias(node) ? node.resolve(document) : node;
      return isScalar(found) || isMap(found) || isSeq(found) ? found : null;
    },
    valueOf: (node) => (node === null ? null : node.toJS(document)),
    finish: () => {
      if (problems.length === 0) return;
      const more = problems.length > MOST_PROBLEMS ? [`and ${problems.length - MOST_PROBLEMS} more`] : [];
      throw new TransshipError('INPUT', [...problems.slice(0, MOST_PROBLEMS), ...more].join('\n'), { hint: HINT });
    },
  };
}

/**
 * The keys of a map that may have only some.
 *
 * @param what - how a person calls it, such as `a transform`
 */
export function readFields(
  file: FileNodes,
  node: Node | null,
  what: string,
  allowed: readonly string[],
): Map<string, Field> | undefined {
  const all = readMap(file, node, what);
  if (all === undefined) return undefined;
  const fields = new Map<string, Field>();
  for (const field of all) {
    if (allowed.includes(field.name)) fields.set(field.name, field);
    else {
      const [nearest] = nearestNames(field.name, allowed, 1);
      const meant = nearest === undefined ? `It may have ${allowed.join(', ')}.` : `Did you mean ${nearest}?`;
      file.refuse(field.key, `${what} has no ${JSON.stringify(field.name)}. ${meant}`);
    }
  }
  return fields;
}

/** The keys of a map that may have any. */
export function readMap(file: FileNodes, node: Node | null, what: string): Field[] | undefined {
  if (!isMap(node)) return file.refuse(node, `${what} must be a map.`);
  const fields: Field[] = [];
  for (const pair of node.items) {
    const key = file.resolve(pair.key);
    if (!isScalar(key) || typeof key.value !== 'string') {
      file.refuse(key ?? node, `a key of ${what} must be a text. Put it in quotes.`);
    } else fields.push({ name: key.value, key, value: file.resolve(pair.value) });
  }
  return fields;
}

/** A text that is not empty, unless it may be. */
export function readText(
  file: FileNodes,
  node: Node | null,
  what: string,
  options: { mayBeEmpty?: boolean } = {},
): string | undefined {
  if (!isScalar(node) || typeof node.value !== 'string') {
    const isOther = isScalar(node) && node.value !== null;
    return file.refuse(node, `${what} must be a text.${isOther ? ' Put it in quotes.' : ''}`);
  }
  if (node.value === '' && options.mayBeEmpty !== true) return file.refuse(node, `${what} is empty.`);
  return node.value;
}

export function readBoolean(file: FileNodes, node: Node | null, what: string): boolean | undefined {
  if (isScalar(node) && typeof node.value === 'boolean') return node.value;
  return file.refuse(node, `${what} must be true or false.`);
}

/** The items of a list that has some. */
export function readList(file: FileNodes, node: Node | null, what: string): (Node | null)[] | undefined {
  if (!isSeq(node)) return file.refuse(node, `${what} must be a list.`);
  if (node.items.length === 0) return file.refuse(node, `${what} is empty.`);
  return node.items.map((item) => file.resolve(item));
}

/** A list of texts; one alone may stand without the list. */
export function readTexts(
  file: FileNodes,
  node: Node | null,
  what: string,
): { text: string; node: Node | null }[] | undefined {
  const items = isScalar(node) ? [node] : readList(file, node, what);
  return items?.flatMap((item) => {
    const text = readText(file, item, `an item of ${what}`);
    return text === undefined ? [] : [{ text, node: item }];
  });
}

/** A map from texts to texts; pairs that change nothing are left out. */
export function readPairs(
  file: FileNodes,
  node: Node | null,
  what: string,
  check: (from: string, to: string) => string | undefined,
): Pair[] | undefined {
  const fields = readMap(file, node, what);
  if (fields?.length === 0) return file.refuse(node, `${what} is empty.`);
  return fields?.flatMap(({ name, key, value }): Pair[] => {
    const to = readText(file, value, `${what}: what ${JSON.stringify(name)} becomes`);
    if (to === undefined) return [];
    const problem = name === '' ? 'there is an empty key.' : check(name, to);
    if (problem !== undefined) file.refuse(key, `${what}: ${problem}`);
    return name === to ? [] : [{ from: name, to, place: file.placeOf(key) }];
  });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
