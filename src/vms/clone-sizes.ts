import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { SourceExport } from './clone-source.ts';
import type { VmDescription, VmVolume } from './description.ts';
import { createDiskSource } from './disk-source.ts';
import type { VmHttp } from './http.ts';
import { VmHttpError } from './http-error.ts';
import { needVmKind } from './kinds.ts';
import { type ExportLinks, hostOf, readLinks, type VmExport } from './links.ts';
import { measureDisk } from './measure-disk.ts';
import { openPortForward } from './port-forward.ts';
import { pathIn } from './temporary-objects.ts';
import { mapIn, textIn } from './vm-references.ts';

export interface SizeOptions {
  readonly http: VmHttp;
  /** Milliseconds. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly env: NodeJS.ProcessEnv;
}

/** Milliseconds for one server to tell sizes: it is up already. */
const PATIENCE = 20_000;

/**
 * The sizes a plan needs, before anything is exported: a disk may be smaller than its claim, never larger. A volume of files
 * has no other size than its claim's.
 */
export function roughSizes({ volumes }: VmDescription): Record<string, number> {
  return Object.fromEntries(volumes.map((volume) => [volume.pvc, roughSize(volume)]));
}

/**
 * The bytes of each raw disk, as its server tells them: by the links that the target uses, and where this machine can't
 * reach those, through the API server. Only heads are read. Where neither way works, the size of the claim has to do.
 *
 * @throws TransshipError `CLUSTER` when the server refuses to tell
 */
export async function exactSizes(
  { cluster, discovery }: { readonly cluster: Cluster; readonly discovery: Discovery },
  description: VmDescription,
  exports: readonly SourceExport[],
  options: SizeOptions,
): Promise<Record<string, number>> {
  const sizes = roughSizes(description);
  for (const { vmExport, claims } of exports) {
    const disks = description.volumes.filter(({ pvc, format }) => format === 'disk' && claims.includes(pvc));
    const found =
      (await measureAll(disks, vmExport, (fresh) => vmExport.links(fresh), options)) ??
      (await measureThroughTunnel(cluster, discovery, disks, vmExport, options));
    if (found === undefined && disks.length > 0) {
      const names = disks.map(({ pvc }) => pvc).join(', ');
      options.reporter.warn(
        `How many bytes these disks have can't be told from here: ${names}. Their copies get the size of their claims, which may be a little larger.`,
        'Sizes not known',
      );
    }
    Object.assign(sizes, found);
  }
  return sizes;
}

/** @returns undefined when there is no way to the server */
async function measureAll(
  disks: readonly VmVolume[],
  { token }: VmExport,
  links: (fresh: boolean) => Promise<ExportLinks>,
  { http, timeout, reporter, clock, signal }: SizeOptions,
): Promise<Record<string, number> | undefined> {
  const sizes: Record<string, number> = {};
  for (const { pvc } of disks) {
    const source = createDiskSource(pvc, () => 'before the first', {
      ...{ token, reporter, clock, timeout: Math.min(timeout, PATIENCE) },
      links: () => links(false),
      refresh: () => links(true),
    });
    try {
      sizes[pvc] = await source.persist(async (target) => {
        try {
          return await measureDisk(pvc, http, target);
        } catch (error) {
          throw error instanceof VmHttpError && error.failure === 'unreachable' ? new Unreachable(error) : error;
        }
      }, signal);
    } catch (error) {
      const isNoWay = error instanceof Unreachable || (error instanceof TransshipError && error.code === 'TIMEOUT');
      if (!isNoWay) throw error;
      reporter.debug(messageOf(error));
      return undefined;
    }
  }
  return sizes;
}

/** There may be another way. */
class Unreachable extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

async function measureThroughTunnel(
  cluster: Cluster,
  discovery: Discovery,
  disks: readonly VmVolume[],
  vmExport: VmExport,
  options: SizeOptions,
): Promise<Record<string, number> | undefined> {
  const { reporter, signal, timeout } = options;
  const { name, namespace } = vmExport;
  try {
    const kind = needVmKind(discovery, 'VirtualMachineExport', cluster.context);
    const path = pathIn(kind, namespace, name);
    const { status } = await cluster.json<KubeObject>({ method: 'GET', path, signal });
    const internal = readLinks(mapIn(status, 'links').internal);
    const serverName = internal && hostOf(internal);
    const service = textIn(status, 'serviceName') ?? `virt-export-${name}`;
    if (internal === undefined || serverName === undefined) return undefined;
    const patience = { ...options, timeout: Math.min(timeout, PATIENCE) };
    const tunnel = await openPortForward(cluster, { namespace, service, port: 443 }, patience);
    try {
      const links = { ...internal, serverName, connect: tunnel.address };
      return await measureAll(disks, vmExport, async () => links, options);
    } finally {
      await tunnel.close();
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof TransshipError)) throw error;
    reporter.debug(messageOf(error));
    return undefined;
  }
}

function roughSize({ format, size = 0 }: VmVolume): number {
  // What files take is not known; the plan takes the claim's size where that is more.
  return format === 'disk' ? size : 0;
}
