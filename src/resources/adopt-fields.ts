import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';

/** https://www.rfc-editor.org/rfc/rfc6902 */
export type JsonPatch = readonly { readonly op: 'replace'; readonly path: string; readonly value: unknown }[];

/** A set of fields: https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/fieldpath/serialize.go */
type Fields = Record<string, unknown>;

/**
 * The patch that lets a manager apply what he has created. Fields of a created object belong to his operation Update,
 * and an apply that lacks one of them leaves it where it is; once they belong to his operation Apply it is removed. This
 * is what kubectl does when it changes to server-side apply:
 * https://github.com/kubernetes/client-go/blob/v0.35.4/util/csaupgrade/upgrade.go
 * Owner references and status are never applied, and so are not adopted: they stay.
 *
 * @returns undefined when there is nothing to adopt. The patch fails with 409 when the object has changed since.
 */
export function adoptFields(live: KubeObject, manager: string): JsonPatch | undefined {
  const entries = mapsIn(live.metadata.managedFields);
  const ours = entries.filter((entry) => entry.manager === manager && (entry.subresource ?? '') === '');
  const created = ours.filter(({ operation }) => operation === 'Update');
  if (created.every(({ fieldsV1 }) => adoptable(fieldsV1) === undefined)) return undefined;

  const target = ours.find(({ operation }) => operation === 'Apply') ?? created[0];
  if (target === undefined) return undefined;
  // Paths of another version may not exist in this one.
  const sameVersion = created.filter(({ apiVersion }) => apiVersion === target.apiVersion);
  const fieldsV1 = [target, ...sameVersion].reduce<Fields>(
    (all, entry) => unite(all, adoptable(entry.fieldsV1) ?? {}),
    {},
  );
  const value = entries
    .filter((entry) => entry === target || !created.includes(entry))
    .map((entry) => (entry === target ? { ...entry, operation: 'Apply', fieldsV1 } : entry));
  return [
    { op: 'replace', path: '/metadata/managedFields', value },
    { op: 'replace', path: '/metadata/resourceVersion', value: live.metadata.resourceVersion },
  ];
}

/** The fields without those that are not adopted. An empty map would stand for a field itself, so none is left. */
function adoptable(fields: unknown): Fields | undefined {
  if (!isMap(fields)) return undefined;
  const { 'f:status': _status, 'f:metadata': metadata, ...others } = fields;
  const { 'f:ownerReferences': _owners, ...kept } = isMap(metadata) ? metadata : {};
  const all = Object.keys(kept).length === 0 ? others : { ...others, 'f:metadata': kept };
  return Object.keys(all).length === 0 ? undefined : all;
}

function unite(a: Fields, b: Fields): Fields {
  const united = { ...a };
  for (const [element, below] of Object.entries(b)) {
    const there = united[element];
    united[element] = isMap(there) && isMap(below) ? unite(there, below) : below;
  }
  return united;
}
