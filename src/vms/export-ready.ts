import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import { type Poll, waitFor } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { isMap } from '../values.ts';
import { describeStatus, findObstacle, hintFor, nameSource, type VmSource } from './export-state.ts';
import { type ExportLinks, readLinks } from './links.ts';

/** Which way the disks come: within the cluster, through an Ingress or Route, or through the API server. */
export type LinkChoice = 'internal' | 'external' | 'port-forward' | 'auto';

interface WaitReadyOptions {
  /** Milliseconds. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** What to throw when its source is in use, where that may not be for a moment because it was ready before. */
  readonly whenUsed: (() => TransshipError) | undefined;
}

/**
 * Waits for the phase Ready and for links, and shows all states on the way.
 *
 * @param read - reads the export object
 */
export async function waitUntilReady(
  read: () => Promise<KubeObject>,
  source: VmSource,
  { timeout, reporter, clock, signal, whenUsed }: WaitReadyOptions,
): Promise<KubeObject> {
  let last: KubeObject | undefined;
  let shown = '';
  let stuck: { readonly reason: string; readonly since: number } | undefined;
  const poll = async (): Promise<Poll<KubeObject>> => {
    const live = await read();
    last = live;
    const { status } = live;
    const links = linksIn(live);
    if (isMap(status) && status.phase === 'Ready' && (links.internal ?? links.external) !== undefined) {
      return { done: true, value: live };
    }
    const state = describeStatus(live);
    if (state !== shown) reporter.progress(`Export of the ${nameSource(source)}: ${state}`);
    shown = state;
    const obstacle = findObstacle(live, source);
    if (obstacle === undefined) {
      stuck = undefined;
    } else {
      if (whenUsed !== undefined && /^inuse/i.test(obstacle.reason)) throw whenUsed();
      if (stuck?.reason !== obstacle.reason) stuck = { reason: obstacle.reason, since: clock.now() };
      if (clock.now() - stuck.since >= Math.min(obstacle.grace, timeout)) throw obstacle.error;
    }
    return { done: false, state };
  };
  const describe = `the export of the ${nameSource(source)} to be ready`;
  try {
    return await waitFor(poll, { timeout, describe, clock, signal, longestGap: 2_000 });
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code !== 'TIMEOUT' || last === undefined) throw error;
    throw new TransshipError('TIMEOUT', error.message, { hint: hintFor(last), cause: error });
  }
}

export function linksIn({ status }: KubeObject): {
  readonly internal: ExportLinks | undefined;
  readonly external: ExportLinks | undefined;
} {
  const links = isMap(status) && isMap(status.links) ? status.links : {};
  return { internal: readLinks(links.internal), external: readLinks(links.external) };
}

/** What `auto` comes to. */
export function chooseLinks(
  wanted: LinkChoice,
  { access }: Cluster,
  external: ExportLinks | undefined,
): Exclude<LinkChoice, 'auto'> {
  if (wanted !== 'auto') return wanted;
  // Only the connection of a pod to its own cluster is without a kubeconfig.
  if (access.kubeconfig === undefined) return 'internal';
  return external === undefined ? 'port-forward' : 'external';
}

export function serviceOf({ status }: KubeObject): string | undefined {
  const name = isMap(status) ? status.serviceName : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}

export function portOf({ volumes }: ExportLinks): number {
  const [url] = volumes.flatMap(({ formats }) => Object.values(formats));
  return Number((url !== undefined && URL.canParse(url) && new URL(url).port) || 443);
}
