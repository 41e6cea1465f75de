import { hash } from 'node:crypto';
import { FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import type { UndoLog } from '../undo.ts';
import { isMap } from '../values.ts';
import { ENVIRONMENT_LABEL, type Environment } from './environment.ts';

const PREFIX = 'transship-environment-';
const MANAGED_BY = 'app.kubernetes.io/managed-by';

/** What the ConfigMap says that tells of an environment in each namespace it has. */
export interface Marker {
  readonly environment: string;
  readonly namespace: string;
  /** The id of the snapshot that was imported last. */
  readonly snapshot: string;
  /** Where that comes from, such as `snapshot 26-01-31_12-00-00 of stage`. */
  readonly origin: string;
  readonly imported: Date | undefined;
  /** When it is no longer wanted; undefined for an environment without an end. */
  readonly expires: Date | undefined;
}

/** What an import says of itself. */
export interface MarkerContent {
  readonly snapshot: string;
  readonly origin: string;
  /** Milliseconds. */
  readonly ttl?: number | undefined;
  readonly now: Date;
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names */
const DNS_SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/**
 * The name of an environment's ConfigMap. A label may have characters that a name can't (`PR_7`): those are told apart by a
 * hash, after a second `-` that no environment's own name begins with.
 */
export function markerName({ name }: Environment): string {
  if (DNS_SUBDOMAIN.test(name)) return PREFIX + name;
  const readable = name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return `${PREFIX}-${readable}-${hash('sha256', name).slice(0, 12)}`;
}

/** Selects the markers of one environment, or of all; and a few ConfigMaps that imports for one brought. */
export function markerSelector(environment?: string): string {
  return `${ENVIRONMENT_LABEL}${environment === undefined ? '' : `=${environment}`},${MANAGED_BY}=${FIELD_MANAGER}`;
}

/**
 * Writes the marker of an environment into namespaces, over one that is there: so a `ttl` begins anew, or is lifted. A
 * namespace that does not exist (yet) has nothing of the environment, and no marker.
 *
 * @throws ClusterError `Forbidden` without the verbs get, create and patch on configmaps
 */
export async function writeMarkers(
  cluster: Cluster,
  environment: Environment,
  namespaces: readonly string[],
  content: MarkerContent,
  undo?: UndoLog,
): Promise<void> {
  for (const namespace of namespaces) {
    const path = markerPath(namespace, environment);
    const before = undo && (await findObject(cluster, path));
    if (undo !== undefined && before !== undefined) await undo.changing(path, before);
    const written = await apply(cluster, path, markerObject(environment, namespace, content));
    if (written !== undefined && before === undefined) await undo?.created(path, written);
  }
}

/** The path of the marker on the API server. */
export function markerPath(namespace: string, environment: Environment): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${markerName(environment)}`;
}

/** Reads a marker; undefined of a ConfigMap that is none. */
export function readMarker({ metadata, data }: KubeObject): Marker | undefined {
  const environment = metadata.labels?.[ENVIRONMENT_LABEL];
  if (environment === undefined || metadata.name !== markerName({ name: environment })) return undefined;
  const { snapshot = '', origin = '', imported, expires } = isMap(data) ? data : {};
  return {
    environment,
    namespace: metadata.namespace ?? '',
    snapshot: String(snapshot),
    origin: String(origin),
    imported: readTime(imported),
    expires: readTime(expires),
  };
}

function markerObject(environment: Environment, namespace: string, { snapshot, origin, ttl, now }: MarkerContent) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: markerName(environment),
      namespace,
      labels: { [ENVIRONMENT_LABEL]: environment.name, [MANAGED_BY]: FIELD_MANAGER },
    },
    data: {
      name: environment.name,
      snapshot,
      origin,
      imported: now.toISOString(),
      ...(ttl === undefined ? {} : { expires: new Date(now.getTime() + ttl).toISOString() }),
    },
  };
}

/** What an earlier import applied and this one does not, server-side apply takes away. */
async function apply(cluster: Cluster, path: string, body: KubeObject): Promise<KubeObject | undefined> {
  try {
    return await cluster.json<KubeObject>({
      method: 'PATCH',
      path,
      query: { fieldManager: FIELD_MANAGER, force: true },
      contentType: 'application/apply-patch+yaml',
      body,
    });
  } catch (error) {
    if (error instanceof ClusterError && error.status === 404) return undefined;
    throw error;
  }
}

function readTime(text: unknown): Date | undefined {
  const time = Date.parse(String(text));
  return Number.isNaN(time) ? undefined : new Date(time);
}
