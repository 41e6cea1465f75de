import pLimit from 'p-limit';
import type { Clock } from '../cluster/clock.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import type { Environment } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import { cloneJson } from '../json.ts';
import type { VmResult } from '../report/results.ts';
import type { UndoLog } from '../undo.ts';
import { checkSource } from './check-source.ts';
import { roughSizes } from './clone-sizes.ts';
import type { CloneSide } from './clone-source.ts';
import { describeVm } from './describe-vm.ts';
import type { VmDescription } from './description.ts';
import { inUse, nameSource, type VmSource } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { checkVmImport, type VmImportPlan } from './plan-vm-import.ts';
import type { PlannedVm, VmPlans } from './prepare-plan.ts';
import type { PrepareVmsOptions } from './prepare-vms.ts';
import { isVmRunning } from './stop-vm.ts';

export interface CloneOptions
  extends Pick<
    PrepareVmsOptions,
    | 'namespaceOf'
    | 'name'
    | 'storageClassMap'
    | 'vmIdentity'
    | 'runStrategy'
    | 'transform'
    | 'broughtBy'
    | 'concurrency'
    | 'reporter'
  > {
  /** What to do about machines that run. */
  readonly running: 'error' | 'snapshot' | 'stop';
  /** Which links the target reads: `auto` takes internal ones where both sides are one cluster. */
  readonly links: 'external' | 'auto';
  /** Milliseconds after which KubeVirt deletes an export, whatever becomes of this program. */
  readonly ttl: number;
  /** Milliseconds for each step, and without progress while disks are copied. */
  readonly timeout: number;
  /** What is made for a while is labelled with it, at both sides. */
  readonly run: string;
  readonly environment?: Environment | undefined;
  /** Told of all that is created to stay. */
  readonly undo?: UndoLog | undefined;
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** What is to be cloned, and as what. */
export interface PlannedClone {
  readonly source: VmSource;
  /** Such as `VM shop/web`. */
  readonly what: string;
  /** At the target. */
  readonly name: string;
  readonly namespace: string;
}

/** Clones that may begin, if there are no problems. */
export interface CloneWork extends VmPlans {
  readonly source: CloneSide;
  readonly target: CloneSide;
  /** In the order they were given. */
  readonly clones: readonly PlannedClone[];
  readonly options: CloneOptions;
  /** What will be other than at the source, and what can't be verified. */
  readonly notes: readonly string[];
}

const UNVERIFIED =
  'CDI copies the disks itself: their sizes are checked, their bytes only by TLS and the length that the source announces.';
/**
 * Checks all that clones need at both sides, reading only. All problems of all machines are found at once.
 *
 * @param targets - what is cloned; none of it twice
 * @throws TransshipError where a cluster does not answer
 */
export async function prepareClone(
  source: CloneSide,
  target: CloneSide,
  targets: readonly VmSource[],
  options: CloneOptions,
): Promise<CloneWork> {
  const limit = pLimit(Math.max(1, options.concurrency));
  const checked = await Promise.all(targets.map((one) => limit(() => checkOne(source, target, one, options))));
  const problems = [
    ...(options.name !== undefined && targets.length > 1
      ? [`"${options.name}" can be the name of one machine, and these are ${targets.length}.`]
      : []),
    ...findClashes(checked.map(({ clone }) => clone)),
    ...checked.flatMap((one) => one.problems),
  ];
  const notes = [...checked.flatMap((one) => one.notes), ...(targets.length > 0 ? [UNVERIFIED] : [])];
  const clones = checked.map(({ clone }) => clone);
  const machines = checked.flatMap(({ machine }) => machine ?? []);
  const namespaces = machines.flatMap(({ namespace, plan }) =>
    plan.objects.some(({ kind }) => kind === 'Namespace') ? [namespace] : [],
  );
  return {
    source,
    target,
    clones,
    machines,
    namespaces: [...new Set(namespaces)],
    options,
    problems: [...new Set(problems)],
    notes: [...new Set(notes)],
  };
}

/** What a clone makes at the target, and what stands against it. */
export async function planClone(
  { cluster, discovery }: CloneSide,
  description: VmDescription,
  sizes: Readonly<Record<string, number>>,
  namespace: string,
  options: CloneOptions,
): Promise<VmImportPlan> {
  const { name, storageClassMap, vmIdentity, broughtBy, runStrategy, signal, transform = (object) => object } = options;
  const change = (object: KubeObject) => transform(cloneJson(object), object.metadata.namespace);
  const { vm, volumes } = description;
  const objects = description.objects.map(change);
  const archive = { ...(vm !== undefined && { vm: change(vm) }), volumes, objects, sizes };
  const wanted = { name, namespace, storageClassMap, identity: vmIdentity, runStrategy, signal };
  const plan = await checkVmImport(cluster, discovery, archive, { ...wanted, isBrought: broughtBy });
  return plan.half === undefined ? plan : { ...plan, problems: [...plan.problems, halfThere(plan.half)] };
}

interface Checked {
  readonly clone: PlannedClone;
  /** Undefined where the source can't be described. */
  readonly machine?: PlannedVm;
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

async function checkOne(source: CloneSide, target: CloneSide, one: VmSource, options: CloneOptions): Promise<Checked> {
  const { cluster, discovery } = source;
  const { running, reporter, signal, namespaceOf } = options;
  const what = nameSource(one);
  const namespace = namespaceOf(one.namespace);
  try {
    needVmKind(discovery, 'VirtualMachineExport', cluster.context);
    if (one.kind !== 'vm') await checkSource(cluster, discovery, one, `Exporting the ${what}`, signal);
    else if (running !== 'stop' && (await isVmRunning(cluster, discovery, one, signal))) {
      if (running === 'error') throw inUse(one);
      needVmKind(discovery, 'VirtualMachineSnapshot', cluster.context);
    }
    // It is described again when it is cloned, and its warnings are told then.
    const description = await describeVm(cluster, discovery, one, { reporter: { ...reporter, warn() {} }, signal });
    const sizes = roughSizes(description);
    const plan = await planClone(target, description, sizes, namespace, options);
    const name = targetName(one, description, options);
    const origin = `the ${what} of ${cluster.context}`;
    const files = description.volumes.filter(({ format }) => format === 'directory').map(({ pvc }) => pvc);
    const unsure = `The files of ${files.join(', ')} come as a tar without a length: if the source fails to read some, that may go unnoticed. \`export\` and \`import\` check them.`;
    return {
      clone: { source: one, what, name, namespace },
      machine: {
        kind: one.kind,
        name,
        namespace,
        origin,
        plan,
        volumes: volumesOf(plan),
        isBrought: options.broughtBy,
      },
      problems: plan.problems.map((problem) => `${what}: ${problem}`),
      notes: [...plan.notes, ...(files.length > 0 ? [unsure] : [])].map((note) => `${what}: ${note}`),
    };
  } catch (error) {
    if (signal.aborted || !(error instanceof TransshipError)) throw error;
    const clone = { source: one, what, name: options.name ?? one.name, namespace };
    return { clone, problems: [`${what}: ${[error.message, error.hint].filter(Boolean).join(' ')}`], notes: [] };
  }
}

/** The disks and folders of a result. */
export function volumesOf({ dataVolumes }: VmImportPlan): VmResult['volumes'] {
  return dataVolumes.map(({ source: claim, size, contentType }) => {
    return { claim, contents: contentType === 'kubevirt' ? 'disk' : 'files', size };
  });
}

/** What it is called at the target; a snapshot is of a machine with a name of its own. */
export function targetName(source: VmSource, { vm }: VmDescription, { name }: Pick<CloneOptions, 'name'>): string {
  return name ?? vm?.metadata.name ?? source.name;
}

/** Those that would get the same name at the target. */
function findClashes(clones: readonly PlannedClone[]): string[] {
  const groups = Map.groupBy(
    clones,
    ({ source, namespace, name }) => `${source.kind === 'pvc' ? 'claim' : 'VM'} ${namespace}/${name}`,
  );
  return [...groups].flatMap(([wanted, those]) =>
    those.length < 2
      ? []
      : [
          `${those.map(({ what }) => what).join(' and ')} would ${those.length === 2 ? 'both' : 'all'} become the ${wanted} at the target.`,
        ],
  );
}

function halfThere({ kind, metadata }: KubeObject): string {
  return `The ${kind} ${metadata.namespace}/${metadata.name} at the target is what an interrupted import has left: run that import again, which goes on with it, or delete it.`;
}
