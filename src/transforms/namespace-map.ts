import { messageOf } from '../errors.ts';
import { cloneJson } from '../json.ts';
import { findNamespaceEdits, mentionPattern, type NamespaceMap, type NamespaceWarning } from './namespace-edits.ts';
import { builtInScope, type ScopeOf } from './namespace-rules.ts';
import { mapSimpleDocument } from './simple-document.ts';
import { readYaml } from './yaml-splice.ts';

export type { NamespaceMap, NamespaceWarning } from './namespace-edits.ts';
export { findNamespaceReferences } from './namespace-edits.ts';
export type { ScopeOf } from './namespace-rules.ts';

/** The map that the input `namespace-map` asks for. */
export function namespaceMapOf(pairs: Readonly<Record<string, string>>): NamespaceMap {
  return new Map(Object.entries(pairs).filter(([from, to]) => from !== to));
}

/**
 * Rewrites the namespaces in one YAML document, a manifest's or a hook's: the object's own and those that certain
 * fields refer to (namespace-rules.ts). Every other byte stays. What may also mean a mapped namespace is in the
 * warnings. A document without `metadata.namespace` gets none.
 *
 * @param scopeOf - tells which custom kinds have no namespace, so that their names are looked at too
 */
export function mapNamespaces(
  text: string,
  map: NamespaceMap,
  scopeOf: ScopeOf = builtInScope,
): { text: string; warnings: NamespaceWarning[] } {
  if (!mentionsAny(text, map)) return { text, warnings: [] };
  const simple = mapSimpleDocument(text, map, scopeOf);
  if (simple !== undefined) return { text: simple, warnings: [] };
  try {
    const yaml = readYaml(text);
    const { edits, warnings } = findNamespaceEdits(yaml.value, map, scopeOf);
    return { text: edits.length === 0 ? text : yaml.replace(edits), warnings };
  } catch (error) {
    const namespace = mentionPattern(map).exec(text)?.[0] ?? '';
    return { text, warnings: [{ ...describeUnreadable(text, messageOf(error)), namespace }] };
  }
}

/** A warning of a document that stayed as it is, for it can't be read; without a namespace it is one of transforms. */
export function describeUnreadable(text: string, unreadable: string): NamespaceWarning {
  const object = /^kind: *(\S+)/m.exec(text)?.[1] ?? 'A document';
  return { object, path: '', text: '', namespace: '', unreadable };
}

/** Searching for a plain text is so fast that it pays to ask whether there is anything to do. */
function mentionsAny(text: string, map: NamespaceMap): boolean {
  for (const name of map.keys()) if (text.includes(name)) return mentionPattern(map).test(text);
  return false;
}

/** A copy of a parsed object with its namespaces mapped, as {@link mapNamespaces} does in a text. */
export function mapObjectNamespaces<T extends object>(
  object: T,
  map: NamespaceMap,
  scopeOf: ScopeOf = builtInScope,
): { object: T; warnings: NamespaceWarning[] } {
  const { edits, warnings } = findNamespaceEdits(object, map, scopeOf);
  if (edits.length === 0) return { object, warnings };
  const copy = cloneJson(object);
  for (const { path, value } of edits) {
    let parent: object = copy;
    for (const segment of path.slice(0, -1)) parent = Reflect.get(parent, segment);
    Reflect.set(parent, path.at(-1) ?? '', value);
  }
  return { object: copy, warnings };
}

/** A line for a person about a {@link NamespaceWarning}. */
export function describeNamespaceWarning({ object, path, text, namespace, unreadable }: NamespaceWarning): string {
  if (unreadable !== undefined && namespace === '') {
    return `${object} was not transformed and stayed as it is, for it can't be read as YAML: ${unreadable}`;
  }
  return unreadable === undefined
    ? `${object} still names namespace ${namespace}: ${path} has "${text}".`
    : `${object} names namespace ${namespace} and stayed as it is, for it can't be read as YAML: ${unreadable}`;
}
