import { FIELD_MANAGER } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject, OwnerReference } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import type { Outage } from '../resources/outage.ts';
import { mapsIn } from '../values.ts';

/** What every step of taking an import back shares. */
export interface UndoContext {
  readonly cluster: Cluster;
  readonly outage: Outage;
  readonly clock: Clock;
  /** Milliseconds for what is deleted to be gone. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** What the cluster serves now. */
  discovery(): Promise<Discovery>;
  /** Uids that objects had, and those they have since they were created again. */
  readonly reborn: Map<string, string>;
  /** Objects that were put back before their owners, by their paths. */
  readonly ownerless: Map<string, Ownerless>;
  /** Releases of this import that are uninstalled again, as `namespace/name`. */
  readonly uninstalled: Set<string>;
}

/** An object that waits for owners, which have the uids they had before the import. */
export interface Ownerless {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly owners: readonly OwnerReference[];
}

/** Why something can't be taken back, as a whole sentence. */
export function failed(why: string, cause?: unknown): TransshipError {
  return new TransshipError('IMPORT_FAILED', why, { cause });
}

/** Whether an object bears our name; some extension servers keep none. */
export function isOurs({ metadata: { managedFields } }: KubeObject): boolean {
  return mapsIn(managedFields).some(({ manager }) => manager === FIELD_MANAGER);
}
