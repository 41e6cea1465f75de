import type { KubeObject } from '../cluster/cluster.ts';
import { cloneJson } from '../json.ts';
import { isMap, mapsIn } from '../values.ts';

type Fields = Record<string, unknown>;

/** Handled apart from what an object says. */
const NOT_TOUCHED = new Set(['f:ownerReferences', 'f:status']);

/**
 * What becomes of an object when a manager who has created it applies it: fields that only he owns and wants no more
 * go. The server's own dry run can't tell, for a created object's fields belong to the operation Update until they are
 * adopted: https://github.com/kubernetes/client-go/blob/v0.35.4/util/csaupgrade/upgrade.go
 *
 * @returns the live object without those fields, or undefined where there are none
 */
export function withoutUnwanted(live: KubeObject, wanted: KubeObject, manager: string): KubeObject | undefined {
  const entries = mapsIn(live.metadata.managedFields);
  const isOurs = (entry: Fields) => entry.manager === manager && (entry.subresource ?? '') === '';
  // What was written in another version is not adopted: see adopt-fields.ts.
  const first = entries.find((entry) => isOurs(entry) && entry.operation === 'Apply') ?? entries.find(isOurs);
  const ours = entries.filter(
    (entry) => isOurs(entry) && entry.operation === 'Update' && entry.apiVersion === first?.apiVersion,
  );
  const others = entries.filter((entry) => !isOurs(entry)).map(({ fieldsV1 }) => fieldsV1);
  const left = cloneJson(live);
  const removed = ours.map(({ fieldsV1 }) => prune(fieldsV1, left, wanted, others));
  return removed.includes(true) ? left : undefined;
}

/** Takes what is owned and not wanted out of `live`; whether there was anything. */
function prune(owned: unknown, live: unknown, wanted: unknown, others: readonly unknown[]): boolean {
  if (!isMap(owned)) return false;
  let removed = false;
  for (const [element, below] of Object.entries(owned)) {
    if (element === '.' || NOT_TOUCHED.has(element)) continue;
    const there = find(live, element);
    if (there === undefined) continue;
    const theirs = others.flatMap((other) => (isMap(other) && element in other ? [other[element]] : []));
    const asked = find(wanted, element)?.value;
    if (asked === undefined && theirs.length === 0) {
      there.remove();
      removed = true;
    } else if (prune(below, there.value, asked, theirs)) {
      removed = true;
    }
  }
  return removed;
}

interface Found {
  readonly value: unknown;
  remove(): void;
}

/** Follows one path element: https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/fieldpath/serialize-pe.go */
function find(value: unknown, element: string): Found | undefined {
  const text = element.slice(2);
  if (element.startsWith('f:')) {
    if (!isMap(value) || value[text] === undefined) return undefined;
    return { value: value[text], remove: () => void delete value[text] };
  }
  if (!Array.isArray(value)) return undefined;
  const index = element.startsWith('i:') ? Number(text) : value.findIndex((item) => matches(item, element[0], text));
  if (value[index] === undefined) return undefined;
  const item: unknown = value[index];
  return { value: item, remove: () => void value.splice(value.indexOf(item), 1) };
}

function matches(item: unknown, form: string | undefined, text: string): boolean {
  const key: unknown = JSON.parse(text);
  if (form === 'v') return item === key;
  // What the snapshot leaves out of a key, such as a port's protocol, the server fills in.
  return (
    isMap(key) && isMap(item) && Object.entries(key).every(([name, part]) => item[name] === part || !(name in item))
  );
}
