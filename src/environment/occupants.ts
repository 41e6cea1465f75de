import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject, type OwnerReference } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { isAccountSecret } from '../resources/edits.ts';
import { nameObject } from '../resources/resource.ts';
import { appearsByItself, isSkippedKind } from '../resources/rules.ts';
import { ENVIRONMENT_LABEL, type Environment } from './environment.ts';
import { type FoundObject, listMetadata, nameKind } from './labelled.ts';
import { releaseOf } from './own-releases.ts';

/** What tells the environment's own from what others have put beside it. */
export interface OccupantContext {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly environment: Environment;
  /** Keys, `namespace/name`, of the releases that go with the environment. */
  readonly releases: ReadonlySet<string>;
  /** Uids of what goes though it bears no label, such as claims that a StatefulSet made. */
  readonly going: ReadonlySet<string>;
  /** Uids of what bears the label and stays. */
  readonly staying: ReadonlySet<string>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What stands in the way of deleting a namespace that an import made: names of objects that are not of the environment, or
 * why that can't be known. What every namespace has by itself does not, nor does what is on its way out or goes with its owner.
 */
export async function findOccupants(context: OccupantContext, namespace: string): Promise<string[]> {
  const { cluster, discovery, signal } = context;
  const broken = discovery.stale.filter((apiVersion) => !isLeftOutGroup(apiVersion));
  if (broken.length > 0) return [`what ${broken.join(', ')} has there, for its API does not answer`];
  const kinds = discovery.kinds.filter((kind) => kind.namespaced && mayHoldSomething(kind));
  const { objects, unlisted } = await listMetadata(cluster, {
    kinds,
    namespaces: [namespace],
    everywhere: false,
    signal,
  });
  if (unlisted.length > 0) {
    const names = unlisted.map(({ kind }) => nameKind(kind)).sort();
    return [`${names.join(', ')} there, which may not be listed`];
  }
  return findStrangers(context, objects);
}

/** What custom resources there are that are not of the environment; or why that can't be known. */
export async function findUsers(context: OccupantContext, kind: ResourceKind): Promise<string[]> {
  const { cluster, signal } = context;
  if (!kind.verbs.includes('list')) return [`objects of ${nameKind(kind)}, which can't be listed`];
  const { objects, unlisted } = await listMetadata(cluster, {
    kinds: [kind],
    namespaces: [],
    everywhere: true,
    signal,
  });
  if (unlisted.length > 0) return [`objects of ${nameKind(kind)}, which may not be listed in all namespaces`];
  return findStrangers(context, objects);
}

/** Some names, and how many more there are. */
export function nameSome(names: readonly string[]): string {
  return names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
}

async function findStrangers(context: OccupantContext, objects: readonly FoundObject[]): Promise<string[]> {
  const strangers: string[] = [];
  for (const object of objects) {
    if (isOwn(object, context) || isOfNamespace(object)) continue;
    const { ownerReferences: owners = [] } = object.metadata;
    if (owners.length > 0 && !(await hasStayingOwner(owners, context))) continue;
    strangers.push(nameObject(object.id));
  }
  return strangers;
}

function isOwn({ uid, metadata, ...object }: FoundObject, context: OccupantContext): boolean {
  if (metadata.deletionTimestamp !== undefined || context.going.has(uid)) return true;
  if (context.staying.has(uid)) return false;
  if (metadata.labels?.[ENVIRONMENT_LABEL] === context.environment.name) return true;
  const { annotations = {} } = metadata;
  // Helm leaves what hooks have made, whatever becomes of the release.
  if (annotations['helm.sh/hook'] !== undefined) return true;
  const release = releaseOf({ ...object, metadata });
  return (
    release !== undefined &&
    context.releases.has(`${release.namespace}/${release.name}`) &&
    annotations['helm.sh/resource-policy'] !== 'keep'
  );
}

/** What controllers put into a namespace for what is in it, or for the namespace itself. */
function isOfNamespace({ id, kind, metadata }: FoundObject): boolean {
  const { name, annotations = {}, labels = {} } = metadata;
  if (appearsByItself({ apiVersion: kind.apiVersion, kind: kind.kind, metadata })) return true;
  if (id.group === 'discovery.k8s.io') return labels['endpointslice.kubernetes.io/managed-by'] !== undefined;
  if (id.group !== '') return false;
  if (id.kind === 'Endpoints') return true;
  const isLock = annotations['control-plane.alpha.kubernetes.io/leader'] !== undefined;
  if (id.kind === 'ConfigMap') return isLock;
  if (id.kind !== 'Secret') return false;
  const account = annotations['kubernetes.io/service-account.name'];
  // https://cert-manager.io/docs/usage/certificate/#cleaning-up-secrets-when-certificates-are-deleted
  const isCertificate = annotations['cert-manager.io/certificate-name'] !== undefined;
  return isCertificate || (account !== undefined && isAccountSecret(name, account));
}

/**
 * Whether an owner outlives the namespace. One in it is looked at itself, or is gone; so it is the others that count, which
 * are in no namespace.
 */
async function hasStayingOwner(
  owners: readonly OwnerReference[],
  { cluster, discovery, environment, signal }: OccupantContext,
): Promise<boolean> {
  for (const { apiVersion, kind, name, uid } of owners) {
    const served = discovery.findKind(apiVersion, kind);
    if (served === undefined || served.namespaced) continue;
    const owner = await readOwner(cluster, `${collectionPath(served)}/${encodeURIComponent(name)}`, signal);
    if (owner === 'unknown') return true;
    if (owner?.metadata.uid === uid && owner.metadata.labels?.[ENVIRONMENT_LABEL] !== environment.name) return true;
  }
  return false;
}

async function readOwner(
  cluster: Cluster,
  path: string,
  signal?: AbortSignal,
): Promise<KubeObject | 'unknown' | undefined> {
  try {
    return await findObject(cluster, path, signal);
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return 'unknown';
    throw error;
  }
}

function mayHoldSomething(kind: ResourceKind): boolean {
  return kind.verbs.includes('list') && isSkippedKind(kind) === undefined;
}

function isLeftOutGroup(apiVersion: string): boolean {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return isSkippedKind({ group, kind: '', plural: '' }) !== undefined;
}
