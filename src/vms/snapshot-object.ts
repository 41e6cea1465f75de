import { createObject } from '../cluster/apply.ts';
import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { type Poll, waitFor } from '../cluster/wait.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import { conditionsOf, describeStatus, notFound } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { removeTemporary } from './remove-temporary.ts';
import { allowed, findIn, goDuration, newRunId, pathIn, RUN_LABEL, temporaryName } from './temporary-objects.ts';

/** A VM, by its name. */
export interface VmName {
  readonly namespace: string;
  readonly name: string;
}

/** A snapshot that is ready to be exported, until it is closed. */
export interface VmSnapshot extends VmName {
  readonly uid: string;
  /** Of the VirtualMachineSnapshotContent, which has the VM as it was. */
  readonly content: string | undefined;
  /** Deletes it and the volume snapshots with it. May be called again. */
  close(): Promise<void>;
}

export interface TakeSnapshotOptions {
  /** Milliseconds: KubeVirt gives up, and so does the wait. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Labels it, for `cleanUpExports` to find it; default: one of its own. */
  readonly run?: string | undefined;
}

/**
 * Refuses, before a snapshot is taken, a VM with disks that could not be part of it.
 *
 * @returns the names of its volumes that hold disks
 * @throws TransshipError `CLUSTER` naming each such disk; `NOT_SERVED` where there are no snapshots
 */
export async function checkSnapshot(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  signal?: AbortSignal,
): Promise<string[]> {
  const what = `VM ${vm.namespace}/${vm.name}`;
  needVmKind(discovery, 'VirtualMachineSnapshot', cluster.context);
  const machines = needVmKind(discovery, 'VirtualMachine', cluster.context);
  const live = await findIn(cluster, machines, vm, `A snapshot of the ${what}`, signal);
  if (live === undefined) throw notFound({ kind: 'vm', ...vm });
  const disks = diskVolumes(live);
  refuseExcluded(what, excludedBefore(live, disks));
  return disks;
}

/**
 * Takes over a snapshot that a killed run has left, if it still is the one and can be used. What can't is deleted.
 *
 * @returns undefined when there is none such
 * @throws ClusterError
 */
export async function adoptSnapshot(
  cluster: Cluster,
  discovery: Discovery,
  left: VmName & { readonly uid: string },
  { reporter, signal, run = newRunId() }: Pick<TakeSnapshotOptions, 'reporter' | 'signal' | 'run'>,
): Promise<VmSnapshot | undefined> {
  const { namespace, name, uid } = left;
  const kind = needVmKind(discovery, 'VirtualMachineSnapshot', cluster.context);
  const live = await findIn(cluster, kind, left, 'Going on with an export', signal);
  const { labels, deletionTimestamp } = live?.metadata ?? {};
  const isOurs = live?.metadata.uid === uid && labels?.[RUN_LABEL] !== undefined;
  if (live === undefined || !isOurs || deletionTimestamp !== undefined) return undefined;
  const path = pathIn(kind, namespace, name);
  const close = closerOf(cluster, path, left, reporter);
  if (!isUsable(live)) {
    await close();
    return undefined;
  }
  const body = { metadata: { labels: { [RUN_LABEL]: run } } };
  await cluster.json({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body, signal });
  reporter.info(`The snapshot ${namespace}/${name} was left by an export that was interrupted, and is exported.`);
  return { namespace, name, uid, content: contentOf(live), close };
}

/**
 * Takes a snapshot of a VM, running or not, and waits until it can be used. It is deleted by `close()`, and on any failure here.
 *
 * @throws TransshipError `CLUSTER` when a disk can't be part of it, naming each, or KubeVirt gives up; `TIMEOUT` with the last
 * state; `NOT_SERVED`; `FORBIDDEN` naming verb and resource
 */
export async function takeSnapshot(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  options: TakeSnapshotOptions,
): Promise<VmSnapshot> {
  const { reporter, timeout, signal, clock = systemClock, run = newRunId() } = options;
  const kind = needVmKind(discovery, 'VirtualMachineSnapshot', cluster.context);
  const { namespace } = vm;
  const what = `VM ${namespace}/${vm.name}`;
  const purpose = `A snapshot of the ${what}`;
  const disks = await checkSnapshot(cluster, discovery, vm, signal);
  const name = temporaryName('transship-snapshot', vm.name);
  const path = pathIn(kind, namespace, name);
  const close = closerOf(cluster, path, { namespace, name }, reporter);

  const object: KubeObject = {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: { name, namespace, labels: { [RUN_LABEL]: run } },
    spec: {
      source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: vm.name },
      failureDeadline: goDuration(timeout),
    },
  };
  try {
    const wanted = { verb: 'create', group: kind.group, resource: kind.plural, namespace, purpose };
    // Without the signal: what is created after all has to be known, to be deleted.
    await allowed(wanted, () => createObject(cluster, discovery, object));
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status === 0) await close();
    throw gateOff(error) ?? error;
  }
  try {
    if (signal?.aborted) throw cancelledBy(signal, purpose);
    reporter.info(`${purpose} is taken as ${namespace}/${name}.`);
    const taken = await waitUntilUsable(cluster, path, what, { ...options, clock });
    const status = isMap(taken.status) ? taken.status : {};
    const { excludedVolumes } = isMap(status.snapshotVolumes) ? status.snapshotVolumes : {};
    refuseExcluded(
      what,
      stringsIn(excludedVolumes).flatMap((volume) => (disks.includes(volume) ? [{ volume, reason: '' }] : [])),
    );
    tellConsistency(what, status, reporter);
    return { namespace, name, uid: taken.metadata.uid ?? '', content: contentOf(taken), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function closerOf(
  cluster: Cluster,
  path: string,
  { namespace, name }: VmName,
  reporter: Reporter,
): VmSnapshot['close'] {
  let closing: Promise<void> | undefined;
  return () => {
    const otherwise = `Delete it by hand, for it keeps space: \`kubectl delete vmsnapshot -n ${namespace} ${name}\`.`;
    closing ??= removeTemporary(cluster, [path], otherwise, reporter);
    return closing;
  };
}

function contentOf({ status }: KubeObject): string | undefined {
  const content = isMap(status) ? status.virtualMachineSnapshotContentName : undefined;
  return typeof content === 'string' ? content : undefined;
}

/** The phase says that the snapshot is taken; it can be used when the storage has finished it too. */
function isUsable({ status }: KubeObject): boolean {
  return isMap(status) && status.readyToUse === true && (status.phase === undefined || status.phase === 'Succeeded');
}

async function waitUntilUsable(
  cluster: Cluster,
  path: string,
  what: string,
  { timeout, reporter, clock, signal }: TakeSnapshotOptions,
): Promise<KubeObject> {
  let shown = '';
  const poll = async (): Promise<Poll<KubeObject>> => {
    const live = await cluster.json<KubeObject>({ method: 'GET', path, signal });
    const status = isMap(live.status) ? live.status : {};
    if (isUsable(live)) return { done: true, value: live };
    const told = isMap(status.error) && typeof status.error.message === 'string' ? `, ${status.error.message}` : '';
    const state = describeStatus(live) + told;
    const failure = conditionsOf(status).find(({ type, status: is }) => type === 'Failure' && is === 'True');
    if (status.phase === 'Failed' || failure !== undefined) {
      throw new TransshipError('CLUSTER', `The snapshot of the ${what} failed: ${state}.`, {
        hint: 'A longer `timeout` gives it more time; `running-vms: stop` needs no snapshot.',
      });
    }
    if (state !== shown) reporter.progress(`Snapshot of the ${what}: ${state}`);
    shown = state;
    return { done: false, state };
  };
  const describe = `the snapshot of the ${what} to be usable`;
  return waitFor(poll, { timeout, describe, clock, signal, longestGap: 2_000 });
}

interface Excluded {
  readonly volume: string;
  readonly reason: string;
}

/** The volumes of a VM that hold disks of its own. */
function diskVolumes({ spec }: KubeObject): string[] {
  const template = isMap(spec) && isMap(spec.template) ? spec.template : {};
  return mapsIn(isMap(template.spec) ? template.spec.volumes : undefined).flatMap((volume) =>
    typeof volume.name === 'string' && (isMap(volume.persistentVolumeClaim) || isMap(volume.dataVolume))
      ? [volume.name]
      : [],
  );
}

/** The disks of which KubeVirt says beforehand that they can't be part of a snapshot. */
function excludedBefore({ status }: KubeObject, disks: readonly string[]): Excluded[] {
  return mapsIn(isMap(status) ? status.volumeSnapshotStatuses : undefined).flatMap(({ name, enabled, reason }) =>
    typeof name === 'string' && disks.includes(name) && enabled === false
      ? [{ volume: name, reason: typeof reason === 'string' ? reason : '' }]
      : [],
  );
}

/** KubeVirt would take a snapshot without them, and say so only in its status. */
function refuseExcluded(what: string, excluded: readonly Excluded[]): void {
  if (excluded.length === 0) return;
  const list = excluded.map(({ volume, reason }) => (reason === '' ? volume : `${volume} (${reason})`)).join(', ');
  throw new TransshipError('CLUSTER', `A snapshot of the ${what} would be without some of its disks: ${list}.`, {
    hint: 'Their storage class needs a driver that can take snapshots, and a VolumeSnapshotClass. Otherwise set `running-vms: stop`.',
  });
}

function tellConsistency(what: string, status: Record<string, unknown>, reporter: Reporter): void {
  const told = mapsIn(status.sourceIndications).map(({ indication }) => indication);
  const all = new Set<unknown>([...told, ...stringsIn(status.indications)]);
  const why = all.has('QuiesceTimeout')
    ? 'its guest agent did not freeze the file systems in time'
    : all.has('NoGuestAgent')
      ? 'it has no guest agent to freeze its file systems'
      : undefined;
  if (why === undefined) return;
  const text = `The snapshot of the ${what} is as after a power failure: ${why}. What programs had not written yet is not in it.`;
  reporter.warn(text, 'Crash-consistent snapshot');
}

/** https://github.com/kubevirt/kubevirt/blob/v1.6.0/pkg/storage/admitters/vmsnapshot.go */
function gateOff(error: unknown): TransshipError | undefined {
  if (!(error instanceof ClusterError) || !/feature gate/i.test(error.message)) return undefined;
  return new TransshipError('NOT_SERVED', `Snapshots of VMs are not possible: ${error.message}`, {
    hint: 'Add Snapshot to spec.configuration.developerConfiguration.featureGates of the KubeVirt object, or set `running-vms: stop`.',
    cause: error,
  });
}
