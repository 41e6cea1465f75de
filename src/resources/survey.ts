import type { SnapshotKind } from '../archive/snapshot.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { CRDS_PATH } from '../crds/collect.ts';
import { cancelledBy } from '../errors.ts';
import type { Differ } from '../plan/diff.ts';
import type { States } from '../plan/states.ts';
import type { Reporter } from '../report/reporter.ts';
import { forEachOf } from '../streams.ts';
import type { NamespaceMap } from '../transforms/namespace-map.ts';
import type { Transforms } from '../transforms/transforms.ts';
import { chooseNamespaces, type ResourceChoice, type TakesNamespace, takesObject } from './choice.ts';
import { type Decisions, decide } from './decide.ts';
import { createKnownKinds, type DefinedKind, type KnownKinds, kindKey, readDefinedKind } from './known-kinds.ts';
import { isResourcePath, readListFile } from './list-file.ts';
import { findMerged, findMergedObjects, type MergedObjects } from './merged.ts';
import { waveOf } from './order.ts';
import { findOwners } from './owners.ts';
import { bindPresence } from './plan-states.ts';
import { createTryNew } from './plan-try-new.ts';
import { keyOf } from './resource.ts';
import type { StripContext } from './rules.ts';
import { type Scan, type ScannedGroup, scanFile } from './scan.ts';
import { createFilter, findKinds, type ResourceFilter } from './selection.ts';
import { createServe } from './servable.ts';
import { createHasNamespace, type HasNamespace } from './target-namespaces.ts';
import { createReader, namespaceOfPath, type ReadWanted, type ResourceFiles } from './wanted.ts';

/** How resources are brought in. */
export interface PrepareOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  /** Of `_snapshot.json`. */
  readonly kinds: readonly SnapshotKind[];
  /** Where they come from, such as `snapshot 26-01-31_12-00-00 of stage`. */
  readonly origin: string;
  readonly choice: ResourceChoice;
  readonly namespaceMap: NamespaceMap;
  readonly transforms?: Transforms | undefined;
  /** Change objects that exist and differ; without it any of them stops the import. */
  readonly replace: boolean;
  /** With `replace`, delete and create what can't be changed. */
  readonly recreate: boolean;
  /** Names of the kinds whose status is brought in too. */
  readonly restoreStatus: readonly string[];
  /** Whether an object, as the snapshot has it, must not come. */
  readonly leavesOut?: ((object: KubeObject) => boolean) | undefined;
  /** Names of CRDs that the releases of the same import bring. */
  readonly otherCrds: ReadonlySet<string>;
  /** How many requests at once. */
  readonly concurrency: number;
  /** Where given, the state at the target of everything that was read goes there. */
  readonly states?: States | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** All that was found out about an import, whether or not it may go on. */
export interface Survey {
  readonly scans: readonly Scan[];
  readonly groups: readonly ScannedGroup[];
  readonly merged: MergedObjects;
  readonly decisions: Decisions;
  /** Keys of owners that come along, or that the target has. */
  readonly owners: ReadonlySet<string>;
  /** Those that objects go to, that the target lacks and the snapshot does not bring. */
  readonly namespaces: readonly string[];
  readonly filter: ResourceFilter;
  readonly known: KnownKinds;
  readonly read: ReadWanted;
}

/** Each holds a page or two of the target's objects. */
const MOST_FILES_AT_ONCE = 8;

const VOLUMES_PATH = 'persistentvolumes.json';
const NAMESPACES_PATH = 'namespaces.json';

/**
 * Reads every List file once, compares it with what the target has under the same names, and decides. Nothing is changed,
 * and nothing refused; memory stays flat.
 *
 * @param differ - only for a plan: what differs is shown, and what is new tried
 * @throws TransshipError `INPUT` for a choice that finds nothing
 */
export async function surveyResources(files: ResourceFiles, options: PrepareOptions, differ?: Differ): Promise<Survey> {
  const { cluster, discovery, namespaceMap, otherCrds, replace, recreate, states, reporter, signal } = options;
  const paths = [...files.paths()].filter(isResourcePath).sort();
  const crds = paths.includes(CRDS_PATH) ? await readCrds(files) : [];
  const known = createKnownKinds(
    options.kinds,
    crds.map(({ defined }) => defined),
    discovery,
  );
  const { exclude, selector, alsoReleases } = options.choice;
  const filter = createFilter({ exclude, selector, kinds: known.all, alsoReleases, where: 'the snapshot' });
  const sources = await findNamespaces(files, paths, alsoReleases);
  const takesNamespace = chooseNamespaces(options.choice.namespaces, sources);
  const defined = crds.filter(({ isTaken, defined: { crd } }) => isTaken(filter) || otherCrds.has(crd));
  const statusKinds = kindsNamed(options.restoreStatus, known);
  const serve = createServe({
    discovery,
    known,
    defined: new Map(defined.map((one) => [kindKey(one.defined.group, one.defined.kind), one.defined])),
    otherCrds,
    replace,
  });
  const keepsStatus = (group: string, kind: string) => statusKinds.has(kindKey(group, kind));
  const { transforms, leavesOut } = options;
  const read = createReader({
    ...{ leavesOut, files, known, filter, takesNamespace, namespaceMap, transforms, serve, otherCrds, keepsStatus },
  });

  const chosen = paths.filter((path) => isChosen(path, takesNamespace));
  const hasNamespace = createHasNamespace(cluster, signal);
  const isMerged = findMerged(
    sources.filter((name) => takesNamespace?.(name) !== false),
    namespaceMap,
  );
  const strip = await createStrip(files, paths, filter, takesNamespace);
  const concurrency = Math.max(1, options.concurrency);
  reporter.progress(`Comparing ${chosen.length} lists of objects with ${cluster.context}`);
  const context = {
    ...{ cluster, discovery, known, strip, read, hasNamespace, isMerged, concurrency, differ, states, signal },
    probes: replace && recreate,
    tryNew: differ && createTryNew({ cluster, hasNamespace, signal }),
  };
  const scans: Scan[] = [];
  await forEachOf(chosen.entries(), Math.min(concurrency, MOST_FILES_AT_ONCE), async ([index, path]) => {
    if (signal?.aborted) throw cancelledBy(signal);
    scans[index] = await scanFile(path, context);
  });

  const groups = scans.flatMap((scan) => [...scan.groups.values()]);
  const owners = await findOwners(scans, groups, context);
  const merged = findMergedObjects(groups);
  const decisions = decide(groups, { replace, recreate }, owners, merged.dropped);
  const namespaces = await findNewNamespaces(scans, groups, decisions, hasNamespace, states);
  return { scans, groups: groups.toSorted(byWave), merged, decisions, owners, namespaces, filter, known, read };
}

/** Of the namespaces that the snapshot does not bring; whether they exist counts, and nothing else of them. */
async function findNewNamespaces(
  scans: readonly Scan[],
  groups: readonly ScannedGroup[],
  { of }: Decisions,
  hasNamespace: HasNamespace,
  states: States | undefined,
): Promise<string[]> {
  const brought = new Set(scans.flatMap((scan) => scan.namespaces));
  const named = groups.filter((group) => group.count > (of.get(group)?.dropped.size ?? 0));
  const missing: string[] = [];
  for (const name of new Set(named.flatMap(({ namespace }) => namespace ?? []))) {
    if (brought.has(name)) continue;
    const isThere = await hasNamespace(name);
    bindPresence(states, keyOf({ group: '', kind: 'Namespace', name }), isThere);
    if (!isThere) missing.push(name);
  }
  return missing.sort();
}

function byWave(a: ScannedGroup, b: ScannedGroup): number {
  return (
    waveOf(a.kind, a.isCustom) - waveOf(b.kind, b.isCustom) ||
    compareText(a.path, b.path) ||
    compareText(a.namespace ?? '', b.namespace ?? '')
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface TravellingCrd {
  readonly defined: DefinedKind;
  readonly isTaken: (filter: ResourceFilter) => boolean;
}

async function readCrds(files: ResourceFiles): Promise<TravellingCrd[]> {
  const crds: TravellingCrd[] = [];
  for await (const { spec, ...head } of readListFile(CRDS_PATH, files.entry(CRDS_PATH).body)) {
    const defined = readDefinedKind({ ...head, spec });
    // Schemas are large: they are read again when their turn comes.
    const isTaken = (filter: ResourceFilter) => !filter.excludes(head, 'customresourcedefinitions');
    if (defined !== undefined) crds.push({ defined, isTaken });
  }
  return crds;
}

/** The namespaces that a snapshot has something of. */
async function findNamespaces(
  files: ResourceFiles,
  paths: readonly string[],
  alsoReleases: boolean,
): Promise<string[]> {
  const names = new Set(paths.map(namespaceOfPath).filter((name) => name !== undefined));
  for (const path of alsoReleases ? files.paths() : []) {
    const [, release] = /^_releases\/([^/]+)\//.exec(path) ?? [];
    if (release !== undefined) names.add(release);
  }
  for await (const { metadata } of readIfThere(files, paths, NAMESPACES_PATH)) names.add(metadata.name);
  return [...names].sort();
}

/** How objects of the target are stripped, so that they can be compared with those of the snapshot. */
async function createStrip(
  files: ResourceFiles,
  paths: readonly string[],
  filter: ResourceFilter,
  takesNamespace: TakesNamespace,
): Promise<StripContext> {
  const volumes = new Set<string>();
  for await (const volume of readIfThere(files, paths, VOLUMES_PATH)) {
    if (takesObject(volume, 'persistentvolumes', filter, takesNamespace)) volumes.add(volume.metadata.name);
  }
  return { keepStatus: () => false, hasVolume: (name) => volumes.has(name) };
}

async function* readIfThere(files: ResourceFiles, paths: readonly string[], path: string) {
  if (paths.includes(path)) yield* readListFile(path, files.entry(path).body);
}

function kindsNamed(names: readonly string[], { all }: KnownKinds): Set<string> {
  const found = names.flatMap((name) => findKinds(name, all, 'restore-status', 'the snapshot'));
  return new Set(found.map(({ group, kind }) => kindKey(group, kind)));
}

/** Of a namespace that is not chosen nothing is read. */
function isChosen(path: string, takesNamespace: TakesNamespace): boolean {
  const namespace = namespaceOfPath(path);
  return namespace === undefined || takesNamespace?.(namespace) !== false;
}
