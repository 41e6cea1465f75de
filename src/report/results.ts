/** What became of one release in a run. */
export type Outcome = 'exported' | 'created' | 'updated' | 'unchanged' | 'deleted' | 'skipped' | 'failed';

/** One row of the summary, the `releases` output and `--output json`. */
export interface ReleaseResult {
  readonly name: string;
  /** The namespace it is in now: on import, after the namespace map. */
  readonly namespace: string;
  readonly chart: string;
  readonly chartVersion: string;
  readonly appVersion: string;
  /** The revision that runs. */
  readonly revision: number;
  /** How many revisions travelled. */
  readonly revisions: number;
  readonly status: string;
  readonly outcome: Outcome;
  /** For `failed` and `skipped`: why, in Helm's own words where Helm said it. */
  readonly message?: string | undefined;
  /** It was skipped on purpose, which is no failure. */
  readonly leftOut?: true | undefined;
}

/** What became of one virtual machine, or claim alone: a row of the summary and of the `vms` output. */
export interface VmResult {
  readonly kind: 'vm' | 'snapshot' | 'pvc';
  /** Of the machine, or of the claim: on import, as it is called at the target. */
  readonly name: string;
  readonly namespace: string;
  readonly outcome: Outcome;
  /** Its disks and folders, and their bytes uncompressed. */
  readonly volumes: readonly { readonly claim: string; readonly contents: 'disk' | 'files'; readonly size: number }[];
  /** Bytes of its archive as stored; absent where none was stored or read. */
  readonly size?: number | undefined;
  /** Of its archive. */
  readonly location?: string | undefined;
  /** Stored bytes of an interrupted export that were gone on with. */
  readonly resumed?: number | undefined;
  readonly message?: string | undefined;
}

/** What became of the objects of one kind: a row of the summary and of the `resources` output. */
export interface ResourceResult {
  readonly apiVersion: string;
  readonly kind: string;
  /** The plural, such as `deployments`. */
  readonly resource: string;
  readonly exported: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly deleted: number;
  readonly skipped: number;
  readonly failed: number;
}

/** One object that failed, or was skipped because something else failed: an item of the `failures` output. */
export interface ObjectFailure {
  /** Such as `Deployment shop/web`; after the namespace map. */
  readonly object: string;
  readonly outcome: 'failed' | 'skipped';
  /** Why, in the words of who said it. */
  readonly message: string;
}

/** Something that was deleted of a backend. */
export interface RemovedItem {
  readonly what: 'snapshot' | 'unfinished' | 'upload' | 'parts' | 'plan';
  /** Of a snapshot. */
  readonly id?: string | undefined;
  /** The folder of a snapshot in layout tree. */
  readonly cluster?: string | undefined;
  readonly location: string;
  /** Bytes, as far as known. */
  readonly size?: number | undefined;
  /** Whole seconds since it was made, or was last written to. */
  readonly age?: number | undefined;
}

/** Counts by outcome of everything a run touched. */
export interface Counts {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly deleted: number;
  readonly skipped: number;
  readonly failed: number;
}
