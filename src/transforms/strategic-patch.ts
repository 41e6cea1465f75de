import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../cluster/cluster.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import { cloneJson } from '../json.ts';
import { isMap } from '../values.ts';
import type { JsonMap } from './spec.ts';

/**
 * The key that tells the items of a list apart, by the field that holds it, as the built-in types declare it
 * (`patchMergeKey`): https://github.com/kubernetes/api/blob/v0.35.4/core/v1/types.go
 */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  env: 'name',
  ports: 'containerPort',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  topologySpreadConstraints: 'topologyKey',
  schedulingGates: 'name',
  resourceClaims: 'name',
  conditions: 'type',
  ownerReferences: 'uid',
  webhooks: 'name',
  matchConditions: 'name',
  variables: 'name',
  drivers: 'name',
};
/** Where it is another one in one kind, or none. */
const OF_KIND: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
  Service: { ports: 'port' },
  ServiceAccount: { secrets: 'name', imagePullSecrets: undefined },
  Endpoints: { ports: undefined },
  EndpointSlice: { ports: undefined },
  NetworkPolicy: { ports: undefined },
};
/** Lists of texts to which a patch adds. */
const SETS = new Set(['finalizers']);
const DELETE_FROM = '$deleteFromPrimitiveList/';

/** The directives that {@link applyStrategicPatch} follows. */
export function isKnownDirective(key: string): boolean {
  return key === '$patch' || key.startsWith(DELETE_FROM);
}

/**
 * Applies a strategic merge patch in place, as the API server does. The lists of custom resources are replaced, for
 * nobody knows how to tell their items apart.
 * https://github.com/kubernetes/apimachinery/blob/v0.35.4/pkg/util/strategicpatch/patch.go
 *
 * @throws Error when an item of a patch lacks the key that tells items apart
 */
export function applyStrategicPatch(object: KubeObject, patch: JsonMap): void {
  const slash = object.apiVersion.indexOf('/');
  const isBuiltIn = isBuiltInGroup(slash === -1 ? '' : object.apiVersion.slice(0, slash));
  const ofKind = isBuiltIn ? OF_KIND[object.kind] : undefined;
  const keyOf: MergeKeyOf = (field) => {
    if (!isBuiltIn) return undefined;
    return ofKind !== undefined && Object.hasOwn(ofKind, field) ? ofKind[field] : MERGE_KEYS[field];
  };
  mergeMaps(object, patch, { keyOf, isBuiltIn }, '');
}

type MergeKeyOf = (field: string) => string | undefined;

interface Rules {
  readonly keyOf: MergeKeyOf;
  readonly isBuiltIn: boolean;
}

function mergeMaps(target: Record<string, unknown>, patch: JsonMap, rules: Rules, path: string): void {
  const directive = patch.$patch;
  if (directive === 'replace' || directive === 'delete') {
    for (const key of Object.keys(target)) delete target[key];
    if (directive === 'replace') Object.assign(target, ownMap(withoutDirectives(patch)));
    return;
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch') continue;
    if (key.startsWith(DELETE_FROM)) {
      const list = target[key.slice(DELETE_FROM.length)];
      if (!Array.isArray(list) || !Array.isArray(value)) continue;
      target[key.slice(DELETE_FROM.length)] = list.filter((item) => !value.includes(item));
      continue;
    }
    const before = target[key];
    const where = path === '' ? key : `${path}.${key}`;
    if (value === null) delete target[key];
    else if (isMap(value) && isMap(before) && !JSON.isRawJSON(before)) mergeMaps(before, value, rules, where);
    else if (Array.isArray(value) && Array.isArray(before)) target[key] = mergeLists(before, value, key, rules, where);
    else if (isMap(value) && value.$patch === 'delete') delete target[key];
    else target[key] = withoutDirectives(value);
  }
}

function mergeLists(before: unknown[], patch: unknown[], field: string, rules: Rules, path: string): unknown[] {
  const mergeKey = rules.keyOf(field);
  const directives = patch.filter(isMap).filter((item) => item.$patch !== undefined && item.$patch !== 'merge');
  if (SETS.has(field) && rules.isBuiltIn) return [...new Set([...before, ...patch])];
  if (mergeKey === undefined) {
    if (directives.some((item) => item.$patch === 'delete')) throw new Error(`the items of ${path} have no merge key`);
    return patch.filter((item) => !isLoneDirective(item)).map((item) => withoutDirectives(item));
  }
  const items = patch.map((item): Record<string, unknown> => {
    if (!isMap(item)) throw new Error(`an item of ${path} is no map`);
    if (item[mergeKey] === undefined && !isLoneDirective(item))
      throw new Error(`an item of ${path} has no ${mergeKey}`);
    return item;
  });
  const isKept = (item: unknown): boolean =>
    !directives.some(
      (one) => one.$patch === 'delete' && isMap(item) && isDeepStrictEqual(item[mergeKey], one[mergeKey]),
    );
  const isReplaced = directives.some((item) => isLoneDirective(item) && item.$patch === 'replace');
  const kept = isReplaced ? [] : before.filter(isKept);
  const wanted = items.filter((item) => item.$patch !== 'delete' && !isLoneDirective(item));
  const merged = wanted.map((item): Record<string, unknown> => {
    const found = kept.filter(isMap).find((one) => isDeepStrictEqual(one[mergeKey], item[mergeKey]));
    if (found === undefined) return ownMap(withoutDirectives(item));
    mergeMaps(found, item, rules, path);
    // A replaced item has to keep its place.
    found[mergeKey] ??= item[mergeKey];
    return found;
  });
  return inOrder(kept, merged);
}

/**
 * The patch's items in the patch's order, and the others among them as they stood: what is new comes before the others
 * that are left, as when the API server applies the patch.
 */
function inOrder(before: readonly unknown[], patched: readonly Record<string, unknown>[]): unknown[] {
  const others = before.filter((item) => !patched.some((one) => one === item));
  const result: unknown[] = [];
  let next = 0;
  for (const item of patched) {
    const place = before.indexOf(item);
    while (place !== -1 && next < others.length && before.indexOf(others[next]) < place) {
      result.push(others[next]);
      next += 1;
    }
    result.push(item);
  }
  return [...result, ...others.slice(next)];
}

function isLoneDirective(item: unknown): boolean {
  return isMap(item) && item.$patch !== undefined && Object.keys(item).length === 1;
}

/** A part of a patch that comes where there was nothing: without its directives, and what it would have deleted. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !(isMap(item) && (item.$patch === 'delete' || isLoneDirective(item))))
      .map((item) => withoutDirectives(item));
  }
  if (!isMap(value) || JSON.isRawJSON(value)) return cloneJson(value);
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === '$patch' || key.startsWith(DELETE_FROM) || item === null) continue;
    if (isMap(item) && item.$patch === 'delete') continue;
    result[key] = withoutDirectives(item);
  }
  return result;
}

function ownMap(value: unknown): Record<string, unknown> {
  return isMap(value) ? value : {};
}
