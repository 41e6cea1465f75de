import type { KubeObject } from '../cluster/cluster.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { builtInScope, type ScopeOf } from './namespace-rules.ts';
import type { Transforms } from './transforms.ts';
import { readYamlObject } from './yaml-object.ts';

/** A document after its transforms. */
export interface TransformedDocument {
  /** The very same text when nothing in it changes. */
  readonly text: string;
  /** Why it could not be read as YAML, and so stayed as it was. */
  readonly unreadable?: string | undefined;
}

/**
 * Applies transforms to the objects of one YAML document, a manifest's or a hook's; to each of a list's.
 *
 * @param namespace - the release's, where objects come that name none
 * @param scopeOf - tells which kinds have no namespace
 * @throws TransshipError `INPUT` when a transform can't be applied
 */
export function transformDocument(
  text: string,
  transforms: Transforms,
  namespace: string,
  scopeOf: ScopeOf = builtInScope,
): TransformedDocument {
  if (!transforms.mayChange(text)) return { text };
  try {
    const yaml = readYamlObject(text);
    const value = yaml.value();
    const apply = (object: KubeObject): KubeObject =>
      transforms.apply(object, scopeOf(object.apiVersion, object.kind) === 'Cluster' ? undefined : namespace);
    const changed = transformValue(value, {}, apply);
    return { text: changed === undefined ? text : yaml.write(changed) };
  } catch (error) {
    if (error instanceof TransshipError) throw error;
    return { text, unreadable: messageOf(error) };
  }
}

interface Head {
  readonly apiVersion?: string;
  readonly kind?: string;
}

/** The value transformed; undefined when nothing has changed. */
function transformValue(
  value: unknown,
  implied: Head,
  apply: (object: KubeObject) => KubeObject,
): Record<string, unknown> | undefined {
  if (!isMap(value)) return undefined;
  const object: Record<string, unknown> = { ...implied, ...value };
  const { apiVersion, kind, items } = object;
  if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
    // The items of a typed list, such as RoleList, may leave out what the list says.
    const isTyped = kind !== 'List' && typeof apiVersion === 'string';
    const head = isTyped ? { apiVersion, kind: kind.slice(0, -'List'.length) } : {};
    const after = items.map((item) => transformValue(item, head, apply));
    if (after.every((item) => item === undefined)) return undefined;
    return { ...value, items: items.map((item, index) => after[index] ?? item) };
  }
  if (!isObject(object)) return undefined;
  const after = apply(object);
  if (after === object) return undefined;
  const result: Record<string, unknown> = { ...after };
  for (const key of Object.keys(implied)) if (!Object.hasOwn(value, key)) delete result[key];
  return result;
}

/** One with `generateName` has no name yet. */
function isObject(value: Record<string, unknown>): value is KubeObject {
  return typeof value.apiVersion === 'string' && typeof value.kind === 'string' && isMap(value.metadata);
}
