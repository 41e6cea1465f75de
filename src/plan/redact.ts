import { isMap } from '../values.ts';
import { isHarmlessKey, isSecretKey } from './secret-keys.ts';
import { findSecrets, holdsSecret, inOrder, type SecretSpan } from './secret-text.ts';

const SAME = '(sensitive)';
const VALUE = '(sensitive value)';
const DIFFERS = '(sensitive value, differs)';
/** A copy of the whole object, secrets and all. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const MOST_LEVELS = 400;

/**
 * Two JSON values with every secret in them replaced by a marker that tells only whether it is the same on both sides:
 * `(sensitive)` where it is, else `(sensitive value)` before and `(sensitive value, differs)` after; `(sensitive value)`
 * too where the other side has none. Never throws; leaves what it is given as it is.
 */
export function redactPair(before: unknown, after: unknown): [unknown, unknown] {
  try {
    const texts: Texts = new Map();
    const [old, wanted] = [collect(before, texts), collect(after, texts)];
    return [
      visit(before, { sink: marker(old, wanted, VALUE), texts }),
      visit(after, { sink: marker(wanted, old, DIFFERS), texts }),
    ];
  } catch {
    return [VALUE, DIFFERS];
  }
}

/** A text, such as a server's refusal, with every secret that can be told by its looks replaced by `(sensitive value)`. */
export function redactText(text: string): string {
  return replaceSpans(text, findSecrets(text), () => VALUE);
}

/** The secrets of one side, by where they are. */
type Secrets = Map<string, { readonly list: string[]; readonly all: Set<string> }>;

function collect(value: unknown, texts: Texts): Secrets {
  const secrets: Secrets = new Map();
  const sink = (label: string, secret: string) => {
    const found = secrets.get(label) ?? { list: [], all: new Set() };
    found.list.push(secret);
    found.all.add(secret);
    secrets.set(label, found);
    return '';
  };
  visit(value, { sink, texts });
  return secrets;
}

/** What stands for a secret of one side, as the other has it or not. */
function marker(own: Secrets, other: Secrets, differs: string): Sink {
  const moved = new Map<string, boolean>();
  return (label, secret) => {
    const [mine, theirs] = [own.get(label), other.get(label)];
    if (mine === undefined || theirs === undefined) return VALUE;
    if (!theirs.all.has(secret)) return differs;
    // The same ones in another order are a difference too, and nothing else would show it.
    const isMoved = moved.get(label) ?? isReordered(mine, theirs);
    moved.set(label, isMoved);
    return isMoved ? differs : SAME;
  };
}

type Some = { readonly list: readonly string[]; readonly all: ReadonlySet<string> };

function isReordered(mine: Some, theirs: Some): boolean {
  if (mine.list.length === theirs.list.length && mine.list.every((secret, index) => secret === theirs.list[index])) {
    return false;
  }
  return mine.all.size === theirs.all.size && [...mine.all].every((secret) => theirs.all.has(secret));
}

/** Told of each secret, with what says where it is; answers with what is to stand there. */
type Sink = (label: string, secret: string, value: unknown) => string;

interface Visit {
  readonly sink: Sink;
  /** What was found in texts: each is looked at several times. Without, only keys are looked at. */
  readonly texts: Texts | undefined;
}

/** Secrets of texts; `lost` for one that is secret as a whole. */
type Texts = Map<string, readonly SecretSpan[] | 'lost'>;

/**
 * How much is secret: what looks like it; all but what harmless keys hold; all. In a schema the keys are names of fields, and
 * only their defaults and examples are values.
 */
type Mode = 'plain' | 'strict' | 'all' | 'schema' | 'secret-schema';

function visit(value: unknown, to: Visit, path = '', mode: Mode = 'plain', level = 0): unknown {
  const hides = mode === 'strict' || mode === 'all';
  if (typeof value === 'string') {
    if (hides) return value !== '' && (mode === 'all' || holdsSecret(value)) ? to.sink(path, value, value) : value;
    return visitText(value, to, path);
  }
  if (typeof value !== 'object' || value === null || JSON.isRawJSON(value)) {
    const isShown =
      !hides || value === null || value === undefined || (typeof value === 'boolean' && mode === 'strict');
    return isShown ? value : to.sink(path, textOf(value), value);
  }
  if (level > MOST_LEVELS) return to.sink(path, textOf(value), undefined);
  if (Array.isArray(value)) return visitList(value, to, path, mode, level);
  return isMap(value) ? visitMap(value, to, path, mode, level) : value;
}

function visitMap(map: Record<string, unknown>, to: Visit, path: string, mode: Mode, level: number): unknown {
  const inside = mode === 'plain' && map.kind === 'CustomResourceDefinition' ? 'schema' : mode;
  const result: [string, unknown][] = [];
  const names = new Set<string>();
  for (const [key, value] of Object.entries(map)) {
    if (key === LAST_APPLIED) continue;
    let shown = key.length > 8 ? visitText(key, to, path) : key;
    while (names.has(shown)) shown += ' ';
    names.add(shown);
    result.push([shown, visit(value, to, `${path}/${key}`, modeFor(key, map, inside), level + 1)]);
  }
  return Object.fromEntries(result);
}

function modeFor(key: string, map: Record<string, unknown>, mode: Mode): Mode {
  if (mode === 'all' || (map.kind === 'Secret' && (key === 'data' || key === 'stringData'))) return 'all';
  if (mode === 'schema' || mode === 'secret-schema') {
    if (mode === 'secret-schema' && /^(?:default|examples?|enum)$/.test(key)) return 'strict';
    return isSecretKey(key) ? 'secret-schema' : mode;
  }
  if (key === 'value' && [map.name, map.key].some((name) => typeof name === 'string' && isSecretKey(name))) {
    return 'strict';
  }
  // Of an ExternalSecret: under which key to put what is elsewhere.
  if (isHarmlessKey(key) || (key === 'secretKey' && ('remoteRef' in map || 'sourceRef' in map))) return 'plain';
  // An item of a volume made of a Secret: the key to take, and the file to make of it.
  if (mode === 'strict') return key === 'key' && 'path' in map ? 'plain' : 'strict';
  return isSecretKey(key) ? 'strict' : 'plain';
}

function visitList(list: readonly unknown[], to: Visit, path: string, mode: Mode, level: number): unknown[] {
  let flag: string | undefined;
  return list.map((item) => {
    const follows = flag !== undefined && typeof item === 'string' && !item.startsWith('-') ? flag : undefined;
    flag = typeof item === 'string' ? /^--?([A-Za-z][\w.-]+)$/.exec(item)?.[1] : undefined;
    if (flag !== undefined && !isSecretKey(flag)) flag = undefined;
    if (follows !== undefined && mode === 'plain') return visit(item, to, `${path}/[]${follows}`, 'strict', level + 1);
    const name = isMap(item) ? (item.name ?? item.key) : undefined;
    return visit(item, to, `${path}/[${typeof name === 'string' ? name : ''}]`, mode, level + 1);
  });
}

function visitText(text: string, { sink, texts }: Visit, path: string): string {
  if (texts === undefined) return text;
  const spans = texts.get(text) ?? secretsOf(text);
  texts.set(text, spans);
  if (spans === 'lost') return sink(path, text, text);
  return replaceSpans(text, spans, (label, secret) => sink(`${path}:${label}`, secret, secret));
}

function secretsOf(text: string): readonly SecretSpan[] | 'lost' {
  const json = findInJson(text);
  if (json === 'lost') return json;
  const spans = findSecrets(text);
  return json.length === 0 ? spans : inOrder([...spans, ...json]);
}

/** A text or a number, and the colon behind a key. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*)(\s*:)?/g;

/** What its keys make secret in a text that is JSON; `lost` when it is not written there as it is read. */
function findInJson(text: string): SecretSpan[] | 'lost' {
  if (!/^\s*[[{]/.test(text)) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  const found = new Map<unknown, string>();
  const sink = (label: string, _secret: string, part: unknown) => {
    found.set(part, label);
    return '';
  };
  visit(value, { sink, texts: undefined });
  const left = new Map([...found].map(([part, label]) => [JSON.stringify(part), label]));
  const labels = new Map(left);
  const spans: SecretSpan[] = [];
  for (const { 1: written = '', 2: colon, index } of text.matchAll(TOKEN)) {
    const label = labels.get(written);
    if (label === undefined || colon !== undefined) continue;
    spans.push({ start: index, end: index + written.length, label });
    left.delete(written);
  }
  if (left.size > 0) return 'lost';
  return spans;
}

function replaceSpans(text: string, spans: readonly SecretSpan[], replace: (label: string, secret: string) => string) {
  let result = '';
  let at = 0;
  for (const { start, end, label } of spans) {
    if (start < at) continue;
    result += text.slice(at, start) + replace(label, text.slice(start, end));
    at = end;
  }
  return result + text.slice(at);
}

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
