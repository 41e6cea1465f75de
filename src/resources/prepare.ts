import type { SnapshotKind } from '../archive/snapshot.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { CRDS_PATH } from '../crds/collect.ts';
import { cancelledBy } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { forEachOf } from '../streams.ts';
import type { NamespaceMap } from '../transforms/namespace-map.ts';
import { chooseNamespaces, type ResourceChoice, type TakesNamespace, takesObject } from './choice.ts';
import { type Decisions, decide, standingOf } from './decide.ts';
import { createKnownKinds, type DefinedKind, type KnownKinds, kindKey, readDefinedKind } from './known-kinds.ts';
import { isResourcePath, readListFile } from './list-file.ts';
import { findMerged, findMergedObjects } from './merged.ts';
import { reportDecisions, reportScans } from './notes.ts';
import { waveOf } from './order.ts';
import { findOwners } from './owners.ts';
import { collisions, existing, forbiddenLists, immutable, joinProblems, notServed } from './problems.ts';
import { idOf, keyOf } from './resource.ts';
import type { StripContext } from './rules.ts';
import { groupKey, joinTallies, type Scan, type ScannedGroup, scanFile } from './scan.ts';
import { createFilter, findKinds, type ResourceFilter } from './selection.ts';
import { createServe } from './servable.ts';
import { createHasNamespace } from './target-namespaces.ts';
import { createReader, namespaceOfPath, type ReadWanted, type ResourceFiles } from './wanted.ts';
import type { ImportWork, WorkFile, WorkObject } from './work.ts';

export type { ResourceChoice } from './choice.ts';
export type { ResourceFiles } from './wanted.ts';

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
  /** Change objects that exist and differ; without it any of them stops the import. */
  readonly replace: boolean;
  /** With `replace`, delete and create what can't be changed. */
  readonly recreate: boolean;
  /** Names of the kinds whose status is brought in too. */
  readonly restoreStatus: readonly string[];
  /** Names of CRDs that the releases of the same import bring. */
  readonly otherCrds: ReadonlySet<string>;
  /** How many requests at once. */
  readonly concurrency: number;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Each holds a page or two of the target's objects. */
const MOST_FILES_AT_ONCE = 8;

const VOLUMES_PATH = 'persistentvolumes.json';
const NAMESPACES_PATH = 'namespaces.json';

/**
 * Finds out all that an import of resources has to do, and changes nothing. Every List file is read once and compared with
 * what the target has under the same names; memory stays flat.
 *
 * @throws TransshipError `INPUT` for a choice that finds nothing, `FORBIDDEN`, `NOT_SERVED`, `IMMUTABLE`,
 *   `RESOURCE_EXISTS`: each names all that stands in the way
 */
export async function prepareResources(files: ResourceFiles, options: PrepareOptions): Promise<ImportWork> {
  const { cluster, discovery, namespaceMap, origin, otherCrds, replace, recreate, reporter, signal } = options;
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
  const read = createReader({ files, known, filter, takesNamespace, namespaceMap, serve, otherCrds, keepsStatus });

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
    cluster,
    discovery,
    known,
    strip,
    probes: replace && recreate,
    read,
    hasNamespace,
    isMerged,
    concurrency,
    signal,
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
  reportScans(scans, reporter);
  const problem = joinProblems(
    [
      forbiddenLists(
        scans.flatMap(({ forbidden }) => forbidden),
        cluster.context,
      ),
      collisions(merged.collisions),
      notServed(
        joinTallies(scans.map(({ unserved }) => unserved)),
        scans.flatMap(({ misfits }) => misfits),
        discovery,
        cluster.context,
      ),
      immutable(decisions.by.get('immutable') ?? [], origin, cluster.context, recreate),
      existing(decisions.by.get('exists') ?? [], origin, cluster.context),
    ].filter((one) => one !== undefined),
  );
  if (problem !== undefined) throw problem;
  reportDecisions(decisions, filter, reporter);

  const work = new Map(groups.flatMap((group) => workFileOf(group, decisions)));
  const namespaces = new Set([...work.keys()].flatMap(({ namespace }) => namespace ?? []));
  for (const name of scans.flatMap((scan) => scan.namespaces)) namespaces.delete(name);
  for (const name of namespaces) if (await hasNamespace(name)) namespaces.delete(name);
  return {
    files: [...work.keys()].sort(byWave),
    namespaces: [...namespaces].sort(),
    owners,
    objects: (file) => readWork(file, work.get(file), decisions, read),
  };
}

async function* readWork(
  { path, kind, namespace }: WorkFile,
  group: ScannedGroup | undefined,
  { of }: Decisions,
  read: ReadWanted,
): AsyncGenerator<WorkObject> {
  const decided = group && of.get(group);
  if (decided === undefined) throw new Error(`${path} is no file of this import.`);
  const key = groupKey(kind, namespace);
  let position = 0;
  for await (const { object, servable } of read(path)) {
    if (servable === undefined || groupKey(servable.kind, object.metadata.namespace) !== key) continue;
    const here = position++;
    if (decided.dropped.has(here)) continue;
    const standing = standingOf(decided, here);
    yield { object, key: keyOf(idOf(object)), standing, recreate: decided.recreated.has(here) };
  }
}

function workFileOf(group: ScannedGroup, { of }: Decisions): [WorkFile, ScannedGroup][] {
  const { path, kind, isCustom, namespace } = group;
  const count = group.count - (of.get(group)?.dropped.size ?? 0);
  return count === 0 ? [] : [[{ path, kind, isCustom, namespace, wave: waveOf(kind, isCustom), count }, group]];
}

function byWave(a: WorkFile, b: WorkFile): number {
  return a.wave - b.wave || compareText(a.path, b.path) || compareText(a.namespace ?? '', b.namespace ?? '');
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
