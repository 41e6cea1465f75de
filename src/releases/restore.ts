import type { Environment } from '../environment/environment.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { PlanProblem } from '../plan/plan.ts';
import type { States } from '../plan/states.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ReleaseResult } from '../report/results.ts';
import { describeNamespaceWarning, mapObjectNamespaces, type NamespaceMap } from '../transforms/namespace-map.ts';
import type { Transforms } from '../transforms/transforms.ts';
import type { UndoLog } from '../undo.ts';
import { type ArchiveFiles, type BundleChoice, type ReleaseBundle, readBundles } from './bundles.ts';
import { type Explain, problemOf } from './explain.ts';
import { isUnfinished } from './frozen-mark.ts';
import { buildGraph, type Graph, type GraphRelease } from './graph.ts';
import type { HelmContext } from './install-release.ts';
import { type Guarded, guardManagers, type ManagerGuard } from './manager-guard.ts';
import { createRecordMapper, type RecordMapper } from './map-record.ts';
import { type PreparedRestore, planReleases, type ReleasePlan } from './plan-releases.ts';
import { prepareReleases } from './prepare.ts';
import { parseRelease } from './record.ts';
import { readFacts } from './release-facts.ts';
import { noteStates } from './release-states.ts';
import { applyCrds, readCrds } from './restore-crds.ts';
import { refuseExisting, restoreRelease } from './restore-release.ts';
import { runGraph } from './run-graph.ts';
import { chooseExisting, findTargetReleases } from './target-releases.ts';
import { findUnchanged } from './unchanged.ts';
import { addChartCrds, type CrdShare, chooseCrds, readCrdShare } from './wanted-crds.ts';

/** How releases are brought in. */
export interface RestoreOptions extends HelmContext {
  readonly choice: BundleChoice;
  /** The import is about other things too: finding no release is nothing to speak of. */
  readonly mayBeEmpty: boolean;
  readonly namespaceMap: NamespaceMap;
  readonly transforms?: Transforms | undefined;
  /** Upgrade releases that exist; without it any of them stops the import. */
  readonly replace: boolean;
  /** How many at once. */
  readonly concurrency: number;
  /** Where they come from, such as `snapshot 26-01-31_12-00-00 of stage`. */
  readonly origin: string;
  /** Milliseconds that a CRD may take to be established, and a hook of an import that was cut short to end. */
  readonly crdTimeout: number;
  /** What the import creates bears its label. */
  readonly environment?: Environment | undefined;
  /** Told of all that is done. */
  readonly undo?: UndoLog | undefined;
  /** Filled with the state of every release at the target. */
  readonly states?: States | undefined;
  /** Which of them would write where another one writes already. */
  readonly guard?: ManagerGuard | undefined;
  /** Nothing will be brought in: what would stop the import becomes a problem of its plan. */
  readonly planning?: boolean | undefined;
}

/** An import of releases that has been checked and has changed nothing yet. */
export interface ReleaseRestore {
  /** How many there are. */
  readonly count: number;
  /** Names of the CRDs that it applies, or Helm with a manifest. */
  readonly crds: ReadonlySet<string>;
  /** Finds out what bringing them in would do; changes nothing. */
  plan(explain: Explain): Promise<ReleasePlan>;
  /** Applies the CRDs and waits until they can be used. */
  applyCrds(): Promise<void>;
  /** Installs as many at once as allowed, each after those it needs; a row for each, failed and skipped ones included. */
  install(): Promise<ReleaseResult[]>;
}

/**
 * Prepares to bring the releases of an archive into a cluster: everything that can be checked is. Of those that are then
 * installed, one that fails takes along what depends on it; the others finish.
 *
 * @throws TransshipError before anything has changed: `INPUT`, `RELEASE_EXISTS`, `RECORD_INVALID`, `FORBIDDEN`; with
 * `planning`, only what would stop the plan as well
 */
export async function prepareRestore(files: ArchiveFiles, options: RestoreOptions): Promise<ReleaseRestore> {
  const { cluster, choice, helm, replace, reporter, signal } = options;
  const chosen = await readBundles(files, choice);
  if (chosen.length === 0 && !options.mayBeEmpty) {
    reporter.warn('The snapshot has no release that was asked for.', 'Nothing to import');
  }
  const { bundles, left } = await guardAll(files, chosen, options);
  const mapper = createRecordMapper(options.namespaceMap, undefined, options.transforms);
  const problems: PlanProblem[] = [];
  const refuse = refusal(options.planning === true, problems);
  const nodes: GraphRelease[] = [];
  const known = await readCrds(files);
  const shares: CrdShare[] = [];
  const look: Parameters<typeof prepareReleases>[4] = ({ key, namespace, name }, record) => {
    const release = parseRelease(record);
    const facts = readFacts(release, namespace);
    nodes.push({ key, title: `${namespace}/${name}`, firstDeployed: release.info.first_deployed, facts });
    shares.push(readCrdShare(release, namespace, facts, options.noHooks));
    addChartCrds(known, release);
  };
  const releases = await prepareReleases(files, bundles, mapper, helm.major, look, refuse);
  const existing = (await attempt(() => findTargetReleases(cluster, releases, signal), refuse)) ?? [];
  if (options.states !== undefined) noteStates(options.states, releases, existing);
  const unchanged = await findUnchanged(cluster, releases, existing, { replace, signal });
  const same = new Set([...unchanged.values()].map((one) => one.existing));
  const others = existing.filter((one) => !same.has(one) && !isUnfinished(one.revisions));
  if (!replace) await attempt(() => refuseExisting(others), refuse);
  warnOfNamespaces(mapper, reporter);
  const { transforms } = options;
  const crds = chooseCrds(
    [...known.values()].map((crd) => mapObjectNamespaces(transforms?.apply(crd) ?? crd, mapper.map).object),
    shares,
  );
  const graph = buildGraph(nodes);
  const prepared = { options, releases, left, existing, unchanged, graph, crds, shares, problems };
  return {
    count: releases.length,
    crds: new Set([...crds.map(({ object }) => object.metadata.name), ...shares.flatMap(({ brings }) => [...brings])]),
    plan: (explain) => planReleases(prepared, explain),
    applyCrds: () => applyCrds(crds, options),
    install: () => {
      explainGraph(graph, reporter);
      return installAll(prepared);
    },
  };
}

function guardAll(
  files: ArchiveFiles,
  bundles: readonly ReleaseBundle[],
  { guard, namespaceMap }: RestoreOptions,
): Promise<Guarded> | Guarded {
  return guard === undefined ? { bundles, left: [] } : guardManagers(files, bundles, guard, namespaceMap);
}

type Refuse = (error: unknown) => void;

/** What to do about what would stop the import: stop, or keep it for the plan. */
function refusal(planning: boolean, problems: PlanProblem[]): Refuse {
  return (error) => {
    const problem = planning && error instanceof TransshipError ? problemOf(error) : undefined;
    if (problem === undefined) throw error;
    problems.push(problem);
  };
}

async function attempt<T>(work: () => T | Promise<T>, refuse: Refuse): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    refuse(error);
    return undefined;
  }
}

function warnOfNamespaces({ warnings }: RecordMapper, reporter: Reporter): void {
  for (const [release, found] of warnings) {
    const lines = found.map(describeNamespaceWarning);
    reporter.warn(`${release}: ${lines.join('\n')}`, 'Not mapped');
  }
}

function explainGraph({ edges, dropped }: Graph, reporter: Reporter): void {
  for (const { reason } of edges) reporter.debug(`${reason}.`);
  for (const { reason } of dropped) reporter.debug(`${reason}; left out, for the two wait for each other.`);
}

async function installAll({
  options,
  releases,
  left,
  existing,
  unchanged,
  graph,
}: PreparedRestore): Promise<ReleaseResult[]> {
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
      run: async (key): Promise<ReleaseResult> => {
        const release = byKey.get(key);
        if (release === undefined) throw new TransshipError('IMPORT_FAILED', `There is no release ${key}.`);
        const same = unchanged.get(key);
        if (same !== undefined) {
          done += 1;
          reporter.debug(`unchanged ${release.namespace}/${release.name} (${done} of ${order.length})`);
          const { revision, status } = same;
          return { ...release.row, revision, status, outcome: 'unchanged' };
        }
        const context = { ...options, wait: options.wait || awaited.has(key), hookTimeout: options.crdTimeout };
        const { namespace, name, bundle } = release;
        const target = chooseExisting(existing, { namespace, name, driver: bundle.driver });
        const result = await restoreRelease(context, release, target, origin);
        done += 1;
        reporter.info(`${result.outcome} ${result.namespace}/${result.name} (${done} of ${order.length})`);
        return result;
      },
    },
  );
  const rows = order.flatMap((key): ReleaseResult[] => {
    const row = byKey.get(key)?.row;
    const result = results.get(key);
    if (row === undefined || result === undefined) return [];
    if (result.status === 'done') return [result.value];
    if (result.status === 'skipped') return [{ ...row, outcome: 'skipped', message: result.why }];
    return [{ ...row, outcome: 'failed', message: failureOf(result.error) }];
  });
  return [...rows, ...left.map((one): ReleaseResult => ({ ...one, outcome: 'skipped' }))];
}

/** A bug is named as one: its stack is what its reader needs. */
function failureOf(error: unknown): string {
  if (error instanceof TransshipError)
    return error.hint === undefined ? error.message : `${error.message}\n${error.hint}`;
  return error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error);
}
