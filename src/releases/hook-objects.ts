import { collectionPath } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { type Poll, waitFor } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import { isMap, mapsIn } from '../values.ts';
import { isOfRelease } from './helm-ownership.ts';
import type { HelmHook, HelmRelease } from './helm-release.ts';
import type { HookRun, KnownRun } from './hook-runs.ts';
import type { HelmContext } from './install-release.ts';
import { objectsOf, parseTolerantly, splitManifest } from './manifest.ts';

/** What waiting for a hook takes. */
export interface HookWait extends Pick<HelmContext, 'cluster' | 'reporter' | 'signal'> {
  /** Milliseconds that a hook which still runs may take. */
  readonly hookTimeout: number;
  readonly clock?: Clock | undefined;
}

/** An object of a hook, and where it is. */
export interface HookObject {
  readonly object: KubeObject;
  readonly path: string;
}

/** How a hook's objects are found. */
export interface HookEnd {
  readonly end: 'succeeded' | 'failed' | 'gone';
  /** It was still running when it was looked at first. */
  readonly hasWaited: boolean;
}

/** The objects that a text defines; what has no name of its own can't be found again. */
export function objectsIn(text: string, namespace: string, { findKind }: Pick<Discovery, 'findKind'>): KubeObject[] {
  return objectsOf(parseTolerantly(text)).flatMap((value) => {
    const { apiVersion, kind, metadata } = value;
    if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !isMap(metadata)) return [];
    const { name, namespace: own } = metadata;
    if (typeof name !== 'string' || name === '') return [];
    const served = findKind(apiVersion, kind);
    const at =
      served?.namespaced === false ? {} : { namespace: typeof own === 'string' && own !== '' ? own : namespace };
    const { namespace: _namespace, ...rest } = metadata;
    return [{ ...value, apiVersion, kind, metadata: { ...rest, name, ...at } }];
  });
}

/** The objects of a hook whose kind is served. */
export function hookObjects({ manifest }: HelmHook, namespace: string, discovery: Discovery): HookObject[] {
  return objectsIn(manifest, namespace, discovery).flatMap((object) => {
    const kind = discovery.findKind(object.apiVersion, object.kind);
    return kind === undefined ? [] : [{ object, path: pathOf(kind, object) }];
  });
}

/** Where an object is that has the namespace it needs. */
export function pathOf(kind: ResourceKind, { metadata }: KubeObject): string {
  return `${collectionPath(kind, metadata.namespace)}/${encodeURIComponent(metadata.name)}`;
}

/** A hook for a person: `pre-install Job shop/migrate`; without a namespace for what has none. */
export function describeHook({ hook, event }: HookRun, namespace: string): string {
  return `${event} ${hook.kind ?? 'object'} ${namespace === '' ? '' : `${namespace}/`}${hook.name}`;
}

/**
 * Waits until the objects of a hook have come to an end: as for Helm, only a Job or a Pod has one to wait for.
 *
 * @param what - for the error
 * @throws TransshipError `TIMEOUT`
 */
export async function awaitHook(
  { cluster, hookTimeout, reporter, signal, clock }: HookWait,
  objects: readonly HookObject[],
  what: string,
): Promise<HookEnd> {
  let hasWaited = false;
  const look = async (): Promise<Poll<HookEnd['end']>> => {
    const states: (HookEnd['end'] | undefined)[] = [];
    for (const { path } of objects) states.push(endOf(await findObject(cluster, path, signal)));
    const end =
      states.includes('gone') || objects.length === 0 ? 'gone' : states.includes('failed') ? 'failed' : 'succeeded';
    if (end !== 'succeeded' || !states.includes(undefined)) return { done: true, value: end };
    if (!hasWaited) reporter.progress(`Waiting for ${what}`);
    hasWaited = true;
    return { done: false, state: 'it runs' };
  };
  try {
    const end = await waitFor(look, { timeout: hookTimeout, describe: `${what} to end`, signal, clock });
    return { end, hasWaited };
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code !== 'TIMEOUT') throw error;
    const hint = 'Import again once it has ended; or delete it, and it runs again.';
    throw new TransshipError('TIMEOUT', error.message, { hint, cause: error });
  }
}

/** Undefined for one that runs. https://github.com/helm/helm/blob/v4.3.1/pkg/kube/statuswait.go */
function endOf(live: KubeObject | undefined): HookEnd['end'] | undefined {
  if (live === undefined || live.metadata.deletionTimestamp !== undefined) return 'gone';
  const status = isMap(live.status) ? live.status : {};
  if (live.kind === 'Pod') {
    return status.phase === 'Succeeded' ? 'succeeded' : status.phase === 'Failed' ? 'failed' : undefined;
  }
  if (live.kind !== 'Job') return 'succeeded';
  const is = (type: string) => mapsIn(status.conditions).some((one) => one.type === type && one.status === 'True');
  return is('Complete') ? 'succeeded' : is('Failed') ? 'failed' : undefined;
}

/**
 * Whether Helm has got beyond the hooks before the manifest: some object of it bears the release's name and was created
 * or changed since that hook began.
 */
export async function isManifestBegun(
  { cluster, signal }: { readonly cluster: Cluster; readonly signal?: AbortSignal | undefined },
  discovery: Discovery,
  release: HelmRelease,
  { started = 0 }: KnownRun,
): Promise<boolean> {
  // What the API server keeps has no fractions of a second.
  const since = Math.floor(started / 1000) * 1000;
  for (const { text } of splitManifest(release.manifest ?? '')) {
    for (const object of objectsIn(text, release.namespace ?? '', discovery)) {
      const kind = discovery.findKind(object.apiVersion, object.kind);
      if (kind === undefined) continue;
      const live = await findObject(cluster, pathOf(kind, object), signal);
      if (live !== undefined && isOfRelease(live, release) && isWrittenSince(live, since)) return true;
    }
  }
  return false;
}

function isWrittenSince({ metadata }: KubeObject, since: number): boolean {
  const byHelm = mapsIn(metadata.managedFields).filter(({ manager }) => String(manager).startsWith('helm'));
  const times = [metadata.creationTimestamp, ...byHelm.map(({ time }) => time)];
  return times.some((time) => typeof time === 'string' && Date.parse(time) >= since);
}
