import type { PartReader } from '../archive/part.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { mapInOrder } from '../streams.ts';
import { findUploadProxy, type UploadWay } from './find-upload-proxy.ts';
import { createVmHttp } from './http.ts';
import type { VmPart } from './part-list.ts';
import { type ArchivedVm, checkVmImport } from './plan-vm-import.ts';
import { type OpenedArchive, openArchive, type VolumeContent } from './prepare-files.ts';
import type { PlannedVm, VmPlans } from './prepare-plan.ts';
import { noteOn, planDigest } from './restore-note.ts';

export { planVms, refuseProblems } from './prepare-plan.ts';

/** An archive of one machine, to be imported. */
export interface VmArchive {
  /** Undefined for a bare VM archive, which is in no snapshot. */
  readonly part: VmPart | undefined;
  /** For messages. */
  readonly origin: string;
  open(): Promise<PartReader>;
}

export interface PrepareVmsOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly archives: readonly VmArchive[];
  /** For what can't be read from anywhere; this user's alone. */
  readonly directory: string;
  /** age's secret keys. */
  readonly identities: readonly string[];
  /** Where what is in a namespace of the source comes to. */
  readonly namespaceOf: (source: string) => string;
  /** Of what names no namespace. */
  readonly defaultNamespace: string;
  /** Of the machine at the target; there can be but one. */
  readonly name?: string | undefined;
  readonly storageClassMap: Readonly<Record<string, string>>;
  readonly vmIdentity: 'new' | 'keep';
  readonly runStrategy?: string | undefined;
  /** Changes each object as it is in the archive, before its namespace is mapped. */
  readonly transform?: ((object: KubeObject, namespace?: string) => KubeObject) | undefined;
  /** Whether something else of the same import brings an object, by `group/kind/namespace/name`. */
  readonly broughtBy?: ((key: string) => boolean) | undefined;
  /** Machines at once. */
  readonly concurrency: number;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
  /** Replaced in tests. */
  readonly findProxy?: typeof findUploadProxy | undefined;
}

/** A machine that may be imported, or a claim alone: its archive is open. */
export interface PreparedVm extends PlannedVm {
  /** By claim in the archive. */
  readonly contents: ReadonlyMap<string, VolumeContent>;
  /** Tells this import from others: of the archive, and of all that is made of it. */
  readonly digest: string;
  readonly isBrought: (key: string) => boolean;
}

export interface VmWork extends VmPlans {
  readonly machines: readonly PreparedVm[];
  readonly notes: readonly string[];
  /** Undefined where there is nothing to upload, or no way to: then that is among the problems. */
  readonly way: UploadWay | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Closes the archives and the way to the upload proxy; to be called in any case. */
  close(): Promise<void>;
}

/**
 * Opens the archives, reads their objects and looks at the target: all that stands in the way of importing any of them is
 * found. Changes nothing.
 *
 * @throws TransshipError `INPUT` for a `name` for several; `ARCHIVE_DAMAGED`, `ARCHIVE_UNSUPPORTED`; what the cluster refuses
 */
export async function prepareVms(options: PrepareVmsOptions): Promise<VmWork> {
  const { cluster, discovery, archives, name, reporter, signal, env, findProxy = findUploadProxy } = options;
  if (name !== undefined && archives.length > 1) {
    throw new TransshipError('INPUT', `name: "${name}" can't be the name of ${archives.length} virtual machines.`, {
      hint: 'Choose one with `vms`, or leave `name` out: then each keeps its own.',
    });
  }
  const opened: { archive: VmArchive; found: OpenedArchive }[] = [];
  const closeAll = async () => {
    await Promise.all(opened.map(({ found }) => found.close()));
  };
  const open = async (archive: VmArchive) => {
    const found = await openArchive(await archive.open(), { ...options, origin: archive.origin });
    opened.push({ archive, found });
    return { archive, found };
  };
  try {
    const machines: PreparedVm[] = [];
    for await (const { archive, found } of mapInOrder(archives, Math.max(1, options.concurrency), open)) {
      machines.push(await prepareOne(archive, found, options));
    }
    const problems = machines.flatMap((machine) => machine.plan.problems.map((text) => `${nameVm(machine)}: ${text}`));
    problems.push(...collisions(machines));
    let way: UploadWay | undefined;
    if (machines.length > 0) {
      const http = await createVmHttp({ ...(env !== undefined && { env }) });
      try {
        way = await findProxy(cluster, discovery, { http, timeout: PROXY_TIMEOUT, reporter, signal, env });
      } catch (error) {
        if (!(error instanceof TransshipError) || error.code === 'CANCELLED') throw error;
        problems.push([messageOf(error), error.hint].filter(Boolean).join(' '));
      } finally {
        await http.close();
      }
    }
    return {
      ...{ machines, problems, way, env },
      namespaces: namespacesOf(machines),
      notes: machines.flatMap((machine) => notesOn(machine).map((text) => `${nameVm(machine)}: ${text}`)),
      async close() {
        await way?.close();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Milliseconds. */
const PROXY_TIMEOUT = 20_000;

async function prepareOne(
  { part, origin }: VmArchive,
  { archived, contents, id }: OpenedArchive,
  options: PrepareVmsOptions,
): Promise<PreparedVm> {
  const { cluster, discovery, namespaceOf, defaultNamespace, broughtBy = () => false, signal } = options;
  const source = (archived.vm ?? archived.objects[0])?.metadata.namespace ?? part?.namespace;
  const changed = transformed(archived, source, options);
  const namespace = source === undefined ? defaultNamespace : namespaceOf(source);
  const plan = await checkVmImport(cluster, discovery, changed, {
    name: options.name,
    namespace,
    storageClassMap: options.storageClassMap,
    identity: options.vmIdentity,
    runStrategy: options.runStrategy,
    isBrought: broughtBy,
    signal,
  });
  return {
    kind: part?.kind ?? (changed.vm === undefined ? 'pvc' : 'vm'),
    name: plan.vm?.metadata.name ?? plan.dataVolumes[0]?.name ?? options.name ?? part?.name ?? '',
    ...{ namespace, origin, plan, contents },
    volumes: archived.volumes.map(({ pvc, format }) => ({
      claim: pvc,
      contents: format === 'disk' ? 'disk' : 'files',
      size: archived.sizes[pvc] ?? 0,
    })),
    size: part?.size,
    digest: planDigest(id, plan.vm, plan.runStrategy, plan.dataVolumes),
    isBrought: broughtBy,
  };
}

function transformed(archived: ArchivedVm, source: string | undefined, { transform }: PrepareVmsOptions): ArchivedVm {
  if (transform === undefined) return archived;
  const { vm, objects } = archived;
  return {
    ...archived,
    ...(vm !== undefined && { vm: transform(vm, source) }),
    objects: objects.map((object) => transform(object, source)),
  };
}

/** Two that would come to the same name. */
function collisions(machines: readonly PreparedVm[]): string[] {
  const origins = new Map<string, string[]>();
  for (const machine of machines) {
    const name = nameVm(machine);
    origins.set(name, [...(origins.get(name) ?? []), machine.origin]);
  }
  return [...origins]
    .filter(([, from]) => from.length > 1)
    .map(([name, from]) => `${from.join(' and ')} would all become ${name}: import them one by one with \`name\`.`);
}

function namespacesOf(machines: readonly PreparedVm[]): string[] {
  const names = machines.flatMap(({ plan }) =>
    plan.objects.filter(({ kind, apiVersion }) => kind === 'Namespace' && apiVersion === 'v1'),
  );
  return [...new Set(names.map(({ metadata }) => metadata.name))].sort();
}

function notesOn({ plan, digest }: PreparedVm): string[] {
  const { notes, half } = plan;
  if (half === undefined) return [...notes];
  const begun = 'An import that was interrupted has left a part of it';
  return noteOn(half)?.plan === digest
    ? [`${begun}, which is gone on with.`, ...notes]
    : [`${begun}, of another archive or with other inputs: that is deleted, and it is begun again.`, ...notes];
}

/** `VM prod/db`, `PVC prod/data`. */
export function nameVm({ kind, namespace, name }: Pick<PlannedVm, 'kind' | 'namespace' | 'name'>): string {
  return `${kind === 'pvc' ? 'PVC' : 'VM'} ${namespace}/${name}`;
}
