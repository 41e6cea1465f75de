import { createHash } from 'node:crypto';
import type { KubeObject, OwnerReference } from '../../src/cluster/cluster.ts';
import { isMap, mapsIn } from '../../src/values.ts';
import type { ExportApi } from './crds.ts';

/** Where the collections of a kind are. */
export const PATHS = {
  machines: '/apis/kubevirt.io/v1/virtualmachines',
  instances: '/apis/kubevirt.io/v1/virtualmachineinstances',
  snapshots: '/apis/snapshot.kubevirt.io/v1beta1/virtualmachinesnapshots',
  contents: '/apis/snapshot.kubevirt.io/v1beta1/virtualmachinesnapshotcontents',
  dataVolumes: '/apis/cdi.kubevirt.io/v1beta1/datavolumes',
  cdiConfigs: '/apis/cdi.kubevirt.io/v1beta1/cdiconfigs',
  claims: '/api/v1/persistentvolumeclaims',
  pods: '/api/v1/pods',
  services: '/api/v1/services',
  secrets: '/api/v1/secrets',
} as const;

/** The version in which the controllers write exports. */
export const EXPORT_VERSION: Readonly<Record<ExportApi, string>> = { '1.9': 'v1', '1.3': 'v1beta1', '1.0': 'v1alpha1' };

export const ANNOTATIONS = {
  contentType: 'cdi.kubevirt.io/storage.contentType',
  uploadTarget: 'cdi.kubevirt.io/storage.upload.target',
  podPhase: 'cdi.kubevirt.io/storage.pod.phase',
  podReady: 'cdi.kubevirt.io/storage.pod.ready',
  podRestarts: 'cdi.kubevirt.io/storage.pod.restarts',
  bindNow: 'cdi.kubevirt.io/storage.bind.immediate.requested',
  usePopulator: 'cdi.kubevirt.io/storage.usePopulator',
  createdFor: 'cdi.kubevirt.io/createdForDataVolume',
  importEndpoint: 'cdi.kubevirt.io/storage.import.endpoint',
  /** What the test bed's kubelet makes of a pod: `pending` keeps it from starting. */
  outcome: 'test.transship.dev/outcome',
} as const;

/** The path of an object, or of a part of it, in a collection of all namespaces. */
export function pathIn(collection: string, namespace: string, name = '', part = ''): string {
  const cut = collection.lastIndexOf('/');
  const place = `${collection.slice(0, cut)}/namespaces/${namespace}${collection.slice(cut)}`;
  return place + (name === '' ? '' : `/${name}`) + (part === '' ? '' : `/${part}`);
}

/** A field deep in an object. */
export function field(object: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, step) => (isMap(value) ? value[step] : undefined), object);
}

/** A text deep in an object; undefined for anything else. */
export function text(object: unknown, ...path: readonly string[]): string | undefined {
  const value = field(object, ...path);
  return typeof value === 'string' ? value : undefined;
}

/** The maps of a list deep in an object. */
export function maps(object: unknown, ...path: readonly string[]): Record<string, unknown>[] {
  return mapsIn(field(object, ...path));
}

export function namespaceOf({ metadata }: KubeObject): string {
  return metadata.namespace ?? 'default';
}

export function annotation({ metadata }: KubeObject, name: string): string | undefined {
  return metadata.annotations?.[name];
}

export function ownedBy(owner: KubeObject): { ownerReferences: OwnerReference[] } {
  const { apiVersion, kind } = owner;
  const { name, uid = '' } = owner.metadata;
  return { ownerReferences: [{ apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true }] };
}

export function isOwnedBy({ metadata }: KubeObject, owner: KubeObject): boolean {
  return (metadata.ownerReferences ?? []).some(({ uid }) => uid === owner.metadata.uid);
}

/** `<prefix>-<name>`, shortened with a hash where that is no name of a Service. */
export function nameFor(prefix: string, name: string): string {
  const whole = `${prefix}-${name.replaceAll('.', '-')}`;
  if (whole.length <= 63) return whole;
  return `${whole.slice(0, 54)}-${createHash('sha256').update(whole).digest('hex').slice(0, 8)}`;
}

/** A condition as status fields have it. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message?: string;
}

/** Replaces the condition of that type, with a new time if it says something else than before. */
export function withCondition(
  conditions: readonly Record<string, unknown>[],
  condition: Condition,
): Record<string, unknown>[] {
  const { message = '' } = condition;
  const said = conditions.find((one) => one.type === condition.type);
  const isSame =
    said?.status === condition.status && said.reason === condition.reason && (said.message ?? '') === message;
  if (said !== undefined && isSame) return [...conditions];
  const { type, status, reason } = condition;
  const next = {
    ...{ type, status, reason },
    ...(message === '' ? {} : { message }),
    lastProbeTime: null,
    lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ''),
  };
  return said === undefined ? [...conditions, next] : conditions.map((one) => (one === said ? next : one));
}

/** A quantity of bytes such as `10Gi`, in bytes. */
export function bytesOfQuantity(quantity: unknown): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]i?|k)?$/.exec(String(quantity)) ?? [];
  if (number === undefined) throw new Error(`${String(quantity)} is no quantity of bytes`);
  const power = ['', 'K', 'M', 'G', 'T'].indexOf(unit.replace('i', '').toUpperCase());
  return Number(number) * (unit.endsWith('i') ? 1024 : 1000) ** power;
}

/** A Go duration such as `2h30m0s`, in milliseconds. */
export function millisecondsOfDuration(duration: string): number {
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (units[unit ?? ''] ?? 0), 0);
}

/** RFC 3339 without fractions, as Kubernetes writes times. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+/, '');
}

/** Whether two JSON values say the same; fields that are undefined do not count. */
export function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(sorted(left)) === JSON.stringify(sorted(right));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, one]) => [name, sorted(one)]),
  );
}
