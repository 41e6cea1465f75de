import { applyObject, FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { waitForCrd } from '../cluster/wait.ts';
import { ENVIRONMENT_LABEL, type Environment, withEnvironment } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import { forEachOf } from '../streams.ts';
import type { UndoLog } from '../undo.ts';
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

export interface RestoreCrdsOptions {
  readonly replace: boolean;
  /** Milliseconds, for each. */
  readonly timeout: number;
  /** What is created gets its label; what belongs to a release goes with the release. */
  readonly environment?: Environment | undefined;
  /** Told of everything that is done, so that it can be taken back. */
  readonly undo?: UndoLog | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Applies CRDs side by side and waits until their kinds can be used. One that the target has already is left as it is,
 * as Helm leaves it, or with `replace` brought to the state of the source unless it is another release's.
 */
export async function restoreCrds(
  cluster: Cluster,
  discovery: Discovery,
  crds: readonly WantedCrd[],
  options: RestoreCrdsOptions,
): Promise<RestoredCrds> {
  const { replace, timeout, signal, undo } = options;
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
      const path = pathOf(name);
      if (existing !== undefined) await undo?.changing(path, existing);
      const live = await apply(cluster, discovery, { object, owner }, existing, options);
      if (existing === undefined) await undo?.created(path, live);
      results[existing === undefined ? 'created' : 'updated'].push(name);
    }
    await waitForCrd(cluster, name, { timeout, signal });
  };
  await forEachOf(crds, APPLIES_AT_ONCE, restore);
  return { created: results.created.sort(), updated: results.updated.sort(), left: results.left.sort() };
}

async function apply(
  cluster: Cluster,
  discovery: Discovery,
  { object, owner }: WantedCrd,
  existing: KubeObject | undefined,
  { environment, undo, signal }: RestoreCrdsOptions,
): Promise<KubeObject> {
  // The storage version and the fields of others stay with the server: this only takes what the source says. What
  // belongs to a release is written as Helm, whose own server-side apply would else find another manager's fields.
  const fieldManager = owner === undefined ? FIELD_MANAGER : 'helm';
  const name = owner === undefined ? environment?.name : undefined;
  const label = existing === undefined ? name : existing.metadata.labels?.[ENVIRONMENT_LABEL];
  try {
    const wanted = withEnvironment(owned(object, owner), label);
    return await applyObject(cluster, discovery, wanted, { force: true, fieldManager, signal });
  } catch (error) {
    // No answer leaves open whether it was created.
    const isOpen = error instanceof ClusterError && (error.status === 0 || error.status >= 500);
    if (isOpen && existing === undefined) await undo?.created(pathOf(object.metadata.name), object);
    throw error;
  }
}

function pathOf(name: string): string {
  return `${CRDS}/${encodeURIComponent(name)}`;
}

/** Who may not look at CRDs can still bring releases that use them, where the target serves their kind. */
async function findCrd(
  cluster: Cluster,
  discovery: Discovery,
  name: string,
  signal: AbortSignal | undefined,
): Promise<KubeObject | 'served' | undefined> {
  try {
    return await findObject(cluster, pathOf(name), signal);
  } catch (error) {
    const isServed = discovery.kinds.some(({ plural, group }) => `${plural}.${group}` === name);
    if (error instanceof ClusterError && error.status === 403 && isServed) return 'served';
    throw error;
  }
}

/** Whether a release of the target keeps a CRD: only an upgrade of that one is to change it. */
export function isOfOther({ metadata: { annotations = {} } }: KubeObject, owner: WantedCrd['owner']): boolean {
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
export function owned(object: KubeObject, owner: WantedCrd['owner']): KubeObject {
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
