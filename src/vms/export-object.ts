import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { type Poll, waitFor } from '../cluster/wait.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { isMap } from '../values.ts';
import { checkSource } from './check-source.ts';
import { createExport, createToken } from './create-export.ts';
import { describeStatus, findObstacle, hintFor, nameSource, type VmSource } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { type ExportLinks, hostOf, readLinks, type VmExport } from './links.ts';
import { openPortForward, type PortForward } from './port-forward.ts';
import { removeTemporary } from './remove-temporary.ts';
import { goDuration, newToken, pathIn, SECRETS, temporaryName } from './temporary-objects.ts';

export type { VmSource } from './export-state.ts';

/** Which way the disks come: within the cluster, through an Ingress or Route, or through the API server. */
export type LinkChoice = 'internal' | 'external' | 'port-forward' | 'auto';

export interface OpenExportOptions {
  /** `auto`: internal in a cluster, else external, else port-forward. */
  readonly links: LinkChoice;
  /** Milliseconds after which KubeVirt deletes the export, whatever becomes of this program. It can't be extended. */
  readonly ttl: number;
  /** Milliseconds to become ready, each time. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Labels what is made, for `cleanUpExports` to find it; default: one of its own. */
  readonly run?: string | undefined;
}

/**
 * Makes a VirtualMachineExport and its token, and waits until the volumes can be read. What was made is deleted by
 * `close()`, and on any failure here.
 *
 * The Secret belongs to the export object, which goes at the end of its TTL: so a killed run leaves nothing for longer.
 *
 * @throws TransshipError `NOT_SERVED` where the export API is off; `CLUSTER` when the source does not exist, is in use, or has no
 * volumes, and when there is no link of the wanted sort; `TIMEOUT` with the last state; `FORBIDDEN` naming verb and resource
 */
export async function openExport(
  cluster: Cluster,
  discovery: Discovery,
  source: VmSource,
  options: OpenExportOptions,
): Promise<VmExport> {
  const { reporter, ttl, clock = systemClock } = options;
  const kind = needVmKind(discovery, 'VirtualMachineExport', cluster.context);
  const purpose = `Exporting the ${nameSource(source)}`;
  await checkSource(cluster, discovery, source, purpose, options.signal);

  const { namespace } = source;
  const name = temporaryName('transship-export', source.name);
  const path = pathIn(kind, namespace, name);
  const token = newToken();
  reporter.mask(token);
  reporter.mask(Buffer.from(token).toString('base64'));
  const born = clock.now();
  let tunnel: PortForward | undefined;
  let closing: Promise<void> | undefined;
  const closed = new AbortController();
  const signal = AbortSignal.any([closed.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const waiting = { ...options, clock, signal };
  const left: string[] = [];

  /** Notes what is created, unless the server says that it has not. */
  async function make<T>(at: string, work: () => Promise<T>): Promise<T> {
    left.push(at);
    try {
      return await work();
    } catch (error) {
      const isUnknown = error instanceof ClusterError && (error.status === 0 || error.status >= 500);
      if (error instanceof TransshipError && !isUnknown) left.pop();
      throw error;
    }
  }

  async function read(): Promise<KubeObject> {
    try {
      const live = await cluster.json<KubeObject>({ method: 'GET', path, signal });
      if (live.metadata.deletionTimestamp === undefined) return live;
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status !== 404) throw error;
    }
    throw gone(source, name, clock.now() - born >= ttl ? ttl : undefined);
  }

  async function ready(): Promise<ExportLinks> {
    let way: ExportLinks | undefined;
    const seen = await waitUntilReady(read, source, waiting);
    const { internal, external } = linksIn(seen);
    const choice = chooseLinks(options.links, cluster, external);
    if (choice === 'internal') way = internal;
    if (choice === 'external') way = external;
    if (choice === 'port-forward' && internal !== undefined) way = await throughTunnel(internal, seen);
    if (way === undefined) throw noLink(source, choice);
    return way;
  }

  async function throughTunnel(internal: ExportLinks, seen: KubeObject): Promise<ExportLinks> {
    if (tunnel === undefined) {
      const service = serviceOf(seen) ?? `virt-export-${name}`;
      tunnel = await openPortForward(cluster, { namespace, service, port: portOf(internal) }, waiting);
      if (closing !== undefined) await tunnel.close();
    } else {
      await tunnel.renew();
    }
    const serverName = hostOf(internal);
    return { ...internal, connect: tunnel.address, ...(serverName !== undefined && { serverName }) };
  }

  async function close(): Promise<void> {
    closed.abort(new TransshipError('CLUSTER', `The export ${namespace}/${name} is closed.`));
    await tunnel?.close();
    await removeTemporary(cluster, left, `They are gone at the end of the TTL (${goDuration(ttl)}).`, reporter);
  }

  const closeOnce = () => {
    closing ??= close();
    return closing;
  };

  try {
    const owner = await make(path, () => createExport(cluster, discovery, kind, source, name, { purpose, ...options }));
    await make(pathIn(SECRETS, namespace, name), () => createToken(cluster, discovery, owner, token, purpose));
    if (signal.aborted) throw cancelledBy(signal, purpose);
    reporter.info(`${purpose} as ${namespace}/${name}.`);
    let current = ready();
    let refreshing = false;
    await current;
    return {
      name,
      namespace,
      token,
      async links(fresh = false) {
        if (closed.signal.aborted) throw cancelledBy(closed.signal);
        if (fresh && !refreshing) {
          const before = current;
          refreshing = true;
          current = ready().finally(() => {
            refreshing = false;
          });
          // A failure is told to those who asked; later ones may still try the links there were.
          current.catch(() => {
            current = before;
          });
        }
        return current;
      },
      close: closeOnce,
    };
  } catch (error) {
    await closeOnce();
    throw error;
  }
}

interface WaitReadyOptions extends OpenExportOptions {
  readonly clock: Clock;
}

/** Waits for the phase Ready and for links, and shows all states on the way. */
async function waitUntilReady(
  read: () => Promise<KubeObject>,
  source: VmSource,
  { timeout, reporter, clock, signal }: WaitReadyOptions,
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

function linksIn({ status }: KubeObject): {
  readonly internal: ExportLinks | undefined;
  readonly external: ExportLinks | undefined;
} {
  const links = isMap(status) && isMap(status.links) ? status.links : {};
  return { internal: readLinks(links.internal), external: readLinks(links.external) };
}

function chooseLinks(
  wanted: LinkChoice,
  { access }: Cluster,
  external: ExportLinks | undefined,
): Exclude<LinkChoice, 'auto'> {
  if (wanted !== 'auto') return wanted;
  // Only the connection of a pod to its own cluster is without a kubeconfig.
  if (access.kubeconfig === undefined) return 'internal';
  return external === undefined ? 'port-forward' : 'external';
}

function serviceOf({ status }: KubeObject): string | undefined {
  const name = isMap(status) ? status.serviceName : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}

function portOf({ volumes }: ExportLinks): number {
  const [url] = volumes.flatMap(({ formats }) => Object.values(formats));
  return Number((url !== undefined && URL.canParse(url) && new URL(url).port) || 443);
}

function noLink(source: VmSource, choice: string): TransshipError {
  return new TransshipError('CLUSTER', `The export of the ${nameSource(source)} has no ${choice} link.`, {
    hint: 'Set the links to port-forward, which goes through the API server, or give the service virt-exportproxy of KubeVirt an Ingress or Route.',
  });
}

function gone(source: VmSource, name: string, ttl: number | undefined): TransshipError {
  const what = `The export ${source.namespace}/${name} of the ${nameSource(source)}`;
  return ttl === undefined
    ? new TransshipError('CLUSTER', `${what} was deleted while it was in use.`, {
        hint: 'Did somebody clean up? Run again.',
      })
    : new TransshipError('CLUSTER', `${what} has reached the end of its TTL (${goDuration(ttl)}) and is gone.`, {
        hint: 'A TTL can not be extended: run again with a longer one.',
      });
}
