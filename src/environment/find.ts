import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { isGlob, matcherOf } from '../selection/name-patterns.ts';
import { type Marker, markerSelector, readMarker } from './marker.ts';

/** An environment as its markers tell of it. */
export interface FoundEnvironment {
  readonly name: string;
  /** Those with a marker, sorted. */
  readonly namespaces: readonly string[];
  /** What the last import was of, and when. */
  readonly snapshot: string;
  readonly origin: string;
  readonly imported: Date | undefined;
  /** As the last import has it: undefined for one without an end. */
  readonly expires: Date | undefined;
}

export interface FindOptions {
  /** Only this one. */
  readonly name?: string | undefined;
  /** Only what is in these; names and globs. Names are asked for one by one, so that rights in each are enough. */
  readonly namespaces?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the environments of a cluster, by name.
 *
 * @throws TransshipError `FORBIDDEN` when ConfigMaps may not be listed there
 */
export async function findEnvironments(cluster: Cluster, options: FindOptions = {}): Promise<FoundEnvironment[]> {
  const markers: Marker[] = [];
  const { namespaces, name } = options;
  const matchers = (namespaces ?? ['*']).map(matcherOf);
  for (const place of placesOf(namespaces)) {
    for await (const marker of listMarkers(cluster, place, options)) {
      if (matchers.some((matches) => matches(marker.namespace))) markers.push(marker);
    }
  }
  return [...Map.groupBy(markers, ({ environment }) => environment)]
    .filter(([environment]) => name === undefined || environment === name)
    .map(([environment, all]) => describe(environment, all))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether an environment's time is over. */
export function isExpired({ expires }: FoundEnvironment, now: Date): boolean {
  return expires !== undefined && expires <= now;
}

/** One by one, or undefined for all at once. */
function placesOf(namespaces: readonly string[] | undefined): (string | undefined)[] {
  return namespaces === undefined || namespaces.some(isGlob) ? [undefined] : [...new Set(namespaces)];
}

async function* listMarkers(
  cluster: Cluster,
  namespace: string | undefined,
  { name, signal }: FindOptions,
): AsyncGenerator<Marker> {
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  try {
    for await (const object of cluster.list(`/api/v1${scope}/configmaps`, {
      labelSelector: markerSelector(name),
      signal,
    })) {
      const marker = readMarker(object);
      if (marker !== undefined) yield marker;
    }
  } catch (error) {
    throw error instanceof ClusterError && error.status === 403 ? forbidden(namespace, error) : error;
  }
}

function forbidden(namespace: string | undefined, cause: ClusterError): TransshipError {
  const where = namespace === undefined ? 'in all namespaces' : `in namespace ${namespace}`;
  const way = namespace === undefined ? ', or set namespace to those of the environment' : '';
  return new TransshipError('FORBIDDEN', `Environments can't be looked for ${where}: ${cause.message}`, {
    hint: `Grant the verb list on configmaps${way}.`,
    cause,
  });
}

/** The marker that was written last tells; others are of imports into other namespaces. */
function describe(name: string, markers: readonly Marker[]): FoundEnvironment {
  const [last] = markers.toSorted((a, b) => timeOf(b) - timeOf(a));
  return {
    name,
    namespaces: markers.map(({ namespace }) => namespace).sort(),
    snapshot: last?.snapshot ?? '',
    origin: last?.origin ?? '',
    imported: last?.imported,
    expires: last?.expires,
  };
}

function timeOf({ imported }: Marker): number {
  return imported?.getTime() ?? 0;
}
