import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { checkSource } from './check-source.ts';
import { createExport, createToken } from './create-export.ts';
import { type Adoption, adoptExport, type LeftExport } from './export-adoption.ts';
import { chooseLinks, type LinkChoice, linksIn, portOf, serviceOf, waitUntilReady } from './export-ready.ts';
import { nameSource, readySince, usedMeanwhile, type VmSource } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { type ExportLinks, hostOf, type VmExport } from './links.ts';
import { openPortForward, type PortForward } from './port-forward.ts';
import { removeTemporary } from './remove-temporary.ts';
import { findIn, goDuration, newRunId, newToken, pathIn, SECRETS, temporaryName } from './temporary-objects.ts';

export type { LinkChoice } from './export-ready.ts';
export type { VmSource } from './export-state.ts';

export interface OpenExportOptions {
  /** `auto`: internal in a cluster, else external, else port-forward. */
  readonly links: LinkChoice;
  /** What to do where there is no such link; by default it names the other sorts. */
  readonly linkHint?: string | undefined;
  /** Milliseconds after which KubeVirt deletes the export, whatever becomes of this program. It can't be extended. */
  readonly ttl: number;
  /** Milliseconds to become ready, each time. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Labels what is made, for `cleanUpExports` to find it; default: one of its own. */
  readonly run?: string | undefined;
  /** Where a port-forward looks up how it is to go out; default: of the process. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** What a killed run has left: used again instead of a new one, if its disks can't have changed since. */
  readonly adopt?: LeftExport | undefined;
}

/** An export that was opened, made for it or taken over. */
export interface OpenedExport extends VmExport, LeftExport {
  /** Why the one to be adopted was not, to follow a colon. */
  readonly refusal: string | undefined;
  /**
   * Makes sure, when all is read, that nothing can have been written since it was opened.
   *
   * @throws TransshipError when its source was in use, or it is gone
   */
  check(): Promise<void>;
}

const OTHER_LINKS =
  'Set the links to port-forward, which goes through the API server, or give the service virt-exportproxy of KubeVirt an Ingress or Route.';

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
): Promise<OpenedExport> {
  const { reporter, ttl, clock = systemClock, run = newRunId() } = options;
  const kind = needVmKind(discovery, 'VirtualMachineExport', cluster.context);
  const purpose = `Exporting the ${nameSource(source)}`;
  await checkSource(cluster, discovery, source, purpose, options.signal);

  const { namespace } = source;
  const adoption: Adoption | undefined =
    options.adopt && (await adoptExport(cluster, kind, options.adopt, { ...options, source, run, purpose }));
  const adopted = adoption?.object;
  const name = adopted?.metadata.name ?? temporaryName('transship-export', source.name);
  const path = pathIn(kind, namespace, name);
  const token = adoption?.object === undefined ? newToken() : adoption.token;
  reporter.mask(token);
  reporter.mask(Buffer.from(token).toString('base64'));
  const born = clock.now() - ageOf(adopted);
  /** The state in which it was opened; `version` is that of the VM. */
  let opened: { since: string; version: string | undefined } | undefined =
    options.adopt === undefined || adopted === undefined
      ? undefined
      : { since: options.adopt.readySince, version: undefined };
  let spoilt: TransshipError | undefined;
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

  let uid = adopted?.metadata.uid ?? '';
  async function create(): Promise<void> {
    const owner = await make(path, () => createExport(cluster, discovery, kind, source, name, { ttl, run, purpose }));
    uid = owner.metadata.uid ?? '';
    await make(pathIn(SECRETS, namespace, name), () => createToken(cluster, discovery, owner, token, purpose));
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
    const seen = await waitUntilReady(read, source, { ...waiting, whenUsed: opened === undefined ? undefined : spoil });
    await judge(readySince(seen) ?? '');
    const { internal, external } = linksIn(seen);
    const choice = chooseLinks(options.links, cluster, external);
    if (choice === 'internal') way = internal;
    if (choice === 'external') way = external;
    if (choice === 'port-forward' && internal !== undefined) way = await throughTunnel(internal, seen);
    if (way === undefined) throw noLink(source, choice, options.linkHint);
    return way;
  }

  /** A pod that restarts makes it ready anew; so does a VM that ran in between, but that leaves traces on the VM. */
  async function judge(since: string): Promise<void> {
    if (opened?.since === since && opened.version !== undefined) return;
    const version = source.kind === 'vm' ? await readVersion() : '';
    const isSame = opened === undefined || opened.since === since || opened.version === version;
    if (!isSame && source.kind !== 'snapshot') throw spoil();
    opened = { since, version };
  }

  function spoil(): TransshipError {
    spoilt = usedMeanwhile(source);
    return spoilt;
  }

  async function readVersion(): Promise<string> {
    const machines = needVmKind(discovery, 'VirtualMachine', cluster.context);
    const live = await findIn(cluster, machines, source, purpose, signal);
    return live?.metadata.resourceVersion ?? '';
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
    if (adopted === undefined) await create();
    else left.push(path, pathIn(SECRETS, namespace, name));
    if (signal.aborted) throw cancelledBy(signal, purpose);
    reporter.info(
      `${purpose} as ${namespace}/${name}${adopted === undefined ? '' : ', which was left by an export that was interrupted'}.`,
    );
    let current = ready();
    let refreshing = false;
    await current;

    async function links(fresh = false): Promise<ExportLinks> {
      if (closed.signal.aborted) throw cancelledBy(closed.signal);
      if (spoilt !== undefined) throw spoilt;
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
    }

    return {
      name,
      namespace,
      token,
      uid,
      readySince: opened?.since ?? '',
      refusal: adoption?.refusal,
      links,
      async check() {
        if (source.kind === 'snapshot') return;
        if (readySince(await read()) !== opened?.since) await links(true);
      },
      close: closeOnce,
    };
  } catch (error) {
    await closeOnce();
    throw error;
  }
}

function noLink(source: VmSource, choice: string, hint = OTHER_LINKS): TransshipError {
  return new TransshipError('CLUSTER', `The export of the ${nameSource(source)} has no ${choice} link.`, { hint });
}

/** Milliseconds since it was created. */
function ageOf(object: KubeObject | undefined): number {
  const created = Date.parse(object?.metadata.creationTimestamp ?? '');
  return Number.isNaN(created) ? 0 : Math.max(0, Date.now() - created);
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
