import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { isMap, mapsIn } from '../values.ts';
import { ENVIRONMENT_LABEL, type Environment } from './environment.ts';
import { type FoundObject, listMetadata } from './labelled.ts';
import { releaseOf } from './own-releases.ts';

export interface ClaimContext {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly environment: Environment;
  /** Keys, `namespace/name`, of the environment's releases. */
  readonly releases: ReadonlySet<string>;
  /** Uids of all that bears the label. */
  readonly labelled: ReadonlySet<string>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the claims that the environment's StatefulSets have had made from their templates: nothing owns them, and they
 * bear no label. One that is older than its StatefulSet somebody else has left there, with data in it.
 *
 * @param namespaces - where to look
 */
export async function findTemplateClaims(context: ClaimContext, namespaces: readonly string[]): Promise<FoundObject[]> {
  const { cluster, discovery, signal } = context;
  const claimKind = discovery.findKind('v1', 'PersistentVolumeClaim');
  const setKind = discovery.findKind('apps/v1', 'StatefulSet');
  if (claimKind === undefined || setKind === undefined) return [];
  const found: FoundObject[] = [];
  for (const namespace of namespaces) {
    const sets = await readOwnSets(context, collectionPath(setKind, namespace));
    if (sets.length === 0) continue;
    const query = { kinds: [claimKind], namespaces: [namespace], everywhere: false, signal };
    const { objects } = await listMetadata(cluster, query);
    found.push(
      ...objects.filter(
        (claim) =>
          claim.metadata.labels?.[ENVIRONMENT_LABEL] === undefined && sets.some((set) => isMadeFor(claim, set)),
      ),
    );
  }
  return found;
}

/**
 * Labels such claims: when their StatefulSet is gone and the run is cut short, the next one still knows them.
 *
 * @returns those that could be labelled
 */
export async function labelClaims(
  { cluster, environment, signal }: ClaimContext,
  claims: readonly FoundObject[],
): Promise<FoundObject[]> {
  const labelled: FoundObject[] = [];
  for (const claim of claims) {
    try {
      await cluster.json({
        method: 'PATCH',
        path: claim.path,
        contentType: 'application/merge-patch+json',
        body: { metadata: { uid: claim.uid, labels: { [ENVIRONMENT_LABEL]: environment.name } } },
        signal,
      });
      labelled.push(claim);
    } catch (error) {
      // Not allowed, or gone or another one by now: what is left shows when the namespace is looked through.
      if (!(error instanceof ClusterError && [403, 404, 409].includes(error.status))) throw error;
    }
  }
  return labelled;
}

/**
 * Those of some volumes that a claim is bound to which stays: deleted, they would be gone with the claim's data as soon as
 * it is let go.
 *
 * @param going - uids of the claims that are deleted
 */
export async function findVolumesInUse(
  { cluster, signal }: Pick<ClaimContext, 'cluster' | 'signal'>,
  volumes: readonly FoundObject[],
  going: ReadonlySet<string>,
): Promise<FoundObject[]> {
  const inUse: FoundObject[] = [];
  for (const volume of volumes) {
    const spec = (await findObject(cluster, volume.path, signal))?.spec;
    const claim = isMap(spec) && isMap(spec.claimRef) ? spec.claimRef : undefined;
    if (typeof claim?.uid !== 'string' || going.has(claim.uid)) continue;
    const path = `/api/v1/namespaces/${claim.namespace}/persistentvolumeclaims/${claim.name}`;
    if ((await findObject(cluster, path, signal))?.metadata.uid === claim.uid) inUse.push(volume);
  }
  return inUse;
}

async function readOwnSets({ cluster, releases, labelled, signal }: ClaimContext, path: string): Promise<KubeObject[]> {
  const sets: KubeObject[] = [];
  try {
    for await (const set of cluster.list(path, { signal })) {
      const release = releaseOf(set);
      const isOfRelease = release !== undefined && releases.has(`${release.namespace}/${release.name}`);
      const owners = set.metadata.ownerReferences ?? [];
      const isLabelled = labelled.has(set.metadata.uid ?? '') || owners.some(({ uid }) => labelled.has(uid));
      if (isOfRelease || isLabelled) sets.push(set);
    }
  } catch (error) {
    if (!(error instanceof ClusterError && error.status === 403)) throw error;
  }
  return sets;
}

/** https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/controller/statefulset/stateful_set_utils.go */
function isMadeFor({ metadata }: FoundObject, { metadata: set, spec }: KubeObject): boolean {
  const templates = isMap(spec) ? mapsIn(spec.volumeClaimTemplates) : [];
  const isOfTemplate = templates.some(
    (template) =>
      isMap(template.metadata) &&
      metadata.name.startsWith(`${template.metadata.name}-${set.name}-`) &&
      /^[0-9]+$/.test(metadata.name.slice(`${template.metadata.name}-${set.name}-`.length)),
  );
  return isOfTemplate && Date.parse(metadata.creationTimestamp ?? '') >= Date.parse(set.creationTimestamp ?? '');
}
