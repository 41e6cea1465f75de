import { collectionPath } from '../cluster/apply.ts';
import { ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { idOf, nameObject } from '../resources/resource.ts';
import { appearsByItself, isSkippedKind } from '../resources/rules.ts';
import { isEnding } from '../resources/target-namespaces.ts';
import { mapAsDone } from '../streams.ts';
import { mapsIn } from '../values.ts';
import { failed, isOurs, type UndoContext } from './context.ts';

const LISTS_AT_ONCE = 8;

/** Of Kubernetes itself: what they have made, they have made of something else. */
const CONTROLLERS = new Set(['kube-controller-manager', 'kube-scheduler', 'kube-apiserver', 'kubelet']);

const RELEASE_NAME = 'meta.helm.sh/release-name';
const RELEASE_NAMESPACE = 'meta.helm.sh/release-namespace';
const HOOK = 'helm.sh/hook';

/**
 * What is in a namespace that was made by the import, and came neither from it nor by itself.
 *
 * @throws TransshipError when not everything may be listed there
 */
export async function findForeign(context: UndoContext, namespace: string): Promise<string[]> {
  const { kinds, stale } = await context.discovery();
  if (stale.length > 0) {
    throw failed(`It stays, for it can't be seen what it has of ${stale.join(', ')}, whose API does not answer.`);
  }
  const listed = kinds.filter(
    (kind) =>
      kind.namespaced &&
      kind.verbs.includes('list') &&
      kind.verbs.includes('delete') &&
      isSkippedKind(kind) === undefined,
  );
  const found: string[] = [];
  for await (const names of mapAsDone(listed, LISTS_AT_ONCE, (kind) =>
    listForeign(context, collectionPath(kind, namespace)),
  )) {
    found.push(...names);
  }
  return [...new Set(found)].sort();
}

/**
 * What is in one collection that came neither from the import nor by itself.
 *
 * @throws TransshipError when it may not be listed
 */
export async function listForeign(context: UndoContext, path: string): Promise<string[]> {
  const { cluster, outage, uninstalled, signal } = context;
  try {
    return await outage.guard(async () => {
      const names: string[] = [];
      for await (const object of cluster.list(path, { signal })) {
        if (isForeign(object, uninstalled)) names.push(nameObject(idOf(object)));
      }
      return names;
    });
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    // Gone since discovery, or of an extension server that says it lists what it does not.
    if (error.status === 404 || error.status === 405) return [];
    throw failed(`It stays, for it can't be seen whether others have put something into it: ${error.message}`, error);
  }
}

/** What goes away by itself or with what owns it is nobody's. */
function isForeign(object: KubeObject, uninstalled: ReadonlySet<string>): boolean {
  if (isEnding(object) || appearsByItself(object) || isOurs(object)) return false;
  const { ownerReferences = [], annotations = {}, managedFields } = object.metadata;
  if (ownerReferences.length > 0) return false;
  const managers = mapsIn(managedFields).map(({ manager }) => manager);
  if (managers.length > 0 && managers.every((manager) => CONTROLLERS.has(String(manager)))) return false;
  // Helm leaves what a chart tells it to keep, and most hooks.
  if (uninstalled.has(`${annotations[RELEASE_NAMESPACE]}/${annotations[RELEASE_NAME]}`)) return false;
  return annotations[HOOK] === undefined || uninstalled.size === 0;
}
