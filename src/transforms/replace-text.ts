import { isUtf8 } from 'node:buffer';
import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';
import { findLiteral } from './check-regex.ts';
import { type PathState, startOf } from './field-paths.ts';
import type { Pair, ReplaceSpec } from './spec.ts';

/** Gives a text with its parts replaced: the same one where there is nothing to replace. */
type Replace = (text: string) => string;

/** Replaces text in objects, in place; says whether it did. */
export interface TextReplacer {
  apply(object: KubeObject): boolean;
  /** Whether a document in YAML may have such a text; false only when that is certain. */
  mayChange(text: string): boolean;
  /** Of several pairs, those that replaced nothing. */
  unused(): readonly Pair[];
}

/** All pairs at once, in all strings: where two begin at the same place, the longer one. */
export function createPairReplacer(pairs: readonly Pair[]): TextReplacer {
  const used = new Set<string>();
  const texts = new Map(pairs.map(({ from, to }) => [from, to]));
  const keys = [...texts.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(keys.map((key) => key.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'g');
  const replaceOne = (found: string): string => {
    used.add(found);
    return texts.get(found) ?? found;
  };
  const replace: Replace = (text) => {
    for (const key of keys) if (text.indexOf(key) !== -1) return text.replace(pattern, replaceOne);
    return text;
  };
  return {
    apply: (object) => replaceEverywhere(object, replace),
    mayChange: (text) => keys.some((key) => mayHave(text, key)),
    unused: () => pairs.filter(({ from }) => !used.has(from)),
  };
}

export function createReplacer(spec: ReplaceSpec): TextReplacer {
  const { with: to } = spec;
  let replace: Replace;
  let mayChange = (_: string): boolean => true;
  if ('text' in spec) {
    const { text: from } = spec;
    replace = (text) => (text.indexOf(from) !== -1 ? text.replaceAll(from, () => to) : text);
    mayChange = (text) => mayHave(text, from);
  } else {
    const regex = new RegExp(spec.regex, `g${spec.flags}`);
    const literal = findLiteral(spec.regex, spec.flags);
    replace = (text) => (text.indexOf(literal) !== -1 ? text.replace(regex, to) : text);
  }
  const start = spec.in === undefined ? undefined : startOf(spec.in);
  return {
    apply: (object) =>
      start === undefined ? replaceEverywhere(object, replace) : replaceChosen(object, start, replace),
    mayChange,
    unused: () => [],
  };
}

/** What YAML writes as it is, unless there is a backslash. */
const PLAIN = /^[\w.:/@=-]+$/;

function mayHave(text: string, part: string): boolean {
  return text.includes(part) || text.includes('\\') || !PLAIN.test(part) || /^kind:\s*["']?Secret/m.test(text);
}

/** Of `metadata`, what identifies an object, and what others keep there. */
export const PROTECTED_METADATA: ReadonlySet<string> = new Set([
  'name',
  'generateName',
  'namespace',
  'uid',
  'resourceVersion',
  'creationTimestamp',
  'deletionTimestamp',
  'ownerReferences',
  'managedFields',
]);

/** Release records are packed: what looks like text in them is not. */
function isRecord({ kind, metadata }: KubeObject): boolean {
  return (kind === 'Secret' || kind === 'ConfigMap') && metadata.name?.startsWith('sh.helm.release.v1.');
}

function isSecret({ apiVersion, kind }: KubeObject): boolean {
  return kind === 'Secret' && apiVersion === 'v1';
}

function replaceEverywhere(object: KubeObject, replace: Replace): boolean {
  if (isRecord(object)) return false;
  let changed = false;
  for (const key in object) {
    if (key === 'apiVersion' || key === 'kind') continue;
    const value = object[key];
    if (key === 'metadata') changed = replaceMetadata(object.metadata, replace) || changed;
    else if (key === 'data' && isSecret(object)) changed = replaceEncoded(value, replace) || changed;
    else if (key === 'binaryData' && object.kind === 'ConfigMap') continue;
    else changed = replaceField(object, key, value, replace) || changed;
  }
  return changed;
}

function replaceMetadata(metadata: KubeObject['metadata'], replace: Replace): boolean {
  let changed = false;
  for (const key in metadata) {
    if (!PROTECTED_METADATA.has(key)) changed = replaceField(metadata, key, metadata[key], replace) || changed;
  }
  return changed;
}

/** Runs over millions of strings: nothing is made for those that stay. */
function replaceAll(value: Record<string, unknown> | unknown[], replace: Replace): boolean {
  let changed = false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const item: unknown = value[index];
      if (typeof item === 'string') {
        const text = replace(item);
        if (text === item) continue;
        value[index] = text;
        changed = true;
      } else if (typeof item === 'object' && item !== null) changed = replaceInside(item, replace) || changed;
    }
    return changed;
  }
  for (const key in value) changed = replaceField(value, key, value[key], replace) || changed;
  return changed;
}

function replaceInside(value: object, replace: Replace): boolean {
  return Array.isArray(value) || isMap(value) ? replaceAll(value, replace) : false;
}

function replaceField(parent: Record<string, unknown>, key: string, value: unknown, replace: Replace): boolean {
  if (typeof value === 'string') {
    const text = replace(value);
    if (text === value || isNoText(parent, key)) return false;
    parent[key] = text;
    return true;
  }
  return typeof value === 'object' && value !== null && replaceInside(value, replace);
}

/** Certificates in base64, a large number, and the label that must be what the namespace is called. */
function isNoText(parent: Record<string, unknown>, key: string): boolean {
  return key === 'caBundle' || key === 'kubernetes.io/metadata.name' || JSON.isRawJSON(parent);
}

/** The values of a Secret are texts in base64; those that are no text stay. */
function replaceEncoded(data: unknown, replace: Replace, chosen: (key: string) => boolean = () => true): boolean {
  if (!isMap(data)) return false;
  let changed = false;
  for (const key in data) {
    const value = data[key];
    if (typeof value !== 'string' || !chosen(key)) continue;
    const bytes = Buffer.from(value, 'base64');
    if (!isUtf8(bytes)) continue;
    const before = bytes.toString('utf8');
    const after = replace(before);
    if (after === before) continue;
    data[key] = Buffer.from(after, 'utf8').toString('base64');
    changed = true;
  }
  return changed;
}

function replaceChosen(object: KubeObject, start: PathState, replace: Replace): boolean {
  if (isRecord(object)) return false;
  let changed = false;
  for (const key in object) {
    if (key === 'apiVersion' || key === 'kind') continue;
    const state = start.key(key);
    if (state === undefined) continue;
    if (key === 'data' && isSecret(object)) {
      changed = replaceEncoded(object.data, replace, (name) => state.key(name)?.ends === true) || changed;
    } else if (key === 'metadata') {
      const { metadata } = object;
      for (const name in metadata) {
        const next = PROTECTED_METADATA.has(name) ? undefined : state.key(name);
        if (next !== undefined) changed = replaceAt(metadata, name, metadata[name], next, replace) || changed;
      }
    } else changed = replaceAt(object, key, object[key], state, replace) || changed;
  }
  return changed;
}

function replaceAt(
  parent: Record<string, unknown> | unknown[],
  key: string | number,
  value: unknown,
  state: PathState,
  replace: Replace,
): boolean {
  if (typeof value === 'string') {
    const text = state.ends ? replace(value) : value;
    if (text === value || JSON.isRawJSON(parent)) return false;
    if (Array.isArray(parent)) parent[Number(key)] = text;
    else parent[key] = text;
    return true;
  }
  let changed = false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const next = state.index(index);
      if (next !== undefined) changed = replaceAt(value, index, value[index], next, replace) || changed;
    }
  } else if (isMap(value)) {
    for (const name in value) {
      const next = state.key(name);
      if (next !== undefined) changed = replaceAt(value, name, value[name], next, replace) || changed;
    }
  }
  return changed;
}
