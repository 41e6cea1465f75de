import { hash } from 'node:crypto';
import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';

/** What the server or a controller keeps, and owner references, whose uids differ between clusters. */
const NOT_COMPARED = new Set([
  'managedFields',
  'resourceVersion',
  'generation',
  'uid',
  'selfLink',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'ownerReferences',
]);

/** Equal for two objects that say the same, whatever their order of keys, status and owner references. */
export function fingerprint(object: KubeObject): string {
  return hash('sha1', JSON.stringify(sortKeys(comparable(object))), 'base64');
}

/**
 * Where two objects differ, such as `spec.template.spec.containers[0].image`: never what is there, for that may be
 * secret. Empty when they say the same.
 *
 * @param most - how many paths at most
 */
export function differingPaths(a: KubeObject, b: KubeObject, most: number): string[] {
  const found: string[] = [];
  visit(comparable(a), comparable(b), '', found, most);
  return found;
}

/** The part of an object that counts when two are compared; maps without content count as absent. */
function comparable({ status: _status, metadata, ...rest }: KubeObject): Record<string, unknown> {
  const kept = Object.entries(metadata).filter(([field, value]) => !NOT_COMPARED.has(field) && !isEmpty(value));
  return { ...rest, metadata: Object.fromEntries(kept) };
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isMap(value) && Object.keys(value).length === 0;
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isMap(value)) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sortKeys(value[key])]));
}

function visit(a: unknown, b: unknown, path: string, found: string[], most: number): void {
  if (found.length >= most || a === b) return;
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    for (const [index, item] of a.entries()) visit(item, b[index], `${path}[${index}]`, found, most);
  } else if (isMap(a) && isMap(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
      visit(a[key], b[key], join(path, key), found, most);
  } else {
    found.push(path);
  }
}

function join(path: string, key: string): string {
  if (!/^[\w-]+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}
