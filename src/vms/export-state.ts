import type { KubeObject } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { isMap, mapsIn } from '../values.ts';

/** What is exported: a VM that is off, a VirtualMachineSnapshot, or a claim that nothing uses. */
export interface VmSource {
  readonly kind: 'vm' | 'snapshot' | 'pvc';
  readonly namespace: string;
  readonly name: string;
}

/** Why an export can't become ready as things are. */
export interface Obstacle {
  readonly reason: string;
  /** Milliseconds it may last before it is final: caches of KubeVirt lag, and what is being stopped takes a while to be gone. */
  readonly grace: number;
  readonly error: TransshipError;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** When it became so. */
  readonly since: string;
}

const NAMES = { vm: 'VM', snapshot: 'VM snapshot', pvc: 'claim' } as const;
const LAG = 10_000;
const STOPPING = 30_000;

/** A source as messages name it: `VM shop/web`. */
export function nameSource({ kind, namespace, name }: VmSource): string {
  return `${NAMES[kind]} ${namespace}/${name}`;
}

/** The phase and all conditions of an object's status, on one line. */
export function describeStatus({ status }: KubeObject): string {
  const phase = isMap(status) && typeof status.phase === 'string' ? status.phase : 'not seen by KubeVirt yet';
  const told = conditionsOf(status).map(
    ({ type, status, reason, message }) =>
      `${type} ${status}${reason === '' ? '' : ` (${[reason, message].filter((text) => text !== '').join(': ')})`}`,
  );
  return [phase, ...told].join(', ');
}

/** What stands in the way of an export that is not ready, if it is known not to go away by itself. */
export function findObstacle(exported: KubeObject, source: VmSource): Obstacle | undefined {
  const { status } = exported;
  const conditions = conditionsOf(status);
  // Before KubeVirt 0.59 they began with a small letter.
  const of = (...reasons: string[]) =>
    conditions.find(({ status, reason }) => status !== 'True' && reasons.includes(reason.toLowerCase()));
  const what = nameSource(source);

  const missing = of('vmnotfound', 'vmsnapshotnotfound', 'pvcnotfound');
  if (missing !== undefined) return obstacle(missing, LAG, notFound(source));
  const busy = conditions.find(({ status, reason }) => status !== 'True' && /^inuse/i.test(reason));
  if (busy !== undefined) return obstacle(busy, STOPPING, inUse(source, busy.message));
  const phase = isMap(status) ? status.phase : undefined;
  if (phase === 'Skipped') {
    const [why] = conditions.filter((condition) => condition.status !== 'True');
    const error = new TransshipError(
      'CLUSTER',
      `The ${what} has no volumes that can be exported${why === undefined ? '' : ` (${why.reason}${why.message && `: ${why.message}`})`}.`,
      {
        hint: 'Only claims, DataVolumes and memory dumps have disks to export. Leave it out with `exclude`.',
      },
    );
    return { reason: 'Skipped', grace: 0, error };
  }
  if (phase === 'Terminated') {
    const error = new TransshipError('CLUSTER', `The export of the ${what} has ended (${describeStatus(exported)}).`, {
      hint: 'Its server stops at the end of the TTL or when its certificate rotates. Run again, with a longer TTL.',
    });
    // The server also ends to rotate its certificate; KubeVirt then starts another.
    return { reason: 'Terminated', grace: STOPPING, error };
  }
  return undefined;
}

function obstacle({ reason }: Condition, grace: number, error: TransshipError): Obstacle {
  return { reason, grace, error };
}

export function notFound(source: VmSource): TransshipError {
  const plural = { vm: 'vm', snapshot: 'vmsnapshot', pvc: 'pvc' }[source.kind];
  return new TransshipError('CLUSTER', `There is no ${nameSource(source)}.`, {
    hint: `\`kubectl get ${plural} -n ${source.namespace}\` shows what there is.`,
  });
}

/** @param said - KubeVirt's own words, if any */
export function inUse(source: VmSource, said = ''): TransshipError {
  const more = said === '' ? '' : ` (${said})`;
  if (source.kind === 'pvc') {
    return new TransshipError('CLUSTER', `The ${nameSource(source)} is in use${more}; it can't be exported so.`, {
      hint: 'Stop what uses it, or export the VM it belongs to with `running-vms: snapshot` or `running-vms: stop`.',
    });
  }
  return new TransshipError(
    'CLUSTER',
    `The ${nameSource(source)} is running${more}; only one that is off can be read.`,
    {
      hint: 'Set `running-vms: snapshot` to export a snapshot of it, or `running-vms: stop` to stop it for the time of the export.',
    },
  );
}

/** While an export was open its source may have been written: what was read before and after does not go together. */
export function usedMeanwhile(source: VmSource): TransshipError {
  const how = source.kind === 'vm' ? 'started' : 'in use';
  return new TransshipError(
    'CLUSTER',
    `The ${nameSource(source)} was ${how} while it was exported: what it holds may have changed.`,
    {
      hint:
        source.kind === 'vm'
          ? 'Keep it off until the export is done, or set `running-vms: snapshot`.'
          : 'Keep all that uses it stopped until the export is done.',
    },
  );
}

/** What to look at when an export does not become ready in time. */
export function hintFor(exported: KubeObject): string {
  const { namespace = '', name } = exported.metadata;
  const open = conditionsOf(exported.status).find(({ status }) => status !== 'True');
  switch (open?.reason.toLowerCase()) {
    case 'podpending':
      return `Its server does not start: \`kubectl describe pod -n ${namespace} -l kubevirt.io.virt-export-service=${name}\` says why.`;
    case 'volumesnotpopulated':
    case 'pvcpending':
      return `A volume is not filled yet: \`kubectl get datavolume,pvc -n ${namespace}\` shows which.`;
    case 'notallpvcscreated':
    case 'notallpvcsready':
      return `A claim made of the snapshot is not bound: \`kubectl get pvc -n ${namespace}\` shows which.`;
    default:
      return 'Is virt-controller running? A longer `timeout` gives it more time.';
  }
}

/** KubeVirt's conditions in a status, of any of its kinds. */
export function conditionsOf(status: unknown): Condition[] {
  return mapsIn(isMap(status) ? status.conditions : undefined).map(({ lastTransitionTime, ...one }) => ({
    type: textOf(one.type),
    status: textOf(one.status),
    reason: textOf(one.reason),
    message: textOf(one.message),
    since: textOf(lastTransitionTime),
  }));
}

/** Since when an export is ready without a break; undefined when it is not. */
export function readySince({ status }: KubeObject): string | undefined {
  const ready = conditionsOf(status).find(({ type, status: is }) => type === 'Ready' && is === 'True');
  return isMap(status) && status.phase === 'Ready' && ready?.since !== '' ? ready?.since : undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
