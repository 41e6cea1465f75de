import { createHash } from 'node:crypto';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isMap } from '../../../src/values.ts';
import type { Context } from '../context.ts';
import { field, isOwnedBy, isSame, maps, namespaceOf, ownedBy, PATHS, pathIn, text } from '../objects.ts';
import { createPod, isReady, phaseOf } from '../pods.ts';
import { claimNamesOf } from './export-sources.ts';
import { ensureRevisions } from './instancetypes.ts';

/**
 * Does for machines what virt-controller does: DataVolumes from templates, a firmware UUID in the spec, revisions of
 * instancetypes; and starts and stops them with their instance and its pod, which uses their claims.
 */
export async function reconcileMachines(context: Context): Promise<void> {
  if (context.isHeld('machines')) return;
  const stores = context.stores();
  for (const vm of stores.all(PATHS.machines)) {
    if (vm.metadata.deletionTimestamp === undefined) await reconcile(context, vm);
  }
  for (const vmi of stores.all(PATHS.instances)) await followPod(context, vmi);
}

/** The UUID that a machine without one of its own has: the same for each of that name. */
export function legacyUuid(name: string): string {
  // https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/watch/vm/firmware.go
  const namespace = Buffer.from('6a1a24a1410646078bf4a3963d0c5895', 'hex');
  const bytes = createHash('sha1').update(namespace).update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

async function reconcile(context: Context, vm: KubeObject): Promise<void> {
  const namespace = namespaceOf(vm);
  const { name } = vm.metadata;
  const stores = context.stores();
  if (text(vm, 'spec', 'template', 'spec', 'domain', 'firmware', 'uuid') === undefined) {
    const firmware = { uuid: legacyUuid(name) };
    await context.kube.patch(pathIn(PATHS.machines, namespace, name), {
      spec: { template: { spec: { domain: { firmware } } } },
    });
  }
  const refs = await ensureRevisions(context, vm);
  await ensureDataVolumes(context, vm);
  const requests = maps(vm, 'status', 'stateChangeRequests');
  const vmi = stores.find(PATHS.instances, namespace, name);
  const isWanted = wantsToRun(vm, vmi, requests);
  const claims = claimNamesOf(context, vm);
  const volumesReady = claims.every(({ claim, isDataVolume }) => {
    if (stores.find(PATHS.claims, namespace, claim) === undefined) return false;
    const dataVolume = isDataVolume ? stores.find(PATHS.dataVolumes, namespace, claim) : undefined;
    return dataVolume === undefined || phaseOf(dataVolume) === 'Succeeded';
  });
  if (isWanted && vmi === undefined && volumesReady) await start(context, vm);
  if (!isWanted && vmi !== undefined && vmi.metadata.deletionTimestamp === undefined) {
    await context.kube.delete(pathIn(PATHS.instances, namespace, name));
  }
  const isRunning = vmi !== undefined && phaseOf(vmi) === 'Running';
  const isProvisioning = claims.length > 0 && !volumesReady;
  const before = isMap(vm.status) ? vm.status : {};
  const status = {
    ...before,
    ...refs,
    created: vmi !== undefined,
    ready: isRunning && isWanted,
    printableStatus: printable(isWanted, vmi !== undefined, isRunning, isProvisioning),
    runStrategy: runStrategyOf(vm),
    ...(requests.length === 0 ? {} : { stateChangeRequests: requests.filter((one) => !isCarriedOut(one, vmi)) }),
  };
  if (!isSame(status, before)) await context.kube.patch(pathIn(PATHS.machines, namespace, name, 'status'), { status });
}

function isCarriedOut({ action }: Record<string, unknown>, vmi: KubeObject | undefined): boolean {
  return action === 'Start' ? vmi !== undefined : vmi === undefined;
}

function printable(isWanted: boolean, exists: boolean, isRunning: boolean, isProvisioning: boolean): string {
  if (isWanted) return isRunning ? 'Running' : isProvisioning ? 'Provisioning' : 'Starting';
  return exists ? 'Stopping' : isProvisioning ? 'Provisioning' : 'Stopped';
}

/** `spec.runStrategy`, or what `spec.running` says. */
export function runStrategyOf(vm: KubeObject): string {
  return text(vm, 'spec', 'runStrategy') ?? (field(vm, 'spec', 'running') === true ? 'Always' : 'Halted');
}

function wantsToRun(
  vm: KubeObject,
  vmi: KubeObject | undefined,
  requests: readonly Record<string, unknown>[],
): boolean {
  const strategy = runStrategyOf(vm);
  if (strategy === 'Halted') return false;
  const asks = (action: string) => requests.some((request) => request.action === action);
  if (asks('Stop') && vmi !== undefined) return false;
  if (strategy === 'Manual') return vmi !== undefined ? vmi.metadata.deletionTimestamp === undefined : asks('Start');
  // One that was told to stop stays so until it is told to start.
  if (strategy === 'RerunOnFailure' && vmi === undefined)
    return asks('Start') || field(vm, 'status', 'created') !== true;
  return true;
}

async function ensureDataVolumes(context: Context, vm: KubeObject): Promise<void> {
  const namespace = namespaceOf(vm);
  for (const template of maps(vm, 'spec', 'dataVolumeTemplates')) {
    const name = text(template, 'metadata', 'name') ?? '';
    if (context.stores().find(PATHS.dataVolumes, namespace, name) !== undefined) continue;
    const metadata = isMap(template.metadata) ? template.metadata : {};
    await context.kube.create(pathIn(PATHS.dataVolumes, namespace), {
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'DataVolume',
      metadata: {
        ...metadata,
        namespace,
        labels: { ...(isMap(metadata.labels) ? metadata.labels : {}), 'kubevirt.io/created-by': vm.metadata.uid },
        ...ownedBy(vm),
      },
      spec: template.spec,
    });
  }
}

async function start(context: Context, vm: KubeObject): Promise<void> {
  const namespace = namespaceOf(vm);
  const { name } = vm.metadata;
  const spec = field(vm, 'spec', 'template', 'spec');
  const domain = field(spec, 'domain');
  const firmware = {
    uuid: legacyUuid(name),
    ...(isMap(field(domain, 'firmware')) ? Object(field(domain, 'firmware')) : {}),
  };
  const metadata = field(vm, 'spec', 'template', 'metadata');
  const vmi = await context.kube.create(pathIn(PATHS.instances, namespace), {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { ...(isMap(metadata) ? metadata : {}), name, namespace, ...ownedBy(vm) },
    spec: { ...(isMap(spec) ? spec : {}), domain: { ...(isMap(domain) ? domain : {}), firmware } },
    status: { phase: 'Pending' },
  });
  if (vmi === undefined) return;
  await createPod(context, {
    namespace,
    name: podName(vmi),
    owner: vmi,
    labels: { 'kubevirt.io': 'virt-launcher', 'vm.kubevirt.io/name': name },
    claims: claimNamesOf(context, vm).map(({ claim }) => claim),
  });
}

/** The phase of an instance follows that of its pod. */
async function followPod(context: Context, vmi: KubeObject): Promise<void> {
  const namespace = namespaceOf(vmi);
  const pod = context.stores().find(PATHS.pods, namespace, podName(vmi));
  if (pod === undefined || !isOwnedBy(pod, vmi) || !isReady(pod) || phaseOf(vmi) === 'Running') return;
  const interfaces = maps(vmi, 'spec', 'domain', 'devices', 'interfaces');
  await context.kube.patch(pathIn(PATHS.instances, namespace, vmi.metadata.name), {
    status: {
      phase: 'Running',
      nodeName: text(pod, 'spec', 'nodeName'),
      interfaces: interfaces.map((one, place) => ({
        name: one.name,
        mac: one.macAddress ?? macAddress(vmi, place),
        ipAddress: `10.244.1.${place + 2}`,
      })),
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
}

/** Another one each time a machine starts, as where no pool keeps them. */
function macAddress(vmi: KubeObject, place: number): string {
  const digest = createHash('sha256').update(`${vmi.metadata.uid}/${place}`).digest('hex');
  return `02:${digest.slice(0, 10).match(/../g)?.join(':')}`;
}

function podName(vmi: KubeObject): string {
  return `virt-launcher-${vmi.metadata.name.slice(0, 40)}-${(vmi.metadata.uid ?? '').slice(0, 5)}`;
}
