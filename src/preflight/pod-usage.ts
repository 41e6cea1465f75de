import { isMap, mapsIn } from '../values.ts';
import { type Amount, parseQuantity } from './quantity.ts';

/** Amounts by the names of a ResourceQuota: `requests.cpu`, `limits.memory`. */
export type Usage = Map<string, Amount>;

/** What a Pod takes of a quota, and what tells which quotas it counts for. */
export interface PodUsage {
  readonly usage: Usage;
  /** It has an end: `activeDeadlineSeconds`. */
  readonly isTerminating: boolean;
  /** It asks for nothing. */
  readonly isBestEffort: boolean;
  readonly priorityClass: string | undefined;
}

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];

/**
 * What the quota controller will count for a Pod: https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/quota/v1/evaluator/core/pods.go
 *
 * @param spec - of a Pod or a Pod template
 */
export function usageOfPod(spec: Readonly<Record<string, unknown>>): PodUsage {
  const requests = podTotal(spec, 'requests');
  const limits = podTotal(spec, 'limits');
  const usage: Usage = new Map();
  for (const [name, amount] of requests) {
    if (COMPUTE.includes(name) || name.startsWith('hugepages-')) usage.set(name, amount);
    usage.set(`requests.${name}`, amount);
  }
  for (const name of COMPUTE) {
    const limit = limits.get(name);
    if (limit !== undefined) usage.set(`limits.${name}`, limit);
  }
  const { priorityClassName } = spec;
  return {
    usage,
    isTerminating: typeof spec.activeDeadlineSeconds === 'number',
    isBestEffort: ![...requests, ...limits].some(([name, amount]) => amount > 0n && ['cpu', 'memory'].includes(name)),
    priorityClass: typeof priorityClassName === 'string' && priorityClassName !== '' ? priorityClassName : undefined,
  };
}

/**
 * Containers run at once with the init containers that stay; the others run before, one at a time, beside those that have
 * stayed so far. The Pod's own figures, where it has any, count instead.
 */
function podTotal(spec: Readonly<Record<string, unknown>>, which: 'requests' | 'limits'): Usage {
  const total = mapsIn(spec.containers).reduce<Usage>(
    (sum, container) => add(sum, amountsIn(container, which)),
    new Map(),
  );
  let staying: Usage = new Map();
  let before: Usage = new Map();
  for (const container of mapsIn(spec.initContainers)) {
    const amounts = amountsIn(container, which);
    if (container.restartPolicy === 'Always') staying = add(staying, amounts);
    before = atLeast(before, container.restartPolicy === 'Always' ? staying : add(staying, amounts));
  }
  const whole = atLeast(atLeast(add(total, staying), before), new Map());
  for (const [name, amount] of amountsIn(spec, which)) {
    if (name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')) whole.set(name, amount);
  }
  for (const [name, amount] of quantitiesIn(spec.overhead)) {
    // A limit that is not set stays so.
    if (which === 'requests' || whole.has(name)) whole.set(name, (whole.get(name) ?? 0n) + amount);
  }
  return whole;
}

/** A limit without a request is the request too. */
function amountsIn(holder: Readonly<Record<string, unknown>>, which: 'requests' | 'limits'): Usage {
  const resources = isMap(holder.resources) ? holder.resources : {};
  const limits = quantitiesIn(resources.limits);
  return which === 'limits' ? limits : new Map([...limits, ...quantitiesIn(resources.requests)]);
}

function quantitiesIn(list: unknown): Usage {
  const amounts: Usage = new Map();
  for (const [name, value] of Object.entries(isMap(list) ? list : {})) {
    const amount = parseQuantity(value);
    if (amount !== undefined) amounts.set(name, amount);
  }
  return amounts;
}

function add(a: Usage, b: Usage): Usage {
  const sum = new Map(a);
  for (const [name, amount] of b) sum.set(name, (sum.get(name) ?? 0n) + amount);
  return sum;
}

function atLeast(a: Usage, b: Usage): Usage {
  const most = new Map(a);
  for (const [name, amount] of b) if (amount > (most.get(name) ?? 0n)) most.set(name, amount);
  return most;
}
