import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';
import { dropIfEmpty, type Edit, type StripContext } from './edits.ts';
import { groupOf } from './resource.ts';
import { covers, STRIPPED } from './rule-table.ts';

/** All rules for one kind. */
interface Plan {
  readonly edits: readonly Edit[];
  readonly fields: readonly (readonly string[])[];
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
  readonly finalizers: readonly string[];
}

const plans = new Map<string, Plan>();

/**
 * Takes off an object that was just read from a cluster what belongs to that cluster: see rule-table.ts. Its managed fields
 * must still be there: they tell what somebody asked for, so an object that was stripped already must not come here again.
 *
 * @returns the object it was given, changed in place
 */
export function stripObject(object: KubeObject, context: StripContext): KubeObject {
  const { edits, fields, labels, annotations, finalizers } = planFor(object);
  for (const edit of edits) {
    edit(object, context);
  }
  for (const path of fields) {
    dropField(object, path, 0);
  }
  dropKeys(object.metadata, 'labels', labels);
  dropKeys(object.metadata, 'annotations', annotations);
  dropNames(object.metadata, 'finalizers', finalizers);
  return object;
}

function planFor({ apiVersion, kind }: KubeObject): Plan {
  const key = `${apiVersion}/${kind}`;
  let plan = plans.get(key);
  if (plan === undefined) {
    const rules = STRIPPED.filter(({ about }) => covers(about, groupOf(apiVersion), kind));
    plan = {
      edits: rules.flatMap(({ edit = [] }) => edit),
      fields: rules.flatMap(({ fields = [] }) => fields).map((path) => path.split('.')),
      labels: rules.flatMap(({ labels = [] }) => labels),
      annotations: rules.flatMap(({ annotations = [] }) => annotations),
      finalizers: rules.flatMap(({ finalizers = [] }) => finalizers),
    };
    plans.set(key, plan);
  }
  return plan;
}

function dropField(holder: unknown, path: readonly string[], at: number): void {
  const key = path[at];
  if (key === '*') {
    if (Array.isArray(holder)) {
      for (const item of holder) {
        dropField(item, path, at + 1);
      }
    }
  } else if (key !== undefined && isMap(holder) && holder[key] !== undefined) {
    if (at === path.length - 1) {
      delete holder[key];
    } else {
      dropField(holder[key], path, at + 1);
    }
  }
}

/** Drops keys of a map; the map with its last one. */
function dropKeys(holder: Record<string, unknown>, field: string, names: readonly string[]): void {
  const map = holder[field];
  if (names.length > 0 && isMap(map)) {
    for (const key of Object.keys(map)) {
      if (matchesAny(key, names)) {
        delete map[key];
      }
    }
    dropIfEmpty(holder, field);
  }
}

/** Drops names of a list; the list with its last one. */
function dropNames(holder: Record<string, unknown>, field: string, names: readonly string[]): void {
  const list = holder[field];
  if (Array.isArray(list)) {
    const left = list.filter((name) => !matchesAny(String(name), names));
    if (left.length === 0) {
      delete holder[field];
    } else if (left.length < list.length) {
      holder[field] = left;
    }
  }
}

function matchesAny(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}
