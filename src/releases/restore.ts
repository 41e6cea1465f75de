import type { KubeObject } from '../cluster/cluster.ts';
import { discover } from '../cluster/discovery.ts';
import { CRDS_PATH } from '../crds/collect.ts';
import { parseCrds, type RestoredCrds, restoreCrds, type WantedCrd } from '../crds/restore.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ReleaseResult } from '../report/results.ts';
import { describeNamespaceWarning, mapObjectNamespaces, type NamespaceMap } from '../transforms/namespace-map.ts';
import { type ArchiveFiles, type BundleChoice, readBundles } from './bundles.ts';
import { isUnfinished } from './frozen-mark.ts';
import { buildGraph, type Graph, type GraphRelease } from './graph.ts';
import type { HelmContext } from './install-release.ts';
import { createRecordMapper, type RecordMapper } from './map-record.ts';
import { type PreparedRelease, prepareReleases } from './prepare.ts';
import { parseRelease } from './record.ts';
import { readFacts } from './release-facts.ts';
import { refuseExisting, restoreRelease } from './restore-release.ts';
import { runGraph } from './run-graph.ts';
import { chooseExisting, findTargetReleases, type TargetRelease } from './target-releases.ts';
import { addChartCrds, type CrdShare, chooseCrds, readCrdShare } from './wanted-crds.ts';

/** How releases are brought in. */
export interface RestoreOptions extends HelmContext {
  readonly choice: BundleChoice;
  /** The import is about other things too: finding no release is nothing to speak of. */
  readonly mayBeEmpty: boolean;
  readonly namespaceMap: NamespaceMap;
  /** Upgrade releases that exist; without it any of them stops the import. */
  readonly replace: boolean;
  /** How many at once. */
  readonly concurrency: number;
  /** Where they come from, such as `snapshot 26-01-31_12-00-00 of stage`. */
  readonly origin: string;
  /** Milliseconds that a CRD may take to be established. */
  readonly crdTimeout: number;
}

/** An import of releases that has been checked and has changed nothing yet. */
export interface ReleaseRestore {
  /** How many there are. */
  readonly count: number;
  /** Names of the CRDs that it applies, or Helm with a manifest. */
  readonly crds: ReadonlySet<string>;
  /** Applies the CRDs and waits until they can be used. */
  applyCrds(): Promise<void>;
  /** Installs as many at once as allowed, each after those it needs; a row for each, failed and skipped ones included. */
  install(): Promise<ReleaseResult[]>;
}

/**
 * Prepares to bring the releases of an archive into a cluster: everything that can be checked is. Of those that are then
 * installed, one that fails takes along what depends on it; the others finish.
 *
 * @throws TransshipError before anything has changed: `INPUT`, `RELEASE_EXISTS`, `RECORD_INVALID`, `FORBIDDEN`
 */
export async function prepareRestore(files: ArchiveFiles, options: RestoreOptions): Promise<ReleaseRestore> {
  const { cluster, choice, helm, replace, reporter, signal } = options;
  const bundles = await readBundles(files, choice);
  if (bundles.length === 0 && !options.mayBeEmpty) {
    reporter.warn('The snapshot has no release that was asked for.', 'Nothing to import');
  }
  const mapper = createRecordMapper(options.namespaceMap);
  const nodes: GraphRelease[] = [];
  const crds = await readCrds(files);
  const shares: CrdShare[] = [];
  const releases = await prepareReleases(files, bundles, mapper, helm.major, ({ key, namespace, name }, record) => {
    const release = parseRelease(record);
    const facts = readFacts(release, namespace);
    nodes.push({ key, title: `${namespace}/${name}`, firstDeployed: release.info.first_deployed, facts });
    shares.push(readCrdShare(release, namespace, facts, options.noHooks));
    addChartCrds(crds, release);
  });
  const existing = await findTargetReleases(cluster, releases, signal);
  if (!replace) refuseExisting(existing.filter(({ revisions }) => !isUnfinished(revisions)));
  warnOfNamespaces(mapper, reporter);
  const mapped = [...crds.values()].map((crd) => mapObjectNamespaces(crd, mapper.map).object);
  const wanted = chooseCrds(mapped, shares);
  return {
    count: releases.length,
    crds: new Set([
      ...wanted.map(({ object }) => object.metadata.name),
      ...shares.flatMap(({ brings }) => [...brings]),
    ]),
    applyCrds: () => applyCrds(wanted, options),
    install: () => {
      const graph = buildGraph(nodes);
      explain(graph, reporter);
      return installAll(releases, existing, graph, options);
    },
  };
}

/** Those that travelled, by name. */
async function readCrds(files: ArchiveFiles): Promise<Map<string, KubeObject>> {
  if (![...files.paths()].includes(CRDS_PATH)) return new Map();
  const crds = parseCrds(CRDS_PATH, (await files.read(CRDS_PATH)).toString('utf8'));
  return new Map(crds.map((crd) => [crd.metadata.name, crd]));
}

async function applyCrds(
  wanted: readonly WantedCrd[],
  { cluster, replace, crdTimeout, reporter, signal }: RestoreOptions,
): Promise<void> {
  if (wanted.length === 0) return;
  reporter.progress(`Applying ${wanted.length} CustomResourceDefinitions`);
  const discovery = await discover(cluster, signal);
  const restored = await restoreCrds(cluster, discovery, wanted, { replace, timeout: crdTimeout, signal });
  for (const [what, names] of describeCrds(restored)) {
    if (names.length > 0) reporter.info(`CRDs ${what}: ${names.join(', ')}.`);
  }
}

function describeCrds({ created, updated, left }: RestoredCrds): [string, readonly string[]][] {
  return [
    ['created', created],
    ['updated', updated],
    ['that exist and were left as they are', left],
  ];
}

function warnOfNamespaces({ warnings }: RecordMapper, reporter: Reporter): void {
  for (const [release, found] of warnings) {
    const lines = found.map(describeNamespaceWarning);
    reporter.warn(`${release}: ${lines.join('\n')}`, 'Not mapped');
  }
}

function explain({ edges, dropped }: Graph, reporter: Reporter): void {
  for (const { reason } of edges) reporter.debug(`${reason}.`);
  for (const { reason } of dropped) reporter.debug(`${reason}; left out, for the two wait for each other.`);
}

async function installAll(
  releases: readonly PreparedRelease[],
  existing: readonly TargetRelease[],
  graph: Graph,
  options: RestoreOptions,
): Promise<ReleaseResult[]> {
  const { concurrency, origin, reporter, signal } = options;
  const byKey = new Map(releases.map((release) => [release.key, release]));
  const awaited = new Set(graph.edges.filter(({ needsReady }) => needsReady).map(({ provider }) => provider));
  // What nothing runs of has nothing that others could wait for.
  const order = [...graph.order, ...[...byKey.keys()].filter((key) => !graph.order.includes(key))];
  let done = 0;
  const results = await runGraph(
    { order, edges: graph.edges },
    {
      concurrency,
      signal,
      run: async (key) => {
        const release = byKey.get(key);
        if (release === undefined) throw new TransshipError('IMPORT_FAILED', `There is no release ${key}.`);
        const context = { ...options, wait: options.wait || awaited.has(key) };
        const { namespace, name, bundle } = release;
        const target = chooseExisting(existing, { namespace, name, driver: bundle.driver });
        const result = await restoreRelease(context, release, target, origin);
        done += 1;
        reporter.info(`${result.outcome} ${result.namespace}/${result.name} (${done} of ${order.length})`);
        return result;
      },
    },
  );
  return order.flatMap((key): ReleaseResult[] => {
    const row = byKey.get(key)?.row;
    const result = results.get(key);
    if (row === undefined || result === undefined) return [];
    if (result.status === 'done') return [result.value];
    if (result.status === 'skipped') return [{ ...row, outcome: 'skipped', message: result.why }];
    return [{ ...row, outcome: 'failed', message: failureOf(result.error) }];
  });
}

/** A bug is named as one: its stack is what its reader needs. */
function failureOf(error: unknown): string {
  if (error instanceof TransshipError)
    return error.hint === undefined ? error.message : `${error.message}\n${error.hint}`;
  return error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error);
}
