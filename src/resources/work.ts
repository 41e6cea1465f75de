import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';

/**
 * What the target has under an object's name: nothing; the same; something else that is to become the same; or
 * something else that stays, because it is the target's own answer to that name.
 */
export type Standing = 'new' | 'equal' | 'different' | 'kept';

/** An object as it is to be at the target. */
export interface WorkObject {
  /** Namespaces mapped, in a version that the target serves; owner references still without uid. The reader's alone. */
  readonly object: KubeObject;
  /** `keyOf(idOf(object))` */
  readonly key: string;
  readonly standing: Standing;
  /** The server refuses the change as immutable, and the user allows to delete and create it. */
  readonly recreate: boolean;
}

/** One List file of a snapshot that has objects to be brought in. */
export interface WorkFile {
  /** In the snapshot. */
  readonly path: string;
  /** As the target serves it, or will once its CRD is there. */
  readonly kind: ResourceKind;
  /** Whether its CRD travels in this snapshot too: the target may not serve it yet. */
  readonly isCustom: boolean;
  /** At the target; undefined for cluster-scoped objects. */
  readonly namespace: string | undefined;
  /** Lower ones first: see order.ts. */
  readonly wave: number;
  /** How many objects of it are to be brought in. */
  readonly count: number;
}

/** What an import of resources has to do, after all that can be checked beforehand was. */
export interface ImportWork {
  /** By wave, then path. */
  readonly files: readonly WorkFile[];
  /** Namespaces that objects go to, that the target lacks (or that are on their way out) and the snapshot does not bring. */
  readonly namespaces: readonly string[];
  /** Keys of objects that others of the work name as their owner. */
  readonly owners: ReadonlySet<string>;
  /** Reads a file's objects again, in the snapshot's order; a stream, so that memory stays flat. */
  objects(file: WorkFile): AsyncIterable<WorkObject>;
}
