import { type Cluster, ClusterError } from './cluster.ts';

/** A kind of object the API server serves, in one version. */
export interface ResourceKind {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** `group/version`, or `version` for the core group. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  /** Every version it is served in, the server's preferred one first. */
  readonly versions: readonly string[];
}

/** What a cluster serves. */
export interface Discovery {
  /** Each kind once, in its preferred version, in the server's order of groups (core first). */
  readonly kinds: readonly ResourceKind[];
  /** `group/version` of what an extension server should serve but does not answer for: its kinds may be missing. */
  readonly stale: readonly string[];
  /** The kind in just this version. */
  findKind(apiVersion: string, kind: string): ResourceKind | undefined;
  /** By plural, singular or short name or kind, in any case, optionally with the group: `deploy`, `roles.rbac.authorization.k8s.io`. */
  findByName(name: string): ResourceKind | undefined;
}

interface Root extends LegacyRoot {
  readonly kind: string;
  readonly items?: readonly AggregatedGroup[];
}
interface AggregatedGroup {
  readonly metadata?: { readonly name?: string };
  readonly versions?: readonly {
    readonly version: string;
    readonly freshness?: string;
    readonly resources?: readonly {
      readonly resource: string;
      readonly responseKind?: { readonly kind?: string } | null;
      readonly scope: string;
      readonly singularResource?: string;
      readonly shortNames?: readonly string[];
      readonly verbs?: readonly string[];
    }[];
  }[];
}

/** One group in its order of versions; both ways of discovery come down to this. */
interface Group {
  readonly name: string;
  readonly versions: readonly { readonly version: string; readonly stale: boolean; readonly resources: Served[] }[];
}
type Served = Pick<ResourceKind, 'kind' | 'plural' | 'singular' | 'shortNames' | 'namespaced' | 'verbs'>;

const AGGREGATED = ['v2', 'v2beta1']
  .map((version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`)
  .concat('application/json')
  .join(',');

/**
 * Asks what the cluster serves, in two requests where the server can (Kubernetes 1.26 and newer).
 *
 * @throws ClusterError
 */
export async function discover(cluster: Cluster, signal?: AbortSignal): Promise<Discovery> {
  const groups = await Promise.all(
    ['/api', '/apis'].map(async (path) => {
      const answer = await cluster.json<Root>({ method: 'GET', path, accept: AGGREGATED, signal });
      return answer.kind === 'APIGroupDiscoveryList'
        ? (answer.items ?? []).map(readAggregated)
        : readLegacy(cluster, path, answer, signal);
    }),
  );
  return indexGroups(groups.flat());
}

function readAggregated(group: AggregatedGroup): Group {
  return {
    name: group.metadata?.name ?? '',
    versions: (group.versions ?? []).map(({ version, freshness, resources = [] }) => ({
      version,
      stale: freshness === 'Stale',
      resources: resources
        .filter((resource) => resource.responseKind?.kind)
        .map((resource) => ({
          kind: resource.responseKind?.kind ?? '',
          plural: resource.resource,
          singular: resource.singularResource ?? '',
          shortNames: resource.shortNames ?? [],
          namespaced: resource.scope === 'Namespaced',
          verbs: resource.verbs ?? [],
        })),
    })),
  };
}

interface LegacyRoot {
  readonly versions?: readonly string[];
  readonly groups?: readonly {
    readonly name: string;
    readonly versions: readonly { readonly version: string }[];
    readonly preferredVersion?: { readonly version: string };
  }[];
}
interface LegacyResources {
  readonly resources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly singularName?: string;
    readonly shortNames?: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

/** One request a group and version, as servers before 1.26 and some proxies in front of newer ones need. */
async function readLegacy(cluster: Cluster, path: string, root: LegacyRoot, signal?: AbortSignal): Promise<Group[]> {
  const groups =
    path === '/api'
      ? [{ name: '', versions: root.versions ?? [] }]
      : (root.groups ?? []).map((group) => {
          const preferred = group.preferredVersion?.version;
          const versions = group.versions.map(({ version }) => version);
          return {
            name: group.name,
            versions: preferred === undefined ? versions : [...new Set([preferred, ...versions])],
          };
        });
  return Promise.all(
    groups.map(async ({ name, versions }) => ({
      name,
      versions: await Promise.all(
        versions.map(async (version) => {
          const at = name === '' ? `${path}/${version}` : `${path}/${name}/${version}`;
          const resources = await legacyResources(cluster, at, signal);
          return { version, stale: resources === undefined, resources: resources ?? [] };
        }),
      ),
    })),
  );
}

/** @returns undefined when the extension server behind it does not answer */
async function legacyResources(cluster: Cluster, path: string, signal?: AbortSignal): Promise<Served[] | undefined> {
  let list: LegacyResources;
  try {
    list = await cluster.json<LegacyResources>({ method: 'GET', path, signal });
  } catch (error) {
    if (error instanceof ClusterError && (error.status === 404 || error.status >= 500)) {
      return undefined;
    }
    throw error;
  }
  return list.resources
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, kind, namespaced, singularName = '', shortNames = [], verbs }) => ({
      kind,
      plural: name,
      singular: singularName,
      shortNames,
      namespaced,
      verbs,
    }));
}

function indexGroups(groups: readonly Group[]): Discovery {
  const kinds: ResourceKind[] = [];
  const stale: string[] = [];
  const byKind = new Map<string, ResourceKind>();
  const byName = new Map<string, ResourceKind>();
  for (const { name: group, versions } of groups) {
    const served = Map.groupBy(
      versions.flatMap(({ version, resources }) => resources.map((resource) => ({ version, resource }))),
      ({ resource }) => resource.plural,
    );
    stale.push(...versions.filter((one) => one.stale).map(({ version }) => apiVersionOf(group, version)));
    for (const entries of served.values()) {
      const all = entries.map(({ version, resource }) => ({
        group,
        version,
        apiVersion: apiVersionOf(group, version),
        ...resource,
        versions: entries.map((entry) => entry.version),
      }));
      for (const [index, kind] of all.entries()) {
        setOnce(byKind, `${kind.apiVersion}/${kind.kind}`, kind);
        if (index === 0) {
          kinds.push(kind);
          for (const name of [kind.plural, kind.singular, kind.kind, ...kind.shortNames]) {
            setOnce(byName, name.toLowerCase(), kind);
            setOnce(byName, `${name}.${group}`.toLowerCase(), kind);
          }
        }
      }
    }
  }
  return {
    kinds,
    stale,
    findKind: (apiVersion, kind) => byKind.get(`${apiVersion}/${kind}`),
    findByName: (name) => byName.get(name.toLowerCase()),
  };
}

function apiVersionOf(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}

function setOnce<V>(map: Map<string, V>, key: string, value: V): void {
  if (!map.has(key)) {
    map.set(key, value);
  }
}
