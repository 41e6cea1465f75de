import type { Entry } from '../archive/entry.ts';
import { type Manager, snapshotEntry } from '../archive/snapshot.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type Discovery, discover } from '../cluster/discovery.ts';
import { readIdentity } from '../cluster/identity.ts';
import { collectCrds } from '../crds/collect.ts';
import { createCrdNeeds } from '../crds/needs.ts';
import type { ExportInputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';
import { type CollectedReleases, collectReleases } from '../releases/collect.ts';
import { driversOf } from '../releases/drivers.ts';
import type { OwnedObject } from '../releases/owned.ts';
import { collectResources, snapshotKinds } from '../resources/collect.ts';
import { keyOf } from '../resources/resource.ts';
import { isReleasePattern } from '../resources/selection.ts';
import { inTurn } from '../streams.ts';
import type { CollectedVms } from '../vms/collect.ts';
import { vmsEntry } from '../vms/part-list.ts';
import type { RunContext } from './run.ts';

/** The inputs that say what a snapshot is to hold; every mode that writes one has them. */
export type CollectInputs = Pick<
  ExportInputs,
  'include' | 'selector' | 'exclude' | 'history' | 'strict' | 'cluster-resources' | 'restore-status' | 'concurrency'
>;

/** What an export was asked for. */
export interface Collecting {
  readonly id: string;
  readonly created: Date;
  readonly namespaces: readonly string[];
  readonly inputs: CollectInputs;
  /** What keeps the place up to date that the snapshot is written to. */
  readonly manager?: Manager | undefined;
  readonly context: RunContext;
  /** Virtual machines that are exported already, into archives of their own. */
  readonly vms?: CollectedVms | undefined;
  /** Of the cluster, where it is known already. */
  readonly discovery?: Discovery | undefined;
  /** What belongs to virtual machines that travel on their own. */
  readonly owned?: CollectedVms['owned'] | undefined;
}

/** A snapshot on its way out of the cluster. */
export interface SnapshotCollection {
  /** `_snapshot.json` first; read once. */
  readonly entries: AsyncIterable<Entry>;
  /** What was exported; complete after the last entry. */
  result(): Pick<Outputs, 'releases' | 'resources'>;
}

/** Joins what the rooms collect into one stream: what an import needs to decide comes before what is large. */
export function collectSnapshot(cluster: Cluster, collecting: Collecting): SnapshotCollection {
  const { vms } = collecting;
  const { include } = collecting.inputs;
  const takesReleases = include.includes('releases');
  const done: { releases?: CollectedReleases['releases']; resources?: Outputs['resources'] } = {};

  async function* entries(): AsyncGenerator<Entry> {
    const known = collecting.discovery;
    const discovery = include.includes('resources')
      ? (known ?? (await discover(cluster, collecting.context.signal)))
      : undefined;
    const releases = takesReleases ? collect(cluster, collecting, discovery) : undefined;
    const describe = () => describeSnapshot(cluster, collecting, discovery);
    // The first records are on their way while the cluster says who it is.
    yield* inTurn(releases === undefined ? [describe] : [describe, () => releases.entries], 1);
    if (vms !== undefined) yield vmsEntry(vms.parts);
    const collected = releases?.result();
    if (collected !== undefined) done.releases = collected.releases;
    const crdNeeds = collected?.crdNeeds ?? createCrdNeeds();
    if (discovery !== undefined) {
      const { selector, exclude, strict, concurrency } = collecting.inputs;
      const resources = collectResources(cluster, {
        discovery,
        namespaces: collecting.namespaces,
        selector,
        exclude: exclude ?? [],
        clusterResources: collecting.inputs['cluster-resources'],
        strict,
        restoreStatus: collecting.inputs['restore-status'] ?? [],
        concurrency,
        temporaryDirectory: collecting.context.temporaryDirectory,
        alsoReleases: takesReleases,
        owned: () => ownedKeys([...(collected?.owned ?? []), ...(collecting.owned ?? [])], discovery),
        reporter: collecting.context.reporter,
        signal: collecting.context.signal,
      });
      yield* resources.entries;
      const result = resources.result();
      done.resources = result.resources;
      for (const name of result.crds) crdNeeds.names.add(name);
    }
    if (crdNeeds.kinds.size + crdNeeds.resources.size + crdNeeds.names.size === 0) return;
    const { reporter, signal } = collecting.context;
    const crds = await collectCrds(
      cluster,
      discovery ?? known ?? (await discover(cluster, signal)),
      crdNeeds,
      reporter,
      signal,
    );
    if (crds.entry === undefined) return;
    yield crds.entry;
    if (done.resources !== undefined) done.resources = [...done.resources, crdRow(crds.names.length)];
  }

  return { entries: entries(), result: () => done };
}

function collect(cluster: Cluster, { namespaces, inputs, context }: Collecting, discovery: Discovery | undefined) {
  const { selector, exclude, history } = inputs;
  return collectReleases(cluster, {
    namespaces,
    selector,
    // Of both kinds of patterns, only those of releases are theirs.
    exclude: discovery === undefined ? exclude : exclude?.filter((one) => isReleasePattern(one, discovery.kinds)),
    history,
    withOwned: discovery !== undefined,
    drivers: driversOf(context.env.HELM_DRIVER),
    reporter: context.reporter,
    signal: context.signal,
  });
}

async function* describeSnapshot(
  cluster: Cluster,
  { id, created, namespaces, inputs, context, manager }: Collecting,
  discovery: Discovery | undefined,
): AsyncGenerator<Entry> {
  const { include, selector, exclude, history } = inputs;
  const { uid, version } = await readIdentity(cluster, context.signal);
  yield snapshotEntry({
    id,
    created,
    tool: { name: 'transship', version: context.version },
    cluster: { uid, version, context: cluster.context },
    scope: { namespaces, include, selector, exclude, history },
    manager,
    kinds: discovery && snapshotKinds(discovery),
  });
}

/** The keys of what releases own; a manifest may give a namespace to what has none. */
function ownedKeys(owned: readonly OwnedObject[], { kinds }: Discovery): Set<string> {
  const clusterScoped = new Set(
    kinds.filter(({ namespaced }) => !namespaced).map(({ group, kind }) => `${group}/${kind}`),
  );
  return new Set(
    owned.map(({ group, kind, namespace, name }) =>
      keyOf({ group, kind, namespace: clusterScoped.has(`${group}/${kind}`) ? undefined : namespace, name }),
    ),
  );
}

function crdRow(exported: number) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    resource: 'customresourcedefinitions',
    exported,
    created: 0,
    updated: 0,
    unchanged: 0,
    deleted: 0,
    skipped: 0,
    failed: 0,
  };
}
