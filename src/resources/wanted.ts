import type { Entry } from '../archive/entry.ts';
import type { KubeObject, OwnerReference } from '../cluster/cluster.ts';
import { mapObjectNamespaces, type NamespaceMap, type NamespaceWarning } from '../transforms/namespace-map.ts';
import type { Transforms } from '../transforms/transforms.ts';
import { type TakesNamespace, takesObject } from './choice.ts';
import { type KnownKinds, kindKey } from './known-kinds.ts';
import { readListFile } from './list-file.ts';
import { groupOf, keyOf } from './resource.ts';
import type { KindNames, ResourceFilter } from './selection.ts';
import type { Servable, Serve } from './servable.ts';

/** The files of a snapshot, in any order and as often as needed. */
export interface ResourceFiles {
  /** In the archive's order. */
  paths(): Iterable<string>;
  entry(path: string): Entry;
}

/** An object of the snapshot that is to be brought in. */
export interface Wanted {
  /** As the target is to get it; the reader's alone. */
  readonly object: KubeObject;
  /** The version in which the snapshot has it. */
  readonly recorded: string;
  /** Its namespace at the source; of a Namespace, its name there. */
  readonly from: string | undefined;
  /** Undefined when the target can't take it; then the object is in the recorded version. */
  readonly servable: Servable | undefined;
}

export interface ReaderContext {
  readonly files: ResourceFiles;
  readonly known: KnownKinds;
  readonly filter: ResourceFilter;
  readonly takesNamespace: TakesNamespace;
  readonly namespaceMap: NamespaceMap;
  readonly transforms?: Transforms | undefined;
  readonly leavesOut?: ((object: KubeObject) => boolean) | undefined;
  readonly serve: Serve;
  readonly otherCrds: ReadonlySet<string>;
  /** Whether the status of a kind is brought in too. */
  readonly keepsStatus: (group: string, kind: string) => boolean;
}

/** Reads the objects of one file that are to be brought in, in its order, the same each time. */
export type ReadWanted = (path: string, warn?: (warning: NamespaceWarning) => void) => AsyncGenerator<Wanted>;

/** The namespace that a file's folder stands for; undefined for cluster-scoped kinds. */
export function namespaceOfPath(path: string): string | undefined {
  const slash = path.indexOf('/');
  if (slash === -1) return undefined;
  const folder = path.slice(0, slash);
  // Beside it there is the file `manifest`.
  return folder === 'manifest_' ? 'manifest' : folder;
}

/** Makes the one way in which objects are read: to be compared first, and to be brought in later. */
export function createReader(context: ReaderContext): ReadWanted {
  const { files, known, filter, leavesOut, takesNamespace, namespaceMap, transforms, serve, otherCrds, keepsStatus } =
    context;

  return async function* read(path, warn = () => {}) {
    const folder = namespaceOfPath(path);
    for await (const original of readListFile(path, files.entry(path).body)) {
      const { apiVersion: recorded, kind } = original;
      const names = known.find(groupOf(recorded), kind) ?? guessKind(path, original);
      const placed = place(original, names.namespaced ? folder : undefined, names.namespaced);
      if (!takesObject(placed, names.plural, filter, takesNamespace)) continue;
      if (leavesOut?.(placed) === true) continue;
      if (isCrd(placed) && otherCrds.has(placed.metadata.name)) continue;
      const from = kindKey(groupOf(recorded), kind) === 'Namespace.' ? placed.metadata.name : placed.metadata.namespace;
      const transformed = transforms === undefined ? placed : transforms.apply(placed);
      const { object, warnings } =
        namespaceMap.size === 0
          ? { object: transformed, warnings: [] }
          : mapObjectNamespaces(transformed, namespaceMap, known.scopeOf);
      for (const warning of warnings) warn(warning);
      const servable = serve(recorded, kind);
      if (servable !== undefined) object.apiVersion = servable.kind.apiVersion;
      if (!keepsStatus(groupOf(recorded), kind)) delete object.status;
      serveOwners(object, serve);
      yield { object, recorded, from, servable };
    }
  };
}

/** The keys of an object's owners. An owner is in the same namespace, or in none. */
export function ownersOf({ metadata }: KubeObject, known: KnownKinds): { key: string; owner: OwnerReference }[] {
  return (metadata.ownerReferences ?? []).map((owner) => {
    const isCluster = known.scopeOf(owner.apiVersion, owner.kind) === 'Cluster';
    const namespace = isCluster ? undefined : metadata.namespace;
    return { key: keyOf({ group: groupOf(owner.apiVersion), kind: owner.kind, namespace, name: owner.name }), owner };
  });
}

/** Of a kind that nobody has described, the file says how it is called and whether it is in namespaces. */
function guessKind(path: string, { apiVersion, kind }: KubeObject): KindNames {
  const file = path.slice(path.lastIndexOf('/') + 1);
  const plural = file.slice(0, file.indexOf('.'));
  return { group: groupOf(apiVersion), kind, plural, namespaced: path.includes('/') };
}

function place(object: KubeObject, folder: string | undefined, namespaced: boolean): KubeObject {
  const { metadata } = object;
  if (namespaced && folder !== undefined) metadata.namespace ??= folder;
  if (!namespaced) delete metadata.namespace;
  return object;
}

function isCrd({ apiVersion, kind }: KubeObject): boolean {
  return kindKey(groupOf(apiVersion), kind) === 'CustomResourceDefinition.apiextensions.k8s.io';
}

/** The garbage collector looks for owners in the version that is named. */
function serveOwners({ metadata }: KubeObject, serve: Serve): void {
  for (const owner of metadata.ownerReferences ?? []) {
    owner.apiVersion = serve(owner.apiVersion, owner.kind)?.kind.apiVersion ?? owner.apiVersion;
  }
}
