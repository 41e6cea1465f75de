import { applyObject, FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { waitForCrd } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import { forEachOf } from '../streams.ts';
import { isMap } from '../values.ts';

const MANAGED_BY = 'app.kubernetes.io/managed-by';
const RELEASE_NAME = 'meta.helm.sh/release-name';
const RELEASE_NAMESPACE = 'meta.helm.sh/release-namespace';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** So many are waited for at once that a chart's CRDs take no longer than one. */
const APPLIES_AT_ONCE = 16;

/** A CRD to have at the target before any release is installed. */
export interface WantedCrd {
  readonly object: KubeObject;
  /** The release that brings it in its manifest and uses it there too: Helm takes over what bears its name. */
  readonly owner: { readonly name: string; readonly namespace: string } | undefined;
}

/** What became of them. */
export interface RestoredCrds {
  readonly created: readonly string[];
  readonly updated: readonly string[];
  readonly left: readonly string[];
}

/**
 * Reads the CRDs that travelled in an archive.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` when the file is no List of CRDs
 */
export function parseCrds(path: string, text: string): KubeObject[] {
  const items = itemsOf(text);
  if (!Array.isArray(items) || !items.every(isCrd)) {
    throw new TransshipError('ARCHIVE_DAMAGED', `${path} is no List of CustomResourceDefinitions.`, {
      hint: 'Take the snapshot again, or use the Transship version that wrote it.',
    });
  }
  return items;
}

function itemsOf(text: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text);
    return isMap(parsed) ? parsed.items : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Applies CRDs side by side and waits until their kinds can be used. One that the target has already is left as it is,
 * as Helm leaves it, or with `replace` brought to the state of the source unless it is another release's.
 *
 * @param timeout - milliseconds, for each
 */
export async function restoreCrds(
  cluster: Cluster,
  discovery: Discovery,
  crds: readonly WantedCrd[],
  options: { readonly replace: boolean; readonly timeout: number; readonly signal?: AbortSignal | undefined },
): Promise<RestoredCrds> {
  const { replace, timeout, signal } = options;
  const results: Record<keyof RestoredCrds, string[]> = { created: [], updated: [], left: [] };
  const restore = async ({ object, owner }: WantedCrd): Promise<void> => {
    const { name } = object.metadata;
    const existing = await findCrd(cluster, discovery, name, signal);
    if (existing === 'served') {
      results.left.push(name);
      return;
    }
    if (existing !== undefined && (!replace || isOfOther(existing, owner))) {
      results.left.push(name);
    } else {
      // The storage version and the fields of others stay with the server: this only takes what the source says. What
      // belongs to a release is written as Helm, whose own server-side apply would else find another manager's fields.
      const fieldManager = owner === undefined ? FIELD_MANAGER : 'helm';
      await applyObject(cluster, discovery, owned(object, owner), { force: true, fieldManager, signal });
      results[existing === undefined ? 'created' : 'updated'].push(name);
    }
    await waitForCrd(cluster, name, { timeout, signal });
  };
  await forEachOf(crds, APPLIES_AT_ONCE, restore);
  return { created: results.created.sort(), updated: results.updated.sort(), left: results.left.sort() };
}

/** Who may not look at CRDs can still bring releases that use them, where the target serves their kind. */
async function findCrd(
  cluster: Cluster,
  discovery: Discovery,
  name: string,
  signal: AbortSignal | undefined,
): Promise<KubeObject | 'served' | undefined> {
  try {
    return await findObject(cluster, `${CRDS}/${encodeURIComponent(name)}`, signal);
  } catch (error) {
    const isServed = discovery.kinds.some(({ plural, group }) => `${plural}.${group}` === name);
    if (error instanceof ClusterError && error.status === 403 && isServed) return 'served';
    throw error;
  }
}

/** Whether a release of the target keeps a CRD: only an upgrade of that one is to change it. */
function isOfOther({ metadata: { annotations = {} } }: KubeObject, owner: WantedCrd['owner']): boolean {
  const name = annotations[RELEASE_NAME];
  return name !== undefined && (name !== owner?.name || annotations[RELEASE_NAMESPACE] !== owner.namespace);
}

function isCrd(value: unknown): value is KubeObject {
  return (
    isMap(value) &&
    value.kind === 'CustomResourceDefinition' &&
    isMap(value.metadata) &&
    typeof value.metadata.name === 'string'
  );
}

/**
 * Marks a CRD as the owner's, so that Helm takes it over, or as nobody's: a mark of the source names a release that the
 * target may not have. https://github.com/helm/helm/blob/v4.3.1/pkg/action/validate.go
 */
function owned(object: KubeObject, owner: WantedCrd['owner']): KubeObject {
  const { [MANAGED_BY]: manager, ...labels } = object.metadata.labels ?? {};
  const { [RELEASE_NAME]: _name, [RELEASE_NAMESPACE]: _namespace, ...annotations } = object.metadata.annotations ?? {};
  const keeper = owner === undefined && manager !== 'Helm' ? manager : owner && 'Helm';
  return {
    ...object,
    metadata: {
      ...object.metadata,
      labels: { ...labels, ...(keeper === undefined ? {} : { [MANAGED_BY]: keeper }) },
      annotations: {
        ...annotations,
        ...(owner === undefined ? {} : { [RELEASE_NAME]: owner.name, [RELEASE_NAMESPACE]: owner.namespace }),
      },
    },
  };
}
