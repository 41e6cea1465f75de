import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { isMap, mapsIn } from '../values.ts';
import { claimClass } from './classes.ts';
import { type PodUsage, type Usage, usageOfPod } from './pod-usage.ts';
import { type Amount, amountOf, parseQuantity } from './quantity.ts';

/** What comes new to one namespace, by the names that a ResourceQuota uses. */
export interface Arrivals {
  readonly counts: Usage;
  /** Pods and what they take, apart where scopes tell them apart. */
  readonly pods: Map<string, PodUsage>;
  /** Of claims that StatefulSets will make, unless they travel themselves. */
  readonly ofTemplates: Usage;
  hasClaims: boolean;
}

/** In the place of a StorageClass's name: the default one, whichever that is. */
export const DEFAULT_CLASS = '(default)';

const SHORT_NAMES = new Set([
  ...['pods', 'services', 'replicationcontrollers', 'resourcequotas', 'secrets', 'configmaps'],
  'persistentvolumeclaims',
]);

/** Nothing yet. */
export function noArrivals(): Arrivals {
  return { counts: new Map(), pods: new Map(), ofTemplates: new Map(), hasClaims: false };
}

/** Adds one object that comes new, and what its controller will make of it. */
export function addArrival(to: Arrivals, object: KubeObject, { group, plural }: ResourceKind): void {
  const spec = isMap(object.spec) ? object.spec : {};
  const key = `${plural}.${group}`;
  addCount(to, group, plural, 1);
  if (key === 'pods.') addPods(to, spec, 1);
  else if (key === 'services.') addService(to, spec);
  else if (key === 'persistentvolumeclaims.') {
    to.hasClaims = true;
    addClaim(to.counts, claimClass(object.metadata.annotations ?? {}, spec), spec, 1);
  } else addWorkload(to, key, spec);
}

/** Adds so many objects of a kind. */
export function addCount({ counts }: Arrivals, group: string, plural: string, count: number): void {
  add(counts, `count/${plural}${group === '' ? '' : `.${group}`}`, amountOf(count));
  if (group === '' && SHORT_NAMES.has(plural)) add(counts, plural, amountOf(count));
}

function addWorkload(to: Arrivals, key: string, spec: Record<string, unknown>): void {
  const pods = podsOf(key, spec);
  if (pods === 0 || !isMap(spec.template) || !isMap(spec.template.spec)) return;
  addPods(to, spec.template.spec, pods);
  if (key === 'deployments.apps') addCount(to, 'apps', 'replicasets', 1);
  if (key !== 'statefulsets.apps') return;
  for (const { spec: claim } of mapsIn(spec.volumeClaimTemplates)) {
    if (!isMap(claim)) continue;
    for (const name of ['persistentvolumeclaims', 'count/persistentvolumeclaims']) {
      add(to.ofTemplates, name, amountOf(pods));
    }
    addClaim(to.ofTemplates, claimClass({}, claim), claim, pods);
  }
}

/** How many Pods a workload has at once; none where that depends on the cluster or the time of day. */
function podsOf(key: string, spec: Record<string, unknown>): number {
  switch (key) {
    case 'deployments.apps':
    case 'replicasets.apps':
    case 'statefulsets.apps':
    case 'replicationcontrollers.':
      return numberOr(spec.replicas, 1);
    case 'jobs.batch':
      if (spec.suspend === true) return 0;
      return Math.min(numberOr(spec.parallelism, 1), numberOr(spec.completions, Number.POSITIVE_INFINITY));
    default:
      return 0;
  }
}

function addPods({ pods }: Arrivals, spec: Record<string, unknown>, count: number): void {
  const pod = usageOfPod(spec);
  const key = [pod.isTerminating, pod.isBestEffort, pod.priorityClass ?? ''].join('/');
  const sum = pods.get(key) ?? { ...pod, usage: new Map() };
  pods.set(key, sum);
  for (const name of ['pods', 'count/pods']) add(sum.usage, name, amountOf(count));
  for (const [name, amount] of pod.usage) add(sum.usage, name, amount * BigInt(count));
}

/** https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/quota/v1/evaluator/core/services.go */
function addService(
  { counts }: Arrivals,
  { type, ports, allocateLoadBalancerNodePorts }: Record<string, unknown>,
): void {
  if (type === 'LoadBalancer') add(counts, 'services.loadbalancers', amountOf(1));
  if (type !== 'LoadBalancer' && type !== 'NodePort') return;
  const isExplicit = type === 'LoadBalancer' && allocateLoadBalancerNodePorts === false;
  const counted = mapsIn(ports).filter(({ nodePort }) => !isExplicit || numberOr(nodePort, 0) > 0);
  add(counts, 'services.nodeports', amountOf(counted.length));
}

function addClaim(to: Usage, named: string | undefined, spec: Record<string, unknown>, count: number): void {
  const resources = isMap(spec.resources) ? spec.resources : {};
  const requests = isMap(resources.requests) ? resources.requests : {};
  const storage = (parseQuantity(requests.storage) ?? 0n) * BigInt(count);
  add(to, 'requests.storage', storage);
  if (named === '') return;
  const prefix = `${named ?? DEFAULT_CLASS}.storageclass.storage.k8s.io`;
  add(to, `${prefix}/requests.storage`, storage);
  add(to, `${prefix}/persistentvolumeclaims`, amountOf(count));
}

function add(usage: Usage, name: string, amount: Amount): void {
  if (amount > 0n) usage.set(name, (usage.get(name) ?? 0n) + amount);
}

function numberOr(value: unknown, other: number): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : other;
}
