import { type Document, isAlias, isMap, isScalar, isSeq, type Node, parseDocument } from 'yaml';
import type { StringEdit, ValuePath } from './namespace-edits.ts';

/** A YAML text with the means to change strings in it and leave every other byte as it is. */
export interface YamlText {
  /** The document as a plain value. Every scalar in it is a string, as it is written. */
  readonly value: unknown;
  /** The text with some of its strings replaced: in their quotes, or without where they had none. */
  replace(edits: readonly StringEdit[]): string;
}

/**
 * Parses a YAML document so that its strings can be replaced in place.
 *
 * @throws Error of the parser, whose message is one line without the text around the place
 */
export function readYaml(text: string): YamlText {
  const document = parseDocument(text, {
    // Types don't matter here, and Go, unlike this parser, takes the last of two equal keys.
    schema: 'failsafe',
    customTags: ['merge'],
    uniqueKeys: false,
    strict: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  return { value: document.toJS({ maxAliasCount: -1 }), replace: (edits) => replaceStrings(text, document, edits) };
}

function replaceStrings(text: string, document: Document, edits: readonly StringEdit[]): string {
  const cuts = new Map<number, { end: number; replacement: string }>();
  for (const { path, value } of edits) {
    const node = nodeAt(document, path);
    if (node?.range == null) throw new Error(`there is no string at ${path.join('.')}`);
    const [start, end] = node.range;
    // Two paths lead here where an alias repeats what an anchor marks: the first one has changed both.
    if (!cuts.has(start)) cuts.set(start, { end, replacement: writeString(text.slice(start, end), value) });
  }
  let result = '';
  let from = 0;
  for (const [start, { end, replacement }] of [...cuts].sort(([a], [b]) => a - b)) {
    result += text.slice(from, start) + replacement;
    from = end;
  }
  return result + text.slice(from);
}

/** The scalar at a path, or the alias that stands for it there. Aliases on the way are followed. */
function nodeAt(document: Document, path: ValuePath): Node | undefined {
  let node: unknown = document.contents;
  for (const segment of path) node = childAt(document, node, String(segment));
  return isScalar(node) || isAlias(node) ? node : undefined;
}

function childAt(document: Document, node: unknown, key: string): unknown {
  const parent = isAlias(node) ? node.resolve(document) : node;
  if (isSeq(parent)) return parent.items[Number(key)];
  if (!isMap(parent)) return undefined;
  const own = parent.items.findLast((pair) => isScalar(pair.key) && pair.key.value === key);
  if (own !== undefined) return own.value;
  for (const { key: merge, value } of parent.items) {
    if (!isScalar(merge) || merge.source !== '<<') continue;
    const merged = isAlias(value) ? value.resolve(document) : value;
    for (const source of isSeq(merged) ? merged.items : [merged]) {
      const found = childAt(document, source, key);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** YAML 1.1 words that are no strings, and what starts like a number. */
const NEEDS_QUOTES = /^(?:[^a-z]|(?:y|yes|n|no|true|false|on|off|null)$)|: |:$| #|[^\w.:/-]/i;

/** Whether a string can be written without quotes, for Go's YAML 1.1 too. */
export function isPlainString(value: string): boolean {
  return !NEEDS_QUOTES.test(value);
}

/** Writes a string in the style of the scalar it replaces. */
function writeString(old: string, value: string): string {
  if (old.startsWith('"')) return JSON.stringify(value);
  if (old.startsWith("'")) return `'${value.replaceAll("'", "''")}'`;
  const plain = isPlainString(value) ? value : JSON.stringify(value);
  // A block scalar takes its last line break with it.
  return /^[|>]/.test(old) && old.endsWith('\n') ? `${plain}\n` : plain;
}
