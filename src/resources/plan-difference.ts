import { FIELD_MANAGER } from '../cluster/apply.ts';
import { ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Differ } from '../plan/diff.ts';
import type { FieldConflict } from '../plan/plan.ts';
import { causesOf } from './causes.ts';

/**
 * The unified diff of two objects that are stripped already. Owner references are left out: they go by uid, and have a way
 * of their own.
 */
export function diffOf(differ: Differ, before: KubeObject, after: KubeObject): string {
  return differ.objects(withoutOwners(before), withoutOwners(after));
}

function withoutOwners({ metadata, ...rest }: KubeObject): KubeObject {
  const { ownerReferences: _ownerReferences, ...kept } = metadata;
  const { apiVersion, kind, ...others } = rest;
  return { apiVersion, kind, metadata: kept, ...others };
}

/**
 * Which managers own fields that an apply without force would change:
 * https://github.com/kubernetes/apimachinery/blob/v0.35.4/pkg/util/managedfields/internal/conflict.go
 * What this program has created is no conflict.
 *
 * @returns undefined for any other error
 */
export function conflictsIn(error: unknown): FieldConflict[] | undefined {
  if (!(error instanceof ClusterError) || error.status !== 409) return undefined;
  const causes = causesOf(error).filter(({ reason }) => reason === 'FieldManagerConflict');
  if (causes.length === 0) return undefined;
  const fields = new Map<string, Set<string>>();
  for (const { field, message } of causes) {
    const [, quoted = '""'] = /^conflict with ("(?:[^"\\]|\\.)*")/.exec(message) ?? [];
    const manager = unquote(quoted);
    if (manager === FIELD_MANAGER) continue;
    const named = fields.get(manager) ?? new Set();
    fields.set(manager, named.add(field.replace(/^\./, '')));
  }
  return [...fields]
    .map(([manager, named]) => ({ manager, fields: [...named].sort() }))
    .sort((a, b) => (a.manager < b.manager ? -1 : 1));
}

/** Go quotes almost as JSON does. */
function unquote(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted.slice(1, -1);
  }
}
