import { createHash } from 'node:crypto';
import { SNAPSHOT_PATH } from '../archive/snapshot.ts';
import { readIdentity } from '../cluster/identity.ts';
import { loadDiff } from '../plan/diff.ts';
import { type PlanBinding, planIdOf } from '../plan/id.ts';
import type { Change, Plan, PlannedKind, PlannedObject, PlannedRelease, PlanProblem } from '../plan/plan.ts';
import { createPreflight } from '../preflight/preflight.ts';
import { prepareRestore } from '../releases/restore.ts';
import { planResources } from '../resources/prepare.ts';
import { isMap } from '../values.ts';
import { type Importing, REQUESTS_AT_ONCE, releaseOptions, resourceOptions } from './importing.ts';
import { findPruned, planPruned, statesOfPruned } from './pruning.ts';

/** A plan, and what it has to be bound to. */
export interface MadePlan {
  readonly plan: Plan;
  readonly binding: PlanBinding;
  readonly key: Buffer;
}

/** Finds out all that an import would do, and changes nothing. */
export async function makePlan(importing: Importing, created = new Date()): Promise<MadePlan> {
  const { cluster, discovery, context, content, helm, spool, snapshot, location } = importing;
  const { signal, reporter } = context;
  const newNamespaces = new Set<string>();
  const explain = {
    differ: await loadDiff(),
    preflight: createPreflight({
      ...{ cluster, discovery, signal },
      newNamespaces: () => newNamespaces,
      concurrency: REQUESTS_AT_ONCE,
    }),
  };
  const prepared =
    helm === undefined
      ? undefined
      : await prepareRestore(spool, { ...releaseOptions(importing, helm), planning: true });
  const releases = await prepared?.plan(explain);
  const resources = content.resources
    ? await planResources(spool, { ...resourceOptions(importing, prepared?.crds ?? new Set()), explain })
    : undefined;
  for (const name of resources?.namespaces ?? []) newNamespaces.add(name);
  const vms = await planMachines(importing);
  const pruned = await findPruned(importing);
  for (const { id, kind } of pruned.objects) {
    const metadata = { name: id.name, ...(id.namespace === undefined ? {} : { namespace: id.namespace }) };
    explain.preflight.note({ apiVersion: kind.apiVersion, kind: kind.kind, metadata }, kind, 'delete');
  }
  const problems: PlanProblem[] = [
    ...(releases?.problems ?? []),
    ...(resources?.problems ?? []),
    ...(vms?.problems ?? []),
    ...(await explain.preflight.finish()),
  ];
  const deleted = planPruned(pruned, importing.environment?.name ?? '');
  const planned = {
    releases: [...(releases?.releases ?? []), ...deleted.releases],
    objects: [...(releases?.crds ?? []), ...(resources?.objects ?? []), ...(vms?.objects ?? []), ...deleted.objects],
    kinds: addObjects(
      resources?.kinds ?? [],
      [...(releases?.crds ?? []), ...(vms?.objects ?? []), ...deleted.objects],
      deleted.plurals,
    ),
  };
  const [{ binding, key }, { uid }] = await Promise.all([
    bindingOf(importing, statesOfPruned(pruned)),
    readIdentity(cluster, signal),
  ]);
  const counts = countPlanned(planned.releases, planned.kinds);
  importing.guarding.tell(reporter);
  for (const line of importing.transforms.unused()) reporter.warn(`${line} matched nothing.`, 'Unused transform');
  return {
    binding,
    key,
    plan: {
      format: 1,
      id: planIdOf(created, binding, key),
      created: created.toISOString(),
      snapshot: {
        id: snapshot.id,
        location: location ?? 'nowhere: promoted directly',
        digest: spool.digest,
        cluster: snapshot.cluster.context,
      },
      target: {
        context: cluster.context,
        server: cluster.server,
        uid,
      },
      ...planned,
      edges: releases?.edges ?? [],
      problems,
      counts,
      changed: counts.created + counts.updated + counts.deleted > 0,
    },
  };
}

/** What would be done about virtual machines. */
async function planMachines(importing: Importing) {
  const vms = await importing.vms?.(importing);
  try {
    return await vms?.plan();
  } finally {
    await vms?.close();
  }
}

/** What a plan of an import is bound to, once all states are read. */
export async function bindingOf(
  importing: Importing,
  pruned: Iterable<[string, string]>,
): Promise<{ binding: PlanBinding; key: Buffer }> {
  const { cluster, spool, states } = importing;
  const binding = {
    digest: spool.digest,
    inputs: boundInputs(importing),
    cluster: cluster.server,
    states: new Map([...states, ...pruned]),
  };
  // Nobody who can't read the snapshot may learn from a saved plan what is in the cluster.
  const hash = createHash('sha256')
    .update('transship plan\n')
    .update(await spool.read(SNAPSHOT_PATH));
  for (const path of spool.paths()) hash.update(`${path} ${spool.entry(path).size}\n`);
  return { binding, key: hash.digest() };
}

/** The inputs that decide what is changed; how long it may take, or what is told about it, is not among them. */
const BOUND = [
  'include',
  'namespace',
  'selector',
  'exclude',
  'history',
  'restore-status',
  'namespace-map',
  'storage-class-map',
  'image-map',
  'replace-text',
  'replace',
  'recreate',
  'prune',
  'environment',
  'no-hooks',
  'vms',
  'name',
  'vm-identity',
  'run-strategy',
  'manager-path',
] as const;

function boundInputs({ inputs, transforms }: Importing): Record<string, string> {
  const texts = BOUND.map((name): [string, string] => [name, textOf(inputs[name])]);
  return {
    ...Object.fromEntries(texts),
    // Of the file, what it says counts, and not how it is called.
    ...(inputs.transforms === undefined ? {} : { transforms: transforms.digest }),
  };
}

/** As a user would write it. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  if (!isMap(value)) return value === undefined ? '' : String(value);
  return Object.entries(value)
    .map(([from, to]) => `${from}=${to}`)
    .join(', ');
}

const NO_CHANGES: Readonly<Record<Change, number>> = {
  create: 0,
  update: 0,
  recreate: 0,
  delete: 0,
  unchanged: 0,
  keep: 0,
};

/** Counts objects that no row has yet. */
function addObjects(
  kinds: readonly PlannedKind[],
  objects: readonly PlannedObject[],
  plurals: ReadonlyMap<string, string>,
): PlannedKind[] {
  const rows = new Map(kinds.map((row) => [`${row.apiVersion}/${row.kind}`, row]));
  for (const { apiVersion, kind, change } of objects) {
    const key = `${apiVersion}/${kind}`;
    const row = rows.get(key) ?? { apiVersion, kind, resource: plurals.get(key) ?? pluralOf(kind), ...NO_CHANGES };
    rows.set(key, { ...row, [change]: row[change] + 1 });
  }
  return [...rows.values()];
}

/** Of what releases bring beside their manifests, which is nothing but CRDs. */
function pluralOf(kind: string): string {
  return `${kind.toLowerCase()}s`;
}

function countPlanned(releases: readonly PlannedRelease[], kinds: readonly PlannedKind[]): Plan['counts'] {
  const count = (change: Change) =>
    releases.filter((release) => release.change === change).length + kinds.reduce((sum, row) => sum + row[change], 0);
  return {
    created: count('create'),
    updated: count('update') + count('recreate'),
    unchanged: count('unchanged') + count('keep'),
    deleted: count('delete'),
    skipped: 0,
    failed: 0,
  };
}
