import type { KubeObject } from '../cluster/cluster.ts';
import type { NamespaceMap } from './namespace-map.ts';

/** All that an import changes in objects on their way in: the `transforms` file and the short forms among the inputs. */
export interface Transforms {
  /** From the file and the input together; applied by those who read objects and records, not by {@link apply}. */
  readonly namespaces: NamespaceMap;
  /** Whether there is nothing but namespaces to change. */
  readonly isEmpty: boolean;
  /**
   * The object as it is to be at the target, but for its namespaces. Selectors see it as it is in the snapshot: to be
   * called before namespaces are mapped. Returns the same object when nothing in it changes; else another one, which
   * shares parts with the given one that have been changed in place.
   *
   * @param namespace - the one it comes to where it names none, as in a release's manifest
   * @throws TransshipError `INPUT` naming the transform, its line, and the object, when a patch can't be applied
   */
  apply(object: KubeObject, namespace?: string): KubeObject;
  /** Notes that there is something in a namespace, for {@link unused}; {@link apply} does so itself. */
  see(namespace: string): void;
  /** Whether a document in YAML may have something to change; false, without parsing it, only when that is certain. */
  mayChange(text: string): boolean;
  /** Names, with lines, of those that have matched nothing so far. */
  unused(): readonly string[];
  /** Tells one set of transforms from another: SHA-256 of what they do. */
  readonly digest: string;
}
