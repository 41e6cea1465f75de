import pLimit from 'p-limit';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { Change, PlanProblem } from '../plan/plan.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import { type Arrivals, addArrival, addCount, DEFAULT_CLASS, noArrivals } from './arrivals.ts';
import type { PodUsage } from './pod-usage.ts';
import { type Amount, formatQuantity, parseQuantity } from './quantity.ts';
import type { AskOptions } from './rbac.ts';
import { unlessForbidden } from './target-classes.ts';

/** What comes new to each namespace, to be held against its ResourceQuotas. */
export interface Quotas {
  note(object: KubeObject, kind: ResourceKind, change: Change): void;
  /** So many objects of a core kind more. */
  noteCore(namespace: string, plural: string, count: number): void;
  findExceeded(options: QuotaOptions): Promise<PlanProblem[]>;
}

export interface QuotaOptions extends AskOptions {
  /** They have no quota. */
  readonly newNamespaces: ReadonlySet<string>;
  readonly defaultStorageClass: () => Promise<string | undefined>;
}

/** From so many namespaces on, the quotas of all are read at once where that is allowed. */
const MANY_NAMESPACES = 10;
const CLASS_SUFFIX = '.storageclass.storage.k8s.io/';

/** Starts with nothing. */
export function createQuotas(): Quotas {
  const namespaces = new Map<string, Arrivals>();
  const arrivalsIn = (namespace: string) => {
    const arrivals = namespaces.get(namespace) ?? noArrivals();
    namespaces.set(namespace, arrivals);
    return arrivals;
  };
  return {
    note(object, kind, change) {
      const { namespace } = object.metadata;
      if (change === 'create' && kind.namespaced && namespace !== undefined) {
        addArrival(arrivalsIn(namespace), object, kind);
      }
    },
    noteCore: (namespace, plural, count) => addCount(arrivalsIn(namespace), '', plural, count),
    async findExceeded(options) {
      const names = [...namespaces.keys()].filter((name) => !options.newNamespaces.has(name)).sort();
      const problems: PlanProblem[] = [];
      for (const quota of await readQuotas(names, options)) {
        const arrivals = namespaces.get(quota.metadata.namespace ?? '');
        if (arrivals === undefined) continue;
        const problem = await judge(quota, arrivals, options);
        if (problem !== undefined) problems.push(problem);
      }
      return problems;
    },
  };
}

async function readQuotas(namespaces: readonly string[], options: QuotaOptions): Promise<KubeObject[]> {
  const { cluster, concurrency, signal } = options;
  if (namespaces.length > MANY_NAMESPACES) {
    const wanted = new Set(namespaces);
    const all: KubeObject[] = [];
    const isRead = await unlessForbidden(async () => {
      for await (const quota of cluster.list('/api/v1/resourcequotas', { signal })) {
        if (wanted.has(quota.metadata.namespace ?? '')) all.push(quota);
      }
    });
    if (isRead) return all;
  }
  const limit = pLimit(Math.max(1, concurrency));
  const work = namespaces.map((namespace) => limit(() => readQuotasOf(namespace, cluster, signal)));
  await Promise.allSettled(work);
  return (await Promise.all(work)).flat();
}

async function readQuotasOf(
  namespace: string,
  cluster: Cluster,
  signal: AbortSignal | undefined,
): Promise<KubeObject[]> {
  const quotas: KubeObject[] = [];
  await unlessForbidden(async () => {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/resourcequotas`;
    for await (const quota of cluster.list(path, { signal })) quotas.push(quota);
  });
  return quotas;
}

async function judge(quota: KubeObject, arrivals: Arrivals, options: QuotaOptions): Promise<PlanProblem | undefined> {
  const spec = isMap(quota.spec) ? quota.spec : {};
  const status = isMap(quota.status) ? quota.status : {};
  const hard = isMap(status.hard) ? status.hard : isMap(spec.hard) ? spec.hard : {};
  const used = isMap(status.used) ? status.used : {};
  const scopes = scopesOf(spec);
  const pods = podsWithin([...arrivals.pods.values()], scopes);
  if (pods === undefined) return undefined;
  const names = Object.keys(hard).sort();
  const usesDefault = names.some((name) => name.includes(CLASS_SUFFIX));
  const defaultClass = usesDefault ? await options.defaultStorageClass() : undefined;

  const lines = names.flatMap((name) => {
    const most = parseQuantity(hard[name]);
    const needed = neededOf(name, arrivals, pods, { isScoped: scopes.length > 0, defaultClass });
    if (most === undefined || needed === 0n) return [];
    const left = most - (parseQuantity(used[name]) ?? 0n);
    if (needed <= left) return [];
    const tell = (amount: Amount) => formatQuantity(amount, /memory|storage$|hugepages/.test(name));
    return [`${name}: ${tell(needed)} needed, ${tell(left)} left of ${tell(most)}`];
  });
  if (lines.length === 0) return undefined;
  const { namespace, name } = quota.metadata;
  return {
    kind: 'quota',
    message: `ResourceQuota ${namespace}/${name} has less left than what comes new needs:\n${lines.join('\n')}`,
    hint: 'Raise the quota, free some of it, or leave something out with exclude.',
  };
}

function neededOf(
  name: string,
  { counts, ofTemplates, hasClaims }: Arrivals,
  pods: readonly PodUsage[],
  { isScoped, defaultClass }: { isScoped: boolean; defaultClass: string | undefined },
): Amount {
  let needed = pods.reduce((sum, { usage }) => sum + (usage.get(name) ?? 0n), 0n);
  if (isScoped) return needed;
  // Pods are counted with what they take; those of workloads are not among the objects.
  const isOfPods = name === 'pods' || name === 'count/pods';
  const ownNames = [name];
  if (defaultClass !== undefined && name.startsWith(`${defaultClass}${CLASS_SUFFIX}`)) {
    ownNames.push(`${DEFAULT_CLASS}${name.slice(defaultClass.length)}`);
  }
  for (const own of isOfPods ? [] : ownNames) {
    needed += counts.get(own) ?? 0n;
    // Where claims travel, those of StatefulSets are among them.
    if (!hasClaims) needed += ofTemplates.get(own) ?? 0n;
  }
  return needed;
}

interface Scope {
  readonly name: string;
  readonly operator: string;
  readonly values: readonly string[];
}

/** https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes */
function scopesOf({ scopes, scopeSelector }: Record<string, unknown>): Scope[] {
  const expressions = isMap(scopeSelector) ? mapsIn(scopeSelector.matchExpressions) : [];
  return [
    ...stringsIn(scopes).map((name) => ({ name, operator: 'Exists', values: [] })),
    ...expressions.map(({ scopeName, operator, values }) => ({
      ...{ name: String(scopeName), operator: String(operator) },
      values: stringsIn(values),
    })),
  ];
}

/** Those that all scopes hold for; undefined where that can't be told. */
function podsWithin(pods: readonly PodUsage[], scopes: readonly Scope[]): PodUsage[] | undefined {
  const within: PodUsage[] = [];
  for (const pod of pods) {
    const answers = scopes.map((scope) => isWithin(pod, scope));
    if (answers.includes(false)) continue;
    if (answers.includes(undefined)) return undefined;
    within.push(pod);
  }
  return within;
}

function isWithin(pod: PodUsage, { name, operator, values }: Scope): boolean | undefined {
  switch (name) {
    case 'Terminating':
      return pod.isTerminating;
    case 'NotTerminating':
      return !pod.isTerminating;
    case 'BestEffort':
      return pod.isBestEffort;
    case 'NotBestEffort':
      return !pod.isBestEffort;
    case 'PriorityClass':
      return isOfClass(pod.priorityClass, operator, values);
    default:
      return undefined;
  }
}

/** A Pod that names none may be given one. */
function isOfClass(name: string | undefined, operator: string, values: readonly string[]): boolean | undefined {
  if (name === undefined) return undefined;
  if (operator === 'In') return values.includes(name);
  if (operator === 'NotIn') return !values.includes(name);
  return operator === 'Exists' ? true : operator === 'DoesNotExist' ? false : undefined;
}
