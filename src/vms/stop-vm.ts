import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { type Poll, waitFor } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { isMap, mapsIn } from '../values.ts';
import { isActive } from './check-source.ts';
import { nameSource, notFound } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import type { VmName } from './snapshot-object.ts';
import { allowed, findIn, newRunId, pathIn, RUN_LABEL } from './temporary-objects.ts';
import { mapIn } from './vm-references.ts';

/** On a VM that is stopped for a while: as JSON, the part of its spec that says when it runs. Also a later run can put it back. */
export const RUNS_ANNOTATION = 'transship.dev/runs-when-not-exported';

/**
 * On the same VM: as JSON, what of its instance is gone with it but belongs to the VM, in the places the instance has it.
 * An export that goes on in a later run describes the VM by it.
 */
export const INSTANCE_ANNOTATION = 'transship.dev/instance-when-not-exported';

/** A VM that was stopped. */
export interface StoppedVm extends VmName {
  /** {@link startVm} */
  putBack(): Promise<void>;
}

export interface StopVmOptions {
  /** Milliseconds for the guest to shut down. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Labels the VM, for `cleanUpExports` to start it again; default: one of its own. */
  readonly run?: string | undefined;
}

/** One of the two is there: `running` is the older way. */
interface RunFields {
  readonly runStrategy?: string;
  readonly running?: boolean;
}

/** How often a change is tried that others' changes got in the way of. */
const TRIES = 5;
const GAP = 1_000;

/** Whether a VM is on, or would be by itself: an export has to stop it or take a snapshot. */
export async function isVmRunning(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  signal?: AbortSignal,
): Promise<boolean> {
  const { live, instance } = await readVm(cluster, discovery, vm, signal);
  return runsByItself(live) || isActive(instance);
}

/**
 * Stops a VM as `virtctl stop` does, and waits until it is off. When it runs is noted on the VM itself before.
 *
 * @returns undefined when it was off, and nobody had stopped it for an export before
 * @throws TransshipError `TIMEOUT` when the guest does not shut down; the VM is then put back. `FORBIDDEN` naming verb and resource
 */
export async function stopVm(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  options: StopVmOptions,
): Promise<StoppedVm | undefined> {
  const { reporter, timeout, signal, clock = systemClock, run = newRunId() } = options;
  const what = nameSource({ kind: 'vm', ...vm });
  const { live, instance } = await readVm(cluster, discovery, vm, signal);
  const putBack = () => startVm(cluster, discovery, vm, { reporter, clock });
  if (!runsByItself(live) && !isActive(instance)) return adoptStopped(cluster, discovery, vm, options);
  const annotations = {
    [RUNS_ANNOTATION]: JSON.stringify(runFieldsOf(live)),
    ...(instance === undefined ? {} : { [INSTANCE_ANNOTATION]: JSON.stringify(essenceOf(instance)) }),
  };
  await patchVm(cluster, discovery, vm, { metadata: { annotations, labels: { [RUN_LABEL]: run } } }, signal);
  try {
    reporter.info(`Stopping the ${what} for the time of its export.`);
    await callVm(cluster, vm, 'stop', clock, signal);
    const poll = async (): Promise<Poll<void>> => {
      const now = await readVm(cluster, discovery, vm, signal);
      if (!isActive(now.instance)) return { done: true, value: undefined };
      return { done: false, state: stateOf(now.live) };
    };
    await waitFor(poll, { timeout, describe: `the ${what} to be off`, clock, signal, longestGap: 2_000 });
  } catch (error) {
    await putBack();
    if (!(error instanceof TransshipError) || error.code !== 'TIMEOUT') throw error;
    throw new TransshipError('TIMEOUT', error.message, {
      hint: 'Does its guest react to a shutdown (ACPI)? KubeVirt cuts its power after terminationGracePeriodSeconds of its template; give more `timeout` than that.',
      cause: error,
    });
  }
  return { ...vm, putBack };
}

/**
 * Takes over a VM that is off because an export has stopped it that was killed.
 *
 * @returns undefined when it runs, or nobody had stopped it for an export
 */
export async function adoptStopped(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  { reporter, signal, clock = systemClock, run = newRunId() }: Omit<StopVmOptions, 'timeout'>,
): Promise<StoppedVm | undefined> {
  const { live, instance } = await readVm(cluster, discovery, vm, signal);
  if (runsByItself(live) || isActive(instance) || notedOn(live) === undefined) return undefined;
  await patchVm(cluster, discovery, vm, { metadata: { labels: { [RUN_LABEL]: run } } }, signal);
  const what = nameSource({ kind: 'vm', ...vm });
  reporter.warn(`The ${what} was stopped by an export that could not start it again; this one will.`, 'Stopped VM');
  return { ...vm, putBack: () => startVm(cluster, discovery, vm, { reporter, clock }) };
}

/**
 * Puts back when a VM runs, as noted by {@link stopVm}, which starts it where it ran. It takes no signal, so that a cancelled
 * export leaves no VM off. Does nothing where nothing is noted, or somebody has decided otherwise since.
 *
 * @throws ClusterError
 */
export async function startVm(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  { reporter, clock = systemClock }: Pick<StopVmOptions, 'reporter' | 'clock'>,
): Promise<void> {
  const what = nameSource({ kind: 'vm', ...vm });
  for (let tries = 1; ; tries++) {
    const { live, instance } = await readVm(cluster, discovery, vm);
    const noted = notedOn(live);
    if (noted === undefined) return;
    const fields = runFieldsOf(live);
    // What a stop makes of Always and Once, and of `running: true`.
    const wasHalted =
      (fields.runStrategy === 'Halted' && (noted.runStrategy ?? 'Halted') !== 'Halted') ||
      (fields.running === false && noted.running === true);
    // Manual and RerunOnFailure stay as they are when a VM is stopped; what they need is a request.
    const needsRequest = isSame(noted, fields) && !isActive(instance) && !runsByItself(live);
    try {
      if (needsRequest) await callVm(cluster, vm, 'start', clock);
      const { resourceVersion } = live.metadata;
      await patchVm(cluster, discovery, vm, {
        metadata: {
          annotations: { [RUNS_ANNOTATION]: null, [INSTANCE_ANNOTATION]: null },
          labels: { [RUN_LABEL]: null },
          // A start request changes the VM itself.
          ...(needsRequest ? {} : { resourceVersion }),
        },
        ...(wasHalted ? { spec: noted } : {}),
      });
      if (wasHalted || needsRequest) reporter.info(`Started the ${what} again.`);
      return;
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status !== 409 || tries >= TRIES) throw error;
      await clock.sleep(GAP);
    }
  }
}

/** The instance that a VM had when an export stopped it; undefined where nothing is noted of it. */
export function notedInstance({ metadata }: KubeObject): KubeObject | undefined {
  const text = metadata.annotations?.[INSTANCE_ANNOTATION];
  if (text === undefined || metadata.annotations?.[RUNS_ANNOTATION] === undefined) return undefined;
  try {
    const { spec, status } = mapIn(JSON.parse(text));
    const { name, namespace = '' } = metadata;
    return {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstance',
      metadata: { name, namespace },
      spec: mapIn(spec),
      status: mapIn(status),
    };
  } catch {
    // Somebody has changed it.
    return undefined;
  }
}

/** What {@link withIdentity} reads of an instance. */
function essenceOf({ spec, status }: KubeObject): unknown {
  const { uuid, serial } = mapIn(spec, 'domain', 'firmware');
  const { interfaces } = mapIn(spec, 'domain', 'devices');
  const { networks } = mapIn(spec);
  const reported = mapsIn(mapIn(status).interfaces).map(({ name, mac }) => ({ name, mac }));
  return {
    spec: { domain: { firmware: { uuid, serial }, devices: { interfaces } }, networks },
    status: { interfaces: reported },
  };
}

async function readVm(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  signal?: AbortSignal,
): Promise<{ live: KubeObject; instance: KubeObject | undefined }> {
  const purpose = `Looking at the ${nameSource({ kind: 'vm', ...vm })}`;
  const find = (kind: 'VirtualMachine' | 'VirtualMachineInstance') =>
    findIn(cluster, needVmKind(discovery, kind, cluster.context), vm, purpose, signal);
  const [live, instance] = await Promise.all([find('VirtualMachine'), find('VirtualMachineInstance')]);
  if (live === undefined) throw notFound({ kind: 'vm', ...vm });
  return { live, instance };
}

async function patchVm(
  cluster: Cluster,
  discovery: Discovery,
  vm: VmName,
  body: unknown,
  signal?: AbortSignal,
): Promise<void> {
  const kind = needVmKind(discovery, 'VirtualMachine', cluster.context);
  const { namespace, name } = vm;
  const purpose = `Stopping and starting the ${nameSource({ kind: 'vm', ...vm })}`;
  await allowed({ verb: 'patch', group: kind.group, resource: kind.plural, namespace, purpose }, () =>
    cluster.json({
      method: 'PATCH',
      path: pathIn(kind, namespace, name),
      contentType: 'application/merge-patch+json',
      body,
      signal,
    }),
  );
}

/** The subresource API: https://kubevirt.io/user-guide/user_workloads/lifecycle/ */
async function callVm(
  cluster: Cluster,
  { namespace, name }: VmName,
  action: 'start' | 'stop',
  clock: Clock,
  signal?: AbortSignal,
): Promise<void> {
  const group = 'subresources.kubevirt.io';
  const machines = { group, apiVersion: `${group}/v1`, plural: 'virtualmachines' };
  const path = `${pathIn(machines, namespace, name)}/${action}`;
  const purpose = `${action === 'stop' ? 'Stopping' : 'Starting'} the ${nameSource({ kind: 'vm', namespace, name })}`;
  const wanted = { verb: 'update', group, resource: `virtualmachines/${action}`, namespace, purpose };
  for (let tries = 1; ; tries++) {
    try {
      await allowed(wanted, () => cluster.json({ method: 'PUT', path, body: {}, signal }));
      return;
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status !== 409) throw error;
      // It is so already, as when an answer was lost; or another change came in between.
      if (/not running|already running|only supports manual stop/i.test(error.message)) return;
      if (tries >= TRIES) throw error;
      await clock.sleep(GAP, signal);
    }
  }
}

/** Only then KubeVirt starts it again whenever it is off. */
function runsByItself(live: KubeObject): boolean {
  const { runStrategy, running } = runFieldsOf(live);
  return runStrategy === 'Always' || running === true;
}

function runFieldsOf({ spec }: KubeObject): RunFields {
  return pickRunFields(spec);
}

function pickRunFields(value: unknown): RunFields {
  if (!isMap(value)) return {};
  if (typeof value.runStrategy === 'string') return { runStrategy: value.runStrategy };
  return typeof value.running === 'boolean' ? { running: value.running } : {};
}

function notedOn({ metadata }: KubeObject): RunFields | undefined {
  const text = metadata.annotations?.[RUNS_ANNOTATION];
  if (text === undefined) return undefined;
  try {
    return pickRunFields(JSON.parse(text));
  } catch {
    // Somebody has changed it: there is nothing to go by but that it ran.
    return {};
  }
}

function isSame(a: RunFields, b: RunFields): boolean {
  return a.runStrategy === b.runStrategy && a.running === b.running;
}

function stateOf({ status }: KubeObject): string {
  const state = isMap(status) ? status.printableStatus : undefined;
  return typeof state === 'string' ? state : 'running';
}
