import { isDeepStrictEqual } from 'node:util';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Pair,
  parseDocument,
  Scalar,
  visit,
  YAMLMap,
  YAMLSeq,
} from 'yaml';
import { isMap as isPlainMap } from '../values.ts';
import { readGoScalar } from './go-scalars.ts';
import { isPlainString } from './yaml-splice.ts';

/** A document that can be written again with another value. */
export interface YamlObject {
  /** A copy for the caller; numbers and the like are what Go takes them for. */
  value(): unknown;
  /** The document with another value. What is not changed keeps its comments and the way it was written. */
  write(value: unknown): string;
}

/** Comments and blank lines before the document. */
const HEAD = /^(?:[ \t]*(?:#[^\n]*)?\r?\n)*/;
const LAYOUT = { lineWidth: 0, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER, flowCollectionPadding: false };

/** Characters that Go takes for errors or line breaks, and this library writes as they are. */
const UNREADABLE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Parses one YAML document. @throws Error of the parser, whose message is one line without the text around the place */
export function readYamlObject(text: string): YamlObject {
  const head = HEAD.exec(text)?.[0] ?? '';
  const document = parse(text.slice(head.length));
  return {
    value: () => toValue(document, document.contents),
    write: (value) => {
      const written = head + writeInPlace(document, value);
      // Certain, whatever the text has been: what is written is what was meant, and Go can read it.
      const isRight = written.search(UNREADABLE) === -1 && isDeepStrictEqual(readValue(written), value);
      return isRight ? written : head + writeAnew(value);
    },
  };
}

function readValue(text: string): unknown {
  try {
    const document = parse(text);
    return toValue(document, document.contents);
  } catch {
    return undefined;
  }
}

function parse(text: string): Document {
  const document: Document = parseDocument(text, {
    // Every scalar keeps its text: it is for Go to say what it means.
    schema: 'failsafe',
    customTags: ['merge'],
    uniqueKeys: false,
    strict: false,
    prettyErrors: false,
    // Below that it says nothing of a second document.
    logLevel: 'error',
  });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  return document;
}

function toValue(document: Document, node: unknown): unknown {
  const found = isAlias(node) ? node.resolve(document) : node;
  if (isScalar(found)) return scalarValue(found);
  if (isSeq(found)) return found.items.map((item) => toValue(document, item));
  if (!isMap(found)) return null;
  const value: Record<string, unknown> = {};
  for (const { key, value: merged } of found.items) {
    if (!isMerge(key)) continue;
    const source = isAlias(merged) ? merged.resolve(document) : merged;
    // Of several the first one counts.
    for (const one of isSeq(source) ? source.items.toReversed() : [source]) {
      const values = toValue(document, one);
      if (isPlainMap(values)) Object.assign(value, values);
    }
  }
  for (const { key, value: item } of found.items) {
    if (!isMerge(key)) define(value, keyText(document, key), toValue(document, item));
  }
  return value;
}

function scalarValue(node: Scalar): unknown {
  const text = typeof node.value === 'string' ? node.value : String(node.value ?? '');
  const isPlain = node.type === undefined || node.type === 'PLAIN';
  return isPlain && (node.tag === undefined || node.tag === '!') ? readGoScalar(text) : text;
}

/** Keys of JSON are texts. */
function keyText(document: Document, key: unknown): string {
  const value = toValue(document, key);
  return JSON.isRawJSON(value) ? value.rawJSON : String(value);
}

function isMerge(key: unknown): boolean {
  return isScalar(key) && key.source === '<<' && key.type === 'PLAIN';
}

function define(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

function writeInPlace(document: Document, value: unknown): string {
  let repeats = false;
  visit(document, {
    Alias: () => {
      repeats = true;
      return visit.BREAK;
    },
  });
  // What is written once and stands for several would change in all of them.
  document.contents = repeats ? toNode(value) : update(document, document.contents, value);
  return document.toString(LAYOUT);
}

function writeAnew(value: unknown): string {
  const document = parse('');
  document.contents = toNode(value, true);
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return document.toString(LAYOUT).replace(UNREADABLE, escaped);
}

type AnyNode = Scalar | YAMLMap | YAMLSeq;

/** Makes a node mean `value`; of one that already does, nothing is touched. */
function update(document: Document, node: unknown, value: unknown): AnyNode {
  if (isMap(node) && isPlainMap(value) && !JSON.isRawJSON(value)) {
    const keys = node.items.map(({ key }) => keyText(document, key));
    // Of two equal keys Go takes the last.
    const last = new Map(keys.map((key, index) => [key, index]));
    const before = new Set<string>();
    const [first] = node.items;
    node.items = node.items.filter((pair, index) => {
      const key = keys[index] ?? '';
      if (!Object.hasOwn(value, key) || last.get(key) !== index) return false;
      before.add(key);
      pair.value = update(document, pair.value, value[key]);
      return true;
    });
    for (const key of Object.keys(value)) {
      if (!before.has(key)) node.items.push(new Pair(toNode(key), toNode(value[key])));
    }
    return withoutLostComment(node, first);
  }
  if (isSeq(node) && Array.isArray(value)) {
    const items = matchItems(document, node.items, value);
    const [first] = node.items;
    node.items = value.map((item, index) =>
      items[index] === undefined ? toNode(item) : update(document, items[index], item),
    );
    return withoutLostComment(node, first);
  }
  if (isScalar(node) && isDeepStrictEqual(scalarValue(node), value)) return node;
  if (isScalar(node) && typeof value === 'string' && node.type !== undefined && node.tag === undefined) {
    node.value = value;
    node.type = node.type === 'PLAIN' || !isMultiline(node.type, value) ? styleOf(value, node.type) : node.type;
    return node;
  }
  const made = toNode(value);
  if (isScalar(node) && isScalar(made)) made.comment = node.comment ?? null;
  return made;
}

/** A comment before the first item is the list's, and that before the first key the map's: it goes with what it is about. */
function withoutLostComment<T extends YAMLMap | YAMLSeq>(node: T, first: unknown): T {
  if (node.items.length === 0) node.flow = true;
  if (first !== undefined && !node.items.some((item) => item === first)) node.commentBefore = null;
  return node;
}

/** Which of the items a list had goes on as which of those it has now: so that each keeps its comments. */
function matchItems(document: Document, items: readonly unknown[], value: readonly unknown[]): unknown[] {
  if (items.length === value.length) return [...items];
  const values = items.map((item) => toValue(document, item));
  const left = new Set(items.keys());
  return value.map((wanted) => {
    const found = [...left].find(
      (index) => isDeepStrictEqual(values[index], wanted) || isSameItem(values[index], wanted),
    );
    if (found === undefined) return undefined;
    left.delete(found);
    return items[found];
  });
}

function isSameItem(a: unknown, b: unknown): boolean {
  return isPlainMap(a) && isPlainMap(b) && a.name !== undefined && a.name === b.name;
}

function isMultiline(type: Scalar.Type, value: string): boolean {
  return (type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED') && value.includes('\n');
}

function styleOf(value: string, type?: Scalar.Type): Scalar.Type {
  if (type === 'QUOTE_SINGLE' || type === 'QUOTE_DOUBLE') return value.includes('\n') ? 'QUOTE_DOUBLE' : type;
  if (value.includes('\n')) return 'BLOCK_LITERAL';
  return value !== '' && isPlainString(value) ? 'PLAIN' : 'QUOTE_DOUBLE';
}

/** @param isQuoted - writes every text in quotes, which leaves no doubt */
function toNode(value: unknown, isQuoted = false): AnyNode {
  if (Array.isArray(value)) {
    const list = new YAMLSeq();
    list.items = value.map((item) => toNode(item, isQuoted));
    list.flow = value.length === 0;
    return list;
  }
  if (isPlainMap(value) && !JSON.isRawJSON(value)) {
    const map = new YAMLMap();
    map.items = Object.entries(value).map(([key, item]) => new Pair(toNode(key, isQuoted), toNode(item, isQuoted)));
    map.flow = map.items.length === 0;
    return map;
  }
  const node = new Scalar(typeof value === 'string' ? value : JSON.stringify(value));
  node.type = typeof value !== 'string' ? 'PLAIN' : isQuoted ? 'QUOTE_DOUBLE' : styleOf(value);
  return node;
}
