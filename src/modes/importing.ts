import { readFile } from 'node:fs/promises';
import { parseSnapshot, SNAPSHOT_PATH, type Snapshot } from '../archive/snapshot.ts';
import type { Spool } from '../archive/spool.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { openCluster } from '../cluster/connect.ts';
import { type Discovery, discover } from '../cluster/discovery.ts';
import type { Environment } from '../environment/environment.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { runProgram } from '../exec.ts';
import { formatDuration, type ImportInputs, type PlanInputs, type PromoteInputs } from '../inputs.ts';
import type { States } from '../plan/states.ts';
import { findHelm, type Helm } from '../releases/helm.ts';
import type { RestoreOptions as ReleaseOptions } from '../releases/restore.ts';
import type { PrepareOptions } from '../resources/prepare.ts';
import { findKinds, isReleasePattern } from '../resources/selection.ts';
import { createTransforms } from '../transforms/create-transforms.ts';
import type { Transforms } from '../transforms/transforms.ts';
import type { UndoLog } from '../undo.ts';
import { type Content, readContent } from './content.ts';
import { createGuarding, type Guarding } from './guarding.ts';
import type { PrepareVms } from './import-vms.ts';
import type { RunContext } from './run.ts';

/** The inputs of the modes that bring a snapshot in, or show what that would do. */
export type BringInputs = ImportInputs | PlanInputs | PromoteInputs;

/** A snapshot on its way into a cluster: what planning it and carrying it out have in common. */
export interface Importing {
  readonly inputs: BringInputs;
  readonly context: RunContext;
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly spool: Spool;
  readonly snapshot: Snapshot;
  /** Where it is stored; undefined when it is stored nowhere. */
  readonly location: string | undefined;
  readonly content: Content;
  readonly helm: Helm | undefined;
  readonly transforms: Transforms;
  readonly guarding: Guarding;
  readonly environment: Environment | undefined;
  /** Finds out about the virtual machines; undefined where none come in. */
  readonly vms: PrepareVms | undefined;
  /** Filled while the target is compared with the snapshot. */
  readonly states: States;
}

/** Requests at once for plain objects; of releases, each has a Helm of its own that also sends some. */
export const REQUESTS_AT_ONCE = 16;

/** Opens the cluster that things are brought into. */
export function openTarget(inputs: BringInputs, { temporaryDirectory, reporter, env }: RunContext): Promise<Cluster> {
  const isPromote = inputs.mode === 'promote';
  return openCluster({
    kubeconfig: (isPromote ? inputs['target-kubeconfig'] : undefined) ?? inputs.kubeconfig,
    context: isPromote ? inputs['target-context'] : inputs.context,
    concurrency: Math.max(REQUESTS_AT_ONCE, inputs.concurrency * 2),
    temporaryDirectory,
    reporter,
    env,
  });
}

/** Finds Helm: the one on PATH, or the one that the inputs name. */
export function helmOf(
  inputs: { readonly 'helm-version'?: string | undefined },
  { reporter }: RunContext,
): Promise<Helm> {
  return findHelm(runProgram, inputs['helm-version'], async (version) => {
    reporter.progress(`Downloading Helm ${version}`);
    return (await import('../tool-cache.ts')).downloadHelm(version);
  });
}

/**
 * Reads what the inputs and the snapshot say together.
 *
 * @throws TransshipError `INPUT` for what the snapshot does not have, and for wrong transforms
 */
export async function beginImport(
  inputs: BringInputs,
  context: RunContext,
  {
    cluster,
    spool,
    helm,
    transforms,
    location,
    vms,
  }: Pick<Importing, 'cluster' | 'spool' | 'helm' | 'transforms' | 'location'> & {
    readonly vms?: VmsOfSnapshot | undefined;
  },
): Promise<Importing> {
  const { reporter, signal } = context;
  const snapshot = parseSnapshot(await spool.read(SNAPSHOT_PATH));
  const namespaces = inputs.mode === 'promote' ? [] : (inputs.namespace ?? []);
  const content = readContent(spool.paths(), vms?.namespaces ?? [], inputs.include, namespaces);
  if (!content.releases && !content.resources && !content.vms)
    reporter.warn('The snapshot is empty.', 'Nothing to import');
  const { environment } = inputs;
  return {
    ...{ inputs, context, cluster, spool, snapshot, location, content, transforms },
    helm: content.releases ? (helm ?? (await helmOf(inputs, context))) : undefined,
    discovery: await discover(cluster, signal),
    guarding: createGuarding(snapshot, inputs),
    environment: environment === undefined ? undefined : { name: environment },
    vms: content.vms ? vms?.prepare : undefined,
    states: new Map(),
  };
}

/** The virtual machines that come with a snapshot. */
export interface VmsOfSnapshot {
  /** At the source, one for each machine. */
  readonly namespaces: readonly string[];
  readonly prepare: PrepareVms;
}

/** Reads the transforms that the inputs ask for. */
export async function readTransforms(inputs: BringInputs): Promise<Transforms> {
  const path = inputs.transforms;
  return createTransforms({
    ...(path === undefined ? {} : { file: { path, text: await readFile(path, 'utf8').catch(failToRead(path)) } }),
    namespaceMap: inputs['namespace-map'],
    storageClassMap: inputs['storage-class-map'],
    imageMap: inputs['image-map'],
    replaceText: inputs['replace-text'],
  });
}

function failToRead(path: string) {
  return (error: unknown): never => {
    throw new TransshipError('INPUT', `transforms: ${JSON.stringify(path)} can't be read: ${messageOf(error)}.`, {
      hint: 'Give the path of a file; in a workflow, check the repository out first.',
    });
  };
}

/** How releases are prepared. */
export function releaseOptions(importing: Importing, helm: Helm, undo?: UndoLog): ReleaseOptions {
  const { inputs, context, cluster, snapshot, content, transforms, environment, states } = importing;
  const { reporter, signal, temporaryDirectory, env } = context;
  const { timeout } = inputs;
  return {
    choice: {
      namespaces: namespacesOf(inputs),
      selector: inputs.selector,
      exclude: (inputs.exclude ?? []).filter(
        (one) => !content.resources || isReleasePattern(one, snapshot.kinds ?? []),
      ),
      history: inputs.history,
    },
    mayBeEmpty: content.resources,
    namespaceMap: transforms.namespaces,
    transforms,
    guard: importing.guarding.releases,
    origin: originOf(snapshot),
    ...{ helm, runProgram, cluster, env, temporaryDirectory, environment, states, undo, reporter, signal },
    timeout: formatDuration(timeout),
    crdTimeout: timeout,
    wait: inputs.wait,
    noHooks: inputs['no-hooks'],
    replace: inputs.replace,
    concurrency: inputs.concurrency,
  };
}

/**
 * How resources are prepared.
 *
 * @param otherCrds - names of CRDs that the releases bring
 */
export function resourceOptions(importing: Importing, otherCrds: ReadonlySet<string>): PrepareOptions {
  const { inputs, context, cluster, discovery, snapshot, content, transforms, states } = importing;
  const { reporter, signal } = context;
  return {
    ...{ cluster, discovery, otherCrds, transforms, states, reporter, signal },
    leavesOut: importing.guarding.leavesOut,
    kinds: snapshot.kinds ?? [],
    origin: originOf(snapshot),
    choice: {
      namespaces: namespacesOf(inputs),
      selector: inputs.selector,
      exclude: inputs.exclude ?? [],
      alsoReleases: content.releases,
    },
    namespaceMap: transforms.namespaces,
    replace: inputs.replace,
    recreate: inputs.recreate,
    restoreStatus: inputs['restore-status'] ?? [],
    concurrency: REQUESTS_AT_ONCE,
  };
}

/** Whether the status of a kind is brought in too. */
export function restoresStatus({ inputs, snapshot }: Importing): (kind: string, group: string) => boolean {
  const kinds = (inputs['restore-status'] ?? []).flatMap((name) =>
    findKinds(name, snapshot.kinds ?? [], 'restore-status', 'the snapshot'),
  );
  const names = new Set(kinds.map(({ group, kind }) => `${group}/${kind}`));
  return (kind, group) => names.has(`${group}/${kind}`);
}

/** What is promoted was chosen when it was collected. */
function namespacesOf(inputs: BringInputs): readonly string[] {
  return inputs.mode === 'promote' ? [] : (inputs.namespace ?? []);
}

/** Where a snapshot comes from, in words. */
export function originOf({ id, cluster }: Snapshot): string {
  return `snapshot ${id} of ${cluster.context}`;
}
