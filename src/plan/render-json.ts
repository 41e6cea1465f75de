import type {
  FieldConflict,
  Plan,
  PlannedEdge,
  PlannedKind,
  PlannedObject,
  PlannedRelease,
  PlanProblem,
  ReleaseState,
} from './plan.ts';

/** Every field of a type, in the order it is written; `null` where it holds nothing that has fields itself. */
type Fields<T> = { readonly [K in keyof Required<T>]: object | null };

const STATE: Fields<ReleaseState> = { chart: null, chartVersion: null, appVersion: null, revision: null, status: null };

const CONFLICT: Fields<FieldConflict> = { manager: null, fields: null };

const OBJECT: Fields<PlannedObject> = {
  apiVersion: null,
  kind: null,
  namespace: null,
  name: null,
  change: null,
  message: null,
  conflicts: CONFLICT,
  diff: null,
};

const RELEASE: Fields<PlannedRelease> = {
  name: null,
  namespace: null,
  change: null,
  before: STATE,
  after: STATE,
  revisions: null,
  message: null,
  hooks: null,
  values: null,
  objects: OBJECT,
};

const EDGE: Fields<PlannedEdge> = { from: null, to: null, reason: null };

const KIND: Fields<PlannedKind> = {
  apiVersion: null,
  kind: null,
  resource: null,
  create: null,
  update: null,
  recreate: null,
  delete: null,
  unchanged: null,
  keep: null,
};

const PROBLEM: Fields<PlanProblem> = { kind: null, message: null, hint: null };

const SNAPSHOT: Fields<Plan['snapshot']> = { id: null, location: null, digest: null, cluster: null };

const TARGET: Fields<Plan['target']> = { context: null, server: null, uid: null };

const COUNTS: Fields<Plan['counts']> = {
  created: null,
  updated: null,
  unchanged: null,
  deleted: null,
  skipped: null,
  failed: null,
};

/** The fields of a plan as `docs/plan.schema.json` describes them, in the order they are written. */
export const PLAN_FIELDS: Fields<Plan> = {
  format: null,
  id: null,
  created: null,
  snapshot: SNAPSHOT,
  target: TARGET,
  changed: null,
  counts: COUNTS,
  problems: PROBLEM,
  releases: RELEASE,
  edges: EDGE,
  kinds: KIND,
  objects: OBJECT,
};

/** A plan as JSON, ending in a line break: the same plan is the same bytes. */
export function renderPlanJson(plan: Plan): string {
  return `${JSON.stringify(inOrder(plan, PLAN_FIELDS), null, 2)}\n`;
}

function inOrder(value: unknown, fields: object | null): unknown {
  if (fields === null || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item: unknown) => inOrder(item, fields));
  const own = new Map<string, unknown>(Object.entries(value));
  return Object.fromEntries(
    Object.entries(fields).map(([name, inner]: [string, object | null]) => [name, inOrder(own.get(name), inner)]),
  );
}
