import { join } from 'node:path';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { buildGraph, type Edge } from '../releases/graph.ts';
import { type Helm, helmEnvironment, helmWords, type RunProgram, uninstallArguments } from '../releases/helm.ts';
import { runGraph } from '../releases/run-graph.ts';
import { recordsPath, releaseKey } from '../releases/target-releases.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ReleaseResult } from '../report/results.ts';
import type { UndoLog } from '../undo.ts';
import type { OwnRelease } from './own-releases.ts';

export interface UninstallOptions {
  readonly cluster: Cluster;
  /** Found only when there is a release to uninstall. */
  readonly helm?: Helm | (() => Promise<Helm>) | undefined;
  readonly runProgram: RunProgram;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For this run alone, readable by this user alone. */
  readonly temporaryDirectory: string;
  /** Milliseconds, for each wait. */
  readonly timeout: number;
  readonly noHooks: boolean;
  /** Told of each release before it is uninstalled. */
  readonly undo?: UndoLog | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Each has a Helm of its own, that also sends many requests. */
const HELMS_AT_ONCE = 4;

/**
 * Has Helm uninstall releases, history and all: those that use what others bring before these. One that others still need
 * since their own uninstall failed is left, and named.
 *
 * @returns a row each, `deleted`, `failed` in Helm's own words, or `skipped`
 * @throws TransshipError `HELM_MISSING`
 */
export async function uninstallReleases(
  releases: readonly OwnRelease[],
  options: UninstallOptions,
): Promise<ReleaseResult[]> {
  if (releases.length === 0) return [];
  const helm = typeof options.helm === 'function' ? await options.helm() : options.helm;
  if (helm === undefined) throw new TransshipError('HELM_MISSING', 'There are releases to uninstall, and no helm.');
  const byKey = new Map(releases.map((release) => [keyOf(release), release]));
  const { order, edges } = graphOf(releases);
  const results = await runGraph(
    { order: order.toReversed(), edges: edges.map(reversed) },
    {
      concurrency: HELMS_AT_ONCE,
      signal: options.signal,
      run: async (key) => {
        const release = byKey.get(key);
        if (release !== undefined) await uninstall(release, helm, options);
      },
    },
  );
  return releases.map((release): ReleaseResult => {
    const result = results.get(keyOf(release));
    if (result?.status === 'done') return { ...release.row, outcome: 'deleted' };
    if (result?.status === 'failed') return { ...release.row, outcome: 'failed', message: messageOf(result.error) };
    return { ...release.row, outcome: 'skipped', message: result?.why ?? 'It was not got to.' };
  });
}

/** What waits for nothing known needs no place in the graph but one. */
function graphOf(releases: readonly OwnRelease[]) {
  const known = releases.flatMap((release) => {
    const { facts, firstDeployed, namespace, name } = release;
    return facts === undefined ? [] : [{ key: keyOf(release), title: `${namespace}/${name}`, firstDeployed, facts }];
  });
  const graph = buildGraph(known);
  const others = releases.filter(({ facts }) => facts === undefined).map(keyOf);
  return { order: [...graph.order, ...others], edges: graph.edges };
}

/** What had to come first at the install goes last. */
function reversed({ waiter, provider, ...edge }: Edge): Edge {
  const reason = `${titleOf(provider)} brings what ${titleOf(waiter)} uses (${edge.what})`;
  return { ...edge, waiter: provider, provider: waiter, reason };
}

async function uninstall(release: OwnRelease, helm: Helm, options: UninstallOptions): Promise<void> {
  const { driver, namespace, name, row, above } = release;
  const { cluster, env, temporaryDirectory, noHooks, undo, reporter, signal, runProgram } = options;
  const { access } = cluster;
  reporter.progress(`Uninstalling ${namespace}/${name}`);
  await undo?.upgrading(namespace, name, row.revision, await readRecords(cluster, release, signal));
  // Helm removes what the highest revision says. What came along as history above the one that runs was never here.
  for (const { path, uid } of above) await deleteRecord(cluster, path, uid, signal);
  const timeout = `${Math.max(1, Math.ceil(options.timeout / 1000))}s`;
  const args = uninstallArguments(helm, { release: name, namespace, access, timeout, noHooks });
  const environment = helmEnvironment(env, access, driver, join(temporaryDirectory, 'kube-cache'));
  const { exitCode, stderr } = await runProgram(helm.path, args, { env: environment, signal });
  signal?.throwIfAborted();
  if (exitCode !== 0) throw new TransshipError('HELM', helmWords(stderr, exitCode));
}

async function readRecords(
  cluster: Cluster,
  { driver, namespace, name }: OwnRelease,
  signal?: AbortSignal,
): Promise<KubeObject[]> {
  const records: KubeObject[] = [];
  const labelSelector = `owner=helm,name=${name}`;
  for await (const record of cluster.list(recordsPath(driver, namespace), { labelSelector, signal })) {
    records.push(record);
  }
  return records;
}

async function deleteRecord(
  cluster: Cluster,
  path: string,
  uid: string | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const preconditions = uid === undefined ? undefined : { uid };
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions };
  try {
    await cluster.json({ method: 'DELETE', path, body, signal });
  } catch (error) {
    if (!(error instanceof ClusterError && error.status === 404)) throw error;
  }
}

function keyOf({ namespace, name, driver }: OwnRelease): string {
  return `${releaseKey(namespace, name)}/${driver}`;
}

function titleOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/'));
}
