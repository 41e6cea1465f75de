import type { Counts } from '../report/results.ts';

/** What an import would do about one release or object. */
export type Change =
  | 'create'
  | 'update'
  /** Deleted and created, for the server refuses the change. */
  | 'recreate'
  /** A former import brought it, and the snapshot no longer has it: `prune`. */
  | 'delete'
  | 'unchanged'
  /** It exists, differs, and stays as it is. */
  | 'keep';

/** What an import would do, computed before anything changes: the output of mode plan, and `plan.json`. */
export interface Plan {
  /** Of this format; raised when a reader of the one before would misunderstand it. */
  readonly format: 1;
  /** Given to `import` as `plan-id`: binds the archive, the inputs and the state of every object that was read. */
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly snapshot: {
    readonly id: string;
    readonly location: string;
    readonly digest: string;
    /** The context it was exported from. */
    readonly cluster: string;
  };
  readonly target: {
    readonly context: string;
    readonly server: string;
    /** Uid of the namespace `kube-system`; undefined where it may not be read. */
    readonly uid?: string | undefined;
  };
  readonly releases: readonly PlannedRelease[];
  /** Between releases: the second waits for the first. */
  readonly edges: readonly PlannedEdge[];
  /** Objects outside of releases about which there is something to say; those that are equal are only counted. */
  readonly objects: readonly PlannedObject[];
  /** A row for each kind of object outside of releases. */
  readonly kinds: readonly PlannedKind[];
  /** What would make the import fail; found all at once. */
  readonly problems: readonly PlanProblem[];
  /** What an import of this plan would report: releases and objects. */
  readonly counts: Counts;
  readonly changed: boolean;
}

export interface PlannedRelease {
  readonly name: string;
  /** At the target. */
  readonly namespace: string;
  readonly change: Change;
  /** What the target has now; undefined for a new one. */
  readonly before?: ReleaseState | undefined;
  /** What it will have; undefined for one that is deleted. */
  readonly after?: ReleaseState | undefined;
  /** How many revisions travel with it. */
  readonly revisions: number;
  /** A unified diff of the values as YAML, secrets redacted; empty when they are equal. */
  readonly values: string;
  /** Of its manifest: what is created, changed or removed with it; those that are equal are left out. */
  readonly objects: readonly PlannedObject[];
  /** Hooks that Helm will run, as `pre-install Job shop/migrate`. */
  readonly hooks: readonly string[];
  /** What else a person should know of it. */
  readonly message?: string | undefined;
}

export interface ReleaseState {
  readonly chart: string;
  readonly chartVersion: string;
  readonly appVersion: string;
  readonly revision: number;
  readonly status: string;
}

export interface PlannedEdge {
  /** `namespace/name` */
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

export interface PlannedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly change: Change;
  /**
   * A unified diff of the object as YAML, from what the cluster has to what it would have, secrets redacted (see
   * redact.ts); undefined for one that is new or deleted.
   */
  readonly diff?: string | undefined;
  /** Fields that other managers own and the import would take over. */
  readonly conflicts?: readonly FieldConflict[] | undefined;
  /** Why it is recreated, kept or deleted. */
  readonly message?: string | undefined;
}

export interface FieldConflict {
  /** Such as `kubectl-client-side-apply` or `helm`. */
  readonly manager: string;
  readonly fields: readonly string[];
}

export interface PlannedKind {
  readonly apiVersion: string;
  readonly kind: string;
  /** The plural, such as `deployments`. */
  readonly resource: string;
  readonly create: number;
  readonly update: number;
  readonly recreate: number;
  readonly delete: number;
  readonly unchanged: number;
  readonly keep: number;
}

/** What kind of thing stands in the way of an import. */
export type ProblemKind =
  /** The target does not serve a kind: a CRD or API is missing or was removed. */
  | 'not-served'
  /** A storage, ingress, priority or runtime class that does not exist and does not travel. */
  | 'missing-class'
  /** A namespace that does not exist and may not be created. */
  | 'missing-namespace'
  /** A ResourceQuota or LimitRange would refuse it. */
  | 'quota'
  /** A verb that the user of this run lacks. */
  | 'forbidden'
  /** It exists and differs, and `replace` is not set. */
  | 'exists'
  /** The server refuses the change, and it may not be recreated. */
  | 'immutable'
  /** The server (validation, a webhook, a policy) refuses the object in a dry run. */
  | 'refused'
  /** Anything else that an import would stop at. */
  | 'other';

export interface PlanProblem {
  readonly kind: ProblemKind;
  /** Whole sentences; several lines where it lists things. No secrets. */
  readonly message: string;
  /** What to do. */
  readonly hint?: string | undefined;
}
