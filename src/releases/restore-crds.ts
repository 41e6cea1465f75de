import { applyObject } from '../cluster/apply.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { waitForCrd } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import { isMap } from './helm-release.ts';
import { findObject } from './target-releases.ts';

const MANAGED_BY = 'app.kubernetes.io/managed-by';
const RELEASE_NAME = 'meta.helm.sh/release-name';
const RELEASE_NAMESPACE = 'meta.helm.sh/release-namespace';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

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
  const parsed: unknown = JSON.parse(text);
  const items = isMap(parsed) ? parsed.items : undefined;
  if (!Array.isArray(items) || !items.every(isCrd)) {
    throw new TransshipError('ARCHIVE_DAMAGED', `${path} is no List of CustomResourceDefinitions.`, {
      hint: 'Take the snapshot again, or use the Transship version that wrote it.',
    });
  }
  return items;
}

/**
 * Applies CRDs side by side and waits until their kinds can be used. One that the target has already is left as it is,
 * as Helm leaves it, or with `replace` brought to the state of the source.
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
  const created: string[] = [];
  const updated: string[] = [];
  const left: string[] = [];
  await Promise.all(
    crds.map(async ({ object, owner }) => {
      const { name } = object.metadata;
      const existing = await findObject(cluster, `${CRDS}/${encodeURIComponent(name)}`, signal);
      if (existing !== undefined && !replace) {
        left.push(name);
      } else {
        // The storage version and the fields of others stay with the server: this only takes what the source says.
        await applyObject(cluster, discovery, owned(object, owner), { force: true, signal });
        (existing === undefined ? created : updated).push(name);
      }
      await waitForCrd(cluster, name, { timeout, signal });
    }),
  );
  return { created: created.sort(), updated: updated.sort(), left: left.sort() };
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
