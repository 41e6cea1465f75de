import { TransshipError } from '../errors.ts';
import type { PlannedObject, PlanProblem } from '../plan/plan.ts';
import type { States } from '../plan/states.ts';
import { formatSize } from '../report/format.ts';
import type { VmResult } from '../report/results.ts';
import { bindSeen, objectKey } from './plan-states.ts';
import type { VmImportPlan } from './plan-vm-import.ts';
import type { PlannedVolume } from './plan-volumes.ts';
import { mapIn, textIn } from './vm-references.ts';

/** A machine, or a claim alone, as it would come to the target. */
export interface PlannedVm {
  readonly kind: VmResult['kind'];
  /** At the target. */
  readonly namespace: string;
  readonly name: string;
  /** Where it comes from, for messages. */
  readonly origin: string;
  readonly plan: VmImportPlan;
  readonly volumes: VmResult['volumes'];
  /** Bytes of its archive as stored. */
  readonly size?: number | undefined;
  readonly isBrought?: ((key: string) => boolean) | undefined;
}

/** All that would come. */
export interface VmPlans {
  readonly machines: readonly PlannedVm[];
  /** That must be made. */
  readonly namespaces: readonly string[];
  /** What stands in the way, of all machines, as whole sentences; an import with any must not begin. */
  readonly problems: readonly string[];
}

/** @throws TransshipError `RESOURCE_EXISTS` where names that are taken are all that is wrong, else `IMPORT_FAILED`: naming all problems */
export function refuseProblems({ machines, problems }: VmPlans): void {
  const [first] = problems;
  if (first === undefined) return;
  const taken = machines.filter(({ plan }) => plan.isTaken).length;
  const list = problems.length === 1 ? ` ${first}` : `\n${problems.map((problem) => `- ${problem}`).join('\n')}`;
  throw new TransshipError(
    taken === problems.length ? 'RESOURCE_EXISTS' : 'IMPORT_FAILED',
    `The virtual machines can't be imported, and nothing was changed:${list}`,
  );
}

/**
 * What an import would make of virtual machines, for a plan.
 *
 * @param states - gets all that the plan depends on at the target
 */
export async function planVms(
  { machines, namespaces, problems }: VmPlans,
  states?: States,
): Promise<{ objects: PlannedObject[]; problems: PlanProblem[] }> {
  const objects = new Map<string, PlannedObject>();
  const add = (group: string, object: PlannedObject, isBrought?: (key: string) => boolean) => {
    const key = objectKey({ group, ...object });
    if (isBrought?.(key) !== true && !objects.has(key)) objects.set(key, object);
  };
  for (const name of namespaces) {
    const isBrought = machines.find(({ namespace }) => namespace === name)?.isBrought;
    add('', { apiVersion: 'v1', kind: 'Namespace', name, change: 'create' }, isBrought);
  }
  for (const machine of machines) {
    const { plan, isBrought } = machine;
    bindSeen(states, plan.seen);
    for (const { apiVersion, kind, metadata } of plan.objects) {
      // Its name is made up, and says nothing.
      if (kind === 'ControllerRevision') continue;
      const { name, namespace } = metadata;
      add(groupOf(apiVersion), { apiVersion, kind, namespace, name, change: 'create' }, isBrought);
    }
    const made = plan.vm ?? plan.dataVolumes[0]?.dataVolume;
    if (made === undefined) continue;
    const { namespace, name } = machine;
    const message = describe(machine);
    add(groupOf(made.apiVersion), {
      apiVersion: made.apiVersion,
      kind: made.kind,
      namespace,
      name,
      change: 'create',
      message,
    });
  }
  return {
    objects: [...objects.values()],
    problems: problems.map((message) => ({ kind: 'other', message })),
  };
}

/** Such as `root: 10 GiB on fast; data: 512 MiB of files on the default storage class; runs when imported (Always)`. */
function describe({ plan, volumes }: PlannedVm): string {
  const parts = plan.dataVolumes.map((volume) => describeVolume(volume, volumes));
  const strategy = plan.runStrategy;
  if (strategy !== undefined) parts.push(strategy === 'Halted' ? 'stays off' : `run strategy ${strategy}`);
  return `${parts.join('; ')}.`;
}

function describeVolume({ source, size, dataVolume }: PlannedVolume, volumes: VmResult['volumes']): string {
  const found = volumes.find(({ claim }) => claim === source);
  const storage = mapIn(dataVolume.spec, 'storage');
  const storageClass = textIn(storage, 'storageClassName') ?? 'the default storage class';
  const mode = storage.volumeMode === 'Block' ? ' (Block)' : '';
  const what = found?.contents === 'files' ? ' for files' : '';
  return `${source}: ${formatSize(size)}${what} on ${storageClass}${mode}`;
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}
