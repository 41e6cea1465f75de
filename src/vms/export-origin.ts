import type { Reporter } from '../report/reporter.ts';
import type { VmTarget } from './choose-vms.ts';
import { describeVm } from './describe-vm.ts';
import type { VmDescription } from './description.ts';
import { removeExportsOf } from './export-adoption.ts';
import type { VolumeToRead } from './export-entries.ts';
import { type OpenedExport, openExport } from './export-object.ts';
import type { ExportedFrom } from './export-sources.ts';
import { inUse, nameSource, type VmSource } from './export-state.ts';
import type { AtEnd, ExportVmContext } from './export-vm.ts';
import { needVmKind } from './kinds.ts';
import { adoptSnapshot, takeSnapshot, type VmSnapshot } from './snapshot-object.ts';
import { adoptStopped, isVmRunning, stopVm } from './stop-vm.ts';

/** What an archive is made of, and where it is read. */
export interface Origin {
  readonly description: VmDescription;
  /** The claims in their order. */
  readonly sources: readonly VolumeToRead[];
  /** Tells whether it is the same as another time. */
  readonly from: readonly ExportedFrom[];
  /** Why what was left by an interrupted export can't be gone on with, to follow a colon. */
  readonly refusal: string | undefined;
}

/**
 * Brings a target into a state in which it can be read: takes a snapshot or stops the machine, and opens its exports. What a
 * killed run has left of the same is used again, where what it holds can't have changed.
 */
export async function findOrigin(
  target: VmTarget,
  left: readonly ExportedFrom[],
  context: ExportVmContext,
  atEnd: AtEnd,
): Promise<Origin> {
  const { source, description, taken, refusal } = await settle(target, left, context, atEnd);
  if (description.volumes.length === 0) {
    const { namespace, name, uid } = target;
    return { description, sources: [], from: [{ kind: 'vm', namespace, name, uid }], refusal };
  }
  const { opened, sources } = await openAll(source, description, left, context, atEnd);
  const exports = opened
    .filter(({ of }) => of.kind !== 'snapshot')
    .map(({ by: { namespace, name, uid, readySince } }) => ({
      kind: 'export' as const,
      namespace,
      name,
      uid,
      readySince,
    }));
  const why = refusal ?? opened.map(({ by }) => by.refusal).find((text) => text !== undefined);
  return { description, sources, from: taken === undefined ? exports : [taken, ...exports], refusal: why };
}

interface Settled {
  readonly source: VmSource;
  readonly description: VmDescription;
  /** The snapshot that is exported. */
  readonly taken: ExportedFrom | undefined;
  readonly refusal: string | undefined;
}

async function settle(
  target: VmTarget,
  left: readonly ExportedFrom[],
  context: ExportVmContext,
  atEnd: AtEnd,
): Promise<Settled> {
  const { cluster, discovery, running, reporter, signal } = context;
  const { kind, namespace, name, uid } = target;
  const describe = (source: VmSource, to: Reporter = reporter) =>
    describeVm(cluster, discovery, source, { reporter: to, signal });
  if (kind !== 'vm') {
    const taken = kind === 'snapshot' ? ({ kind, namespace, name, uid } as const) : undefined;
    return { source: target, description: await describe(target), taken, refusal: undefined };
  }
  const leftSnapshot = left.find((one) => one.kind === 'snapshot');
  let snapshot = leftSnapshot && (await adoptSnapshot(cluster, discovery, leftSnapshot, context));
  if (snapshot !== undefined) {
    atEnd(snapshot.close);
    const exports = needVmKind(discovery, 'VirtualMachineExport', cluster.context);
    await removeExportsOf(cluster, exports, snapshot, context);
  }
  const refusal =
    leftSnapshot === undefined || snapshot !== undefined
      ? undefined
      : `the snapshot ${leftSnapshot.namespace}/${leftSnapshot.name} is gone or can't be used`;
  const isOn = await isVmRunning(cluster, discovery, target, signal);
  const isSnapshot = snapshot !== undefined || (isOn && running === 'snapshot');
  // Before it is stopped: then some of it is not known any more.
  const live = await describe(target, isSnapshot ? { ...reporter, warn() {} } : reporter);
  if (live.volumes.length === 0) return { source: target, description: live, taken: undefined, refusal };
  if (isSnapshot) {
    if (snapshot === undefined) {
      snapshot = await takeSnapshot(cluster, discovery, target, context);
      atEnd(snapshot.close);
    }
    const source: VmSource = { kind: 'snapshot', namespace, name: snapshot.name };
    const description = await describe(source);
    warnOfState(target, live, description, reporter);
    return { source, description, taken: sourceOf(snapshot), refusal };
  }
  if (isOn && running === 'error') throw inUse(target);
  const stop = running === 'stop' ? stopVm : adoptStopped;
  const stopped = await stop(cluster, discovery, target, context);
  if (stopped !== undefined) atEnd(stopped.putBack);
  return { source: target, description: live, taken: undefined, refusal };
}

function sourceOf({ namespace, name, uid }: VmSnapshot): ExportedFrom {
  return { kind: 'snapshot', namespace, name, uid };
}

/** Not all versions of KubeVirt take the claim for TPM and EFI into a snapshot. */
function warnOfState(target: VmTarget, live: VmDescription, taken: VmDescription, reporter: Reporter): void {
  const lost = live.volumes.filter(
    ({ pvc, use }) => use === 'persistentState' && !taken.volumes.some((one) => one.pvc === pvc),
  );
  for (const { pvc } of lost) {
    reporter.warn(
      `The ${nameSource(target)} is exported without the state of its TPM or EFI (claim ${pvc}), which its snapshot does not have. \`running-vms: stop\` exports it.`,
    );
  }
}

interface Opened {
  readonly of: VmSource;
  readonly by: OpenedExport;
}

/** One export of the source, and one of each claim that it leaves out. */
async function openAll(
  source: VmSource,
  { volumes }: VmDescription,
  left: readonly ExportedFrom[],
  context: ExportVmContext,
  atEnd: AtEnd,
): Promise<{ opened: Opened[]; sources: VolumeToRead[] }> {
  const { cluster, discovery } = context;
  // They were opened in the same order then.
  const leftExports = left.filter((one) => one.kind === 'export');
  const opened: Opened[] = [];
  const open = async (of: VmSource) => {
    const adopt = of.kind === 'snapshot' ? undefined : leftExports.shift();
    const by = await openExport(cluster, discovery, of, { ...context, adopt });
    atEnd(by.close);
    opened.push({ of, by });
    return by;
  };
  const isAlone = ({ alone }: { alone?: true }) => source.kind !== 'pvc' && alone === true;
  const whole = volumes.every(isAlone) ? undefined : await open(source);
  const sources: VolumeToRead[] = [];
  for (const volume of volumes) {
    const { namespace } = source;
    const from =
      whole !== undefined && !isAlone(volume) ? whole : await open({ kind: 'pvc', namespace, name: volume.pvc });
    sources.push({ volume, from });
  }
  return { opened, sources };
}
