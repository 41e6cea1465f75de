import type { StoredSnapshot } from './backends/backend.ts';
import type { Mode } from './inputs/table.ts';
import type { Plan } from './plan/plan.ts';
import type {
  Counts,
  ObjectFailure,
  Outcome,
  ReleaseResult,
  RemovedItem,
  ResourceResult,
  VmResult,
} from './report/results.ts';

/** What a run gives back: the Action's outputs and the object `--output json` prints. */
export interface Outputs {
  readonly snapshot?: string | undefined;
  readonly location?: string | undefined;
  readonly 'artifact-id'?: number | undefined;
  readonly 'artifact-url'?: string | undefined;
  /** `sha256:<hex>` of the stored archive, of a tree that of its file `manifest`. */
  readonly digest?: string | undefined;
  /** Bytes of the stored archive or tree. */
  readonly size?: number | undefined;
  readonly releases?: readonly ReleaseResult[] | undefined;
  readonly resources?: readonly ResourceResult[] | undefined;
  readonly vms?: readonly VmResult[] | undefined;
  readonly counts?: Counts | undefined;
  readonly changed?: boolean | undefined;
  readonly failures?: readonly ObjectFailure[] | undefined;
  readonly 'plan-id'?: string | undefined;
  /** In `--output json` only: it may be larger than what a workflow's outputs take. */
  readonly plan?: Plan | undefined;
  readonly snapshots?: readonly StoredSnapshot[] | undefined;
  /** What was deleted of a backend, or would be in a dry run. */
  readonly removed?: readonly RemovedItem[] | undefined;
}

export type OutputName = Exclude<keyof Outputs, 'plan'>;

/** What action.yml and README say of an output. */
export interface OutputInfo {
  readonly description: string;
  readonly modes: readonly Mode[];
  readonly example: string;
}

export const outputTable: Readonly<Record<OutputName, OutputInfo>> = {
  snapshot: {
    description: 'Id of the snapshot; of list: of the newest complete one; of watch: of the last that was stored.',
    modes: ['export', 'plan', 'import', 'promote', 'list', 'verify', 'watch'],
    example: '26-01-31_12-00-00',
  },
  location: {
    description: 'Where the snapshot is kept: a file, an s3:// URL or the page of an artifact.',
    modes: ['export', 'plan', 'import', 'promote', 'list', 'verify', 'watch'],
    example: 's3://backups/stage/transship-26-01-31_12-00-00.tar.zst',
  },
  'artifact-id': {
    description: 'Id of the artifact, for backend artifact.',
    modes: ['export', 'plan', 'import', 'promote', 'list', 'verify'],
    example: '1234567890',
  },
  'artifact-url': {
    description: 'Page of the artifact, for backend artifact.',
    modes: ['export', 'promote'],
    example: 'https://github.com/octo-org/shop/actions/runs/1/artifacts/1234567890',
  },
  digest: {
    description:
      'SHA-256 of the stored archive, of a tree that of its file manifest; give it to the import as its digest.',
    modes: ['export', 'plan', 'import', 'promote', 'list', 'verify', 'watch'],
    example: 'sha256:9f86d081…',
  },
  size: {
    description: 'Size of the stored snapshot in bytes, with the archives of its virtual machines.',
    modes: ['export', 'plan', 'import', 'promote', 'list', 'verify', 'watch'],
    example: '482113',
  },
  releases: {
    description: 'JSON array of the Helm releases and what became of each.',
    modes: ['export', 'import', 'promote', 'verify', 'teardown'],
    example: '[{"name":"web","namespace":"shop","outcome":"created",…}]',
  },
  resources: {
    description: 'JSON array with a row for each kind of resource: how many objects, and what became of them.',
    modes: ['export', 'import', 'promote', 'verify', 'teardown'],
    example: '[{"apiVersion":"v1","kind":"ConfigMap","resource":"configmaps","exported":12,…}]',
  },
  vms: {
    description: 'JSON array of the virtual machines, with their volumes and what became of each.',
    modes: ['export', 'import', 'promote', 'verify'],
    example: '[{"kind":"vm","name":"db","namespace":"shop","outcome":"created",…}]',
  },
  counts: {
    description:
      'JSON object: how many releases, objects and virtual machines were (of plan: would be) created, updated, unchanged, deleted, skipped and failed.',
    modes: ['plan', 'import', 'promote', 'teardown'],
    example: '{"created":2,"updated":0,"unchanged":0,"deleted":0,"skipped":0,"failed":0}',
  },
  changed: {
    description: 'Whether anything in the cluster changed; of plan: would change.',
    modes: ['plan', 'import', 'promote', 'teardown'],
    example: 'true',
  },
  failures: {
    description:
      'JSON array of the objects that failed, or were skipped because of that, and why; of what could not be deleted of a backend; the first 500 in a workflow.',
    modes: ['import', 'promote', 'teardown', 'export', 'clear'],
    example: '[{"object":"Deployment shop/web","outcome":"failed","message":"…"}]',
  },
  'plan-id': {
    description: 'Id of the plan; give it to the import, so that it does what was planned or nothing.',
    modes: ['plan'],
    example: '26-01-31_12-05-00-9f86d081884c7d659a2feaa0c55ad015',
  },
  snapshots: {
    description: 'JSON array of the snapshots there are, newest first.',
    modes: ['list'],
    example: '[{"id":"26-01-31_12-00-00","state":"complete",…}]',
  },
  removed: {
    description: 'JSON array of what was deleted of the backend, or in a dry run would be.',
    modes: ['export', 'clear'],
    example: '[{"what":"snapshot","id":"26-01-31_12-00-00","location":"…","size":482113}]',
  },
};

export const outputNames: readonly OutputName[] = Object.keys(outputTable).filter(isOutputName);

function isOutputName(name: string): name is OutputName {
  return Object.hasOwn(outputTable, name);
}

/** GitHub takes 1 MiB of outputs from a job. The summary and the log have the rest. */
const MOST_FAILURES = 500;

/** The outputs there are, as the texts a workflow reads: structures as JSON on one line. */
export function formatOutputs(outputs: Outputs): [OutputName, string][] {
  return outputNames.flatMap((name): [OutputName, string][] => {
    const value = name === 'failures' ? outputs.failures?.slice(0, MOST_FAILURES) : outputs[name];
    if (value === undefined) return [];
    return [[name, typeof value === 'string' ? value : JSON.stringify(value)]];
  });
}

/** The outputs as `--output json` prints them: always in the same order, ending in a line break. */
export function formatOutputsJson(outputs: Outputs): string {
  const ordered = Object.fromEntries([...outputNames, 'plan' as const].map((name) => [name, outputs[name]]));
  return `${JSON.stringify(ordered, undefined, 2)}\n`;
}

/** Counts by what became of each; what was `exported` is not counted: nothing in the cluster became of it. */
export function countOutcomes(
  releases: readonly ReleaseResult[],
  resources: readonly ResourceResult[] = [],
  vms: readonly VmResult[] = [],
): Counts {
  const count = (outcome: Exclude<Outcome, 'exported'>) =>
    [...releases, ...vms].filter((one) => one.outcome === outcome).length +
    resources.reduce((sum, row) => sum + row[outcome], 0);
  return {
    created: count('created'),
    updated: count('updated'),
    unchanged: count('unchanged'),
    deleted: count('deleted'),
    skipped: count('skipped'),
    failed: count('failed'),
  };
}

/** Whether any of the things counted changed the cluster. */
export function hasChanges(counts: Counts): boolean {
  return counts.created + counts.updated + counts.deleted > 0;
}
