import { findReference } from './namespace-references.ts';
import { formOf, type NamespaceForm, type ScopeOf } from './namespace-rules.ts';

/** The namespace each namespace becomes; those that are not in it stay. All are mapped at once, so two may swap. */
export type NamespaceMap = ReadonlyMap<string, string>;

/** Keys and indexes from a value to one inside it. */
export type ValuePath = readonly (string | number)[];

/** A string to be replaced in a value. */
export interface StringEdit {
  readonly path: ValuePath;
  readonly value: string;
}

/** The old namespace's name where rewriting it could be wrong. */
export interface NamespaceWarning {
  /** Kind and name of the object. */
  readonly object: string;
  /** Where in the object, such as `spec.template.spec.containers[0].args[2]`. */
  readonly path: string;
  /** What was found there, such as `db.team-a.svc`; nothing around it, for that may be secret. */
  readonly text: string;
  readonly namespace: string;
  /** Why the document could not be read as YAML. All of it was left as it is then, its own namespace too. */
  readonly unreadable?: string | undefined;
}

/** What a namespace map changes in a value, and what it has to leave. */
export interface NamespaceFindings {
  readonly edits: StringEdit[];
  readonly warnings: NamespaceWarning[];
}

/** Finds what a namespace map changes in a parsed object; it looks into lists. */
export function findNamespaceEdits(value: unknown, map: NamespaceMap, scopeOf: ScopeOf): NamespaceFindings {
  const edits: StringEdit[] = [];
  const warnings: NamespaceWarning[] = [];
  const mentions = mentionPattern(map);
  visitObjects(value, [], { apiVersion: '', kind: '' }, (object, base, { apiVersion, kind }) => {
    const name = valueAt(object, ['metadata', 'name']);
    const title = typeof name === 'string' && name !== '' ? `${kind} ${name}` : kind;
    const isCluster = scopeOf(apiVersion, kind) === 'Cluster';
    visitStrings(object, [], (text, path) => {
      if (!mentions.test(text)) return;
      const form = formOf(apiVersion, kind, path) ?? selectorForm(object, path);
      const changed = form === undefined ? undefined : mapForm(text, form, map);
      if (changed !== undefined) edits.push({ path: [...base, ...path], value: changed });
      if (form !== undefined) return;
      const isClusterName = isCluster && path.length === 2 && path[0] === 'metadata' && path[1] === 'name';
      const found = isClusterName ? findInName(text, map) : findInText(object, path, text, map);
      if (found !== undefined) warnings.push({ object: title, path: printPath(path), ...found });
    });
  });
  return { edits, warnings };
}

/** Finds references to mapped namespaces in what is no object, such as the values of a release. */
export function findNamespaceReferences(value: unknown, title: string, map: NamespaceMap): NamespaceWarning[] {
  const warnings: NamespaceWarning[] = [];
  visitStrings(value, [], (text, path) => {
    const found = findInText(value, path, text, map);
    if (found !== undefined) warnings.push({ object: title, path: printPath(path), ...found });
  });
  return warnings;
}

const patterns = new WeakMap<NamespaceMap, RegExp>();

/** Matches texts that have one of the namespaces as a word, or as a part of a name between dashes. */
export function mentionPattern(map: NamespaceMap): RegExp {
  let pattern = patterns.get(map);
  if (pattern === undefined) {
    // A namespace's name has nothing that means something in a pattern.
    const names = map.size === 0 ? '(?!)' : [...map.keys()].join('|');
    pattern = new RegExp(`(?<![A-Za-z0-9])(?:${names})(?![A-Za-z0-9])`);
    patterns.set(map, pattern);
  }
  return pattern;
}

interface Head {
  readonly apiVersion: string;
  readonly kind: string;
}

function visitObjects(
  value: unknown,
  path: ValuePath,
  implied: Head,
  visit: (object: object, path: ValuePath, head: Head) => void,
): void {
  if (typeof value !== 'object' || value === null) return;
  const { apiVersion = implied.apiVersion, kind = implied.kind } = stringsOf(value);
  const items = valueAt(value, ['items']);
  if (!kind.endsWith('List') || !Array.isArray(items)) {
    visit(value, path, { apiVersion, kind });
    return;
  }
  // The items of a typed list, such as RoleList, may leave out what the list says.
  const head = kind === 'List' ? { apiVersion: '', kind: '' } : { apiVersion, kind: kind.slice(0, -'List'.length) };
  for (const [index, item] of items.entries()) visitObjects(item, [...path, 'items', index], head, visit);
}

function stringsOf(value: object): { apiVersion?: string; kind?: string } {
  const apiVersion = valueAt(value, ['apiVersion']);
  const kind = valueAt(value, ['kind']);
  return {
    ...(typeof apiVersion === 'string' ? { apiVersion } : {}),
    ...(typeof kind === 'string' ? { kind } : {}),
  };
}

function visitStrings(value: unknown, path: ValuePath, visit: (text: string, path: ValuePath) => void): void {
  if (typeof value === 'string') {
    visit(value, path);
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) visitStrings(item, [...path, index], visit);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) visitStrings(item, [...path, key], visit);
  }
}

/** `matchExpressions` on the label that holds a namespace's own name. */
function selectorForm(object: object, path: ValuePath): NamespaceForm | undefined {
  if (path.at(-2) !== 'values' || path.at(-4) !== 'matchExpressions') return undefined;
  return valueAt(object, [...path.slice(0, -2), 'key']) === 'kubernetes.io/metadata.name' ? 'name' : undefined;
}

function mapForm(text: string, form: NamespaceForm, map: NamespaceMap): string | undefined {
  if (form === 'name') return map.get(text);
  const pattern = form === 'user' ? /^(system:serviceaccounts?:)([^:]+)(.*)$/s : /^()([^/]+)(\/.*)$/s;
  const [, before = '', namespace = '', after = ''] = pattern.exec(text) ?? [];
  const to = map.get(namespace);
  return to === undefined ? undefined : `${before}${to}${after}`;
}

type Found = Pick<NamespaceWarning, 'text' | 'namespace'>;

function findInText(root: unknown, path: ValuePath, text: string, map: NamespaceMap): Found | undefined {
  const last = path.at(-1);
  const sibling = valueAt(root, [...path.slice(0, -1), 'name']);
  const previous = typeof last === 'number' && last > 0 ? valueAt(root, [...path.slice(0, -1), last - 1]) : undefined;
  const place = {
    path,
    siblingName: typeof sibling === 'string' ? sibling : undefined,
    previousItem: typeof previous === 'string' ? previous : undefined,
  };
  for (const namespace of map.keys()) {
    const found = findReference(text, namespace, place);
    if (found !== undefined) return { text: found, namespace };
  }
  return undefined;
}

/** The name of an object without a namespace that was made from the namespace's, as charts do to keep two apart. */
function findInName(name: string, map: NamespaceMap): Found | undefined {
  const found = mentionPattern(map).exec(name)?.[0];
  return found === undefined ? undefined : { text: name, namespace: found };
}

function valueAt(value: unknown, path: ValuePath): unknown {
  let found = value;
  for (const segment of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, segment)) return undefined;
    found = Reflect.get(found, segment);
  }
  return found;
}

function printPath(path: ValuePath): string {
  return path
    .map((segment, index) => {
      if (typeof segment === 'number') return `[${segment}]`;
      if (!/^[\w-]+$/.test(segment)) return `["${segment}"]`;
      return index === 0 ? segment : `.${segment}`;
    })
    .join('');
}
