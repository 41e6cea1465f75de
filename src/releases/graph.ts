import type { ReleaseFacts } from './release-facts.ts';
import { concerns } from './webhooks.ts';

/** A release to install. */
export interface GraphRelease {
  /** Tells it from all others. */
  readonly key: string;
  /** How people call it, such as `shop/web`. */
  readonly title: string;
  /** RFC 3339, as Helm stored it. */
  readonly firstDeployed: string | undefined;
  readonly facts: ReleaseFacts;
}

/** One release that has to wait for another. */
export interface Edge {
  readonly waiter: string;
  readonly provider: string;
  /** What it waits for, such as `CRD widgets.example.com`. */
  readonly what: string;
  /** Whether the provider has to be up, and not only installed: what it serves is asked for what the waiter creates. */
  readonly needsReady: boolean;
  /** For a person: `shop/web waits for infra/operator: CRD widgets.example.com`. */
  readonly reason: string;
}

/** In which order releases can be installed. */
export interface Graph {
  /** Every release's key, first deployed first. */
  readonly order: readonly string[];
  /** At most one for two releases; without cycles. */
  readonly edges: readonly Edge[];
  /** Edges left out because they closed a cycle: there the release that was first deployed goes first. */
  readonly dropped: readonly Edge[];
}

/**
 * Finds which releases have to wait for which: for one that brings a CRD, a namespace, a class, a webhook or an API
 * service that they use. What a release brings itself, it doesn't wait for. Pure; the same releases in any order give
 * the same graph.
 */
export function buildGraph(releases: readonly GraphRelease[]): Graph {
  const sorted = releases.toSorted(byFirstDeployment);
  const rank = new Map(sorted.map(({ key }, index) => [key, index]));
  const all = sorted.flatMap((waiter) => sorted.flatMap((provider) => edgeBetween(waiter, provider)));
  const component = findCycles(
    sorted.map(({ key }) => key),
    all,
  );
  const closesCycle = ({ waiter, provider }: Edge) =>
    component.get(waiter) === component.get(provider) && (rank.get(waiter) ?? 0) < (rank.get(provider) ?? 0);
  return {
    order: sorted.map(({ key }) => key),
    edges: all.filter((edge) => !closesCycle(edge)),
    dropped: all.filter(closesCycle),
  };
}

function byFirstDeployment(a: GraphRelease, b: GraphRelease): number {
  const byTime = timeOf(a) - timeOf(b);
  if (byTime !== 0) return byTime;
  return a.key < b.key ? -1 : 1;
}

function timeOf({ firstDeployed }: GraphRelease): number {
  const time = Date.parse(firstDeployed ?? '');
  return Number.isNaN(time) ? 0 : time;
}

function edgeBetween(waiter: GraphRelease, provider: GraphRelease): Edge[] {
  if (waiter === provider) return [];
  const what = whatItWaitsFor(waiter.facts, provider.facts);
  if (what === undefined) return [];
  const reason = `${waiter.title} waits for ${provider.title}: ${what}`;
  const needsReady = /^(?:CRD|APIService|webhook) /.test(what);
  return [{ waiter: waiter.key, provider: provider.key, what, needsReady, reason }];
}

/** The first thing that the one brings and the other uses without bringing it. */
function whatItWaitsFor(uses: ReleaseFacts, brings: ReleaseFacts): string | undefined {
  for (const [kind, crd] of brings.crds) {
    if (uses.usedKinds.has(kind) && !uses.crds.has(kind)) return `CRD ${crd}`;
  }
  for (const [api, name] of brings.apis) {
    if (uses.usedApis.has(api) && !uses.apis.has(api)) return `APIService ${name}`;
  }
  for (const namespace of brings.namespaces) {
    if (uses.usedNamespaces.has(namespace) && !uses.namespaces.has(namespace)) return `Namespace ${namespace}`;
  }
  for (const name of brings.classes) {
    if (uses.usedClasses.has(name) && !uses.classes.has(name)) return name.replace('/', ' ');
  }
  for (const webhook of brings.webhooks) {
    for (const [kind, namespaces] of uses.usedKinds) {
      if (concerns(webhook, kind) && [...namespaces].some(webhook.covers)) {
        return `webhook ${webhook.name} for ${kind.slice(kind.indexOf('/') + 1)}`;
      }
    }
  }
  return undefined;
}

/**
 * Which releases are in a cycle together: Tarjan's strongly connected components, without recursion so that a long
 * chain can't exhaust the stack.
 *
 * @returns a number for each key, the same for those that wait for each other
 */
function findCycles(keys: readonly string[], edges: readonly Edge[]): Map<string, number> {
  const next = new Map<string, string[]>(keys.map((key) => [key, []]));
  for (const { waiter, provider } of edges) next.get(waiter)?.push(provider);
  const found = new Map<string, number>();
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  for (const root of keys) {
    const path: { key: string; rest: string[] }[] = [];
    const enter = (key: string) => {
      index.set(key, index.size);
      low.set(key, index.size - 1);
      stack.push(key);
      path.push({ key, rest: [...(next.get(key) ?? [])] });
    };
    if (!index.has(root)) enter(root);
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const { key, rest } = at;
      const child = rest.shift();
      if (child !== undefined) {
        if (!index.has(child)) enter(child);
        else if (!found.has(child)) low.set(key, Math.min(low.get(key) ?? 0, index.get(child) ?? 0));
        continue;
      }
      path.pop();
      const parent = path.at(-1)?.key;
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent) ?? 0, low.get(key) ?? 0));
      if (low.get(key) !== index.get(key)) continue;
      const number = index.get(key) ?? 0;
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        found.set(member, number);
        if (member === key) break;
      }
    }
  }
  return found;
}
