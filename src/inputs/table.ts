/** The modes there are, in the order help and documents show them. */
export const modeNames = ['export', 'import', 'list', 'verify'] as const;
export type Mode = (typeof modeNames)[number];

/** A door to the program: the workflow step or the command line. */
export type Door = 'action' | 'cli';

/** What help and documents say of a mode. */
export interface ModeInfo {
  readonly description: string;
  /** Command lines, without the leading `transship`. */
  readonly examples: readonly string[];
}

export const modeTable: Readonly<Record<Mode, ModeInfo>> = {
  export: {
    description: 'Write a snapshot of the cluster to a backend.',
    examples: [
      'export --namespace shop,billing --path ./snapshots',
      "export -n '*' --context stage --path s3://backups/stage --s3-region eu-central-1",
      "export -n '*' --include releases,resources --exclude pods --path s3://backups/stage --layout tree",
    ],
  },
  import: {
    description: 'Bring a snapshot into the cluster.',
    examples: [
      'import --context prod --path ./snapshots --namespace-map shop:shop-prod',
      'import --path s3://backups/stage --snapshot 26-01-31_12-00-00 --replace --wait --timeout 10m',
    ],
  },
  list: {
    description: 'Show the snapshots a backend holds.',
    examples: ['list --path s3://backups/stage', 'list --path ./snapshots --output json'],
  },
  verify: {
    description: 'Check that a snapshot is whole, without a cluster.',
    examples: ['verify --path ./snapshots', 'verify --path s3://backups/stage --snapshot 26-01-31_12-00-00'],
  },
};

/** The headings inputs stand under. */
export const groupNames = ['What', 'Storage', 'Cluster', 'Import', 'Run'] as const;

/** What help, action.yml and README say of an input; what its text may be is in schema.ts. */
export interface InputInfo {
  readonly description: string;
  readonly group: (typeof groupNames)[number];
  /** What help calls its value; an input without one is a boolean. */
  readonly placeholder?: string;
  /** The text used when it is not given; by mode where modes differ. */
  readonly default?: string | Readonly<Partial<Record<Mode, string>>>;
  /** A default that is not one text, in words; by mode where modes differ. */
  readonly defaultNote?: string | Readonly<Partial<Record<Mode, string>>>;
  /** The expression that action.yml fills in when a workflow gives none. */
  readonly actionDefault?: string;
  /** Several values: the flag may be given more than once. */
  readonly list?: true;
  /** Masked before first use and never shown in an error. */
  readonly secret?: true;
  /** What help says instead of the description, where the command line takes it another way. */
  readonly cliDescription?: string;
  /** The command line does not take it as a flag; this says what to do there. */
  readonly cliInstead?: string;
}

export const inputTable = {
  mode: {
    description: 'What to do: export, import, list or verify.',
    group: 'What',
    placeholder: 'mode',
  },
  namespace: {
    description: 'Namespaces to take: names, globs, or * for all.',
    group: 'What',
    placeholder: 'list',
    list: true,
    defaultNote: { export: "the kubeconfig's current namespace", import: 'all in the snapshot' },
  },
  include: {
    description: 'What to take: releases (Helm releases with their history) and resources (all other objects).',
    group: 'What',
    placeholder: 'list',
    list: true,
    default: { export: 'releases' },
    defaultNote: { import: 'all in the snapshot' },
  },
  selector: {
    description: 'Label selector that the releases and objects to take must match, such as team=web,tier!=test.',
    group: 'What',
    placeholder: 'selector',
  },
  exclude: {
    description:
      'What to leave out, with * and ? where wanted: releases as name or namespace/name; resources as kind, kind/name or namespace/kind/name.',
    group: 'What',
    placeholder: 'list',
    list: true,
  },
  'cluster-resources': {
    description:
      'Which objects without a namespace to take with resources: needed (by what is taken of the namespaces), all or none.',
    group: 'What',
    placeholder: 'needed|all|none',
    default: 'needed',
  },
  'restore-status': {
    description: 'Kinds whose status travels too: kept on export, written back on import.',
    group: 'What',
    placeholder: 'list',
    list: true,
  },
  strict: {
    description: 'Fail when a kind of resource may not or cannot be listed; without it a warning names those.',
    group: 'What',
    default: 'false',
  },
  history: {
    description: 'How many of the newest revisions of each release travel: all or a number.',
    group: 'What',
    placeholder: 'all|N',
    default: 'all',
  },
  backend: {
    description: 'Where snapshots are kept: artifact, s3 or local.',
    group: 'Storage',
    placeholder: 'backend',
    defaultNote:
      'from path: s3://… is s3, a path with a slash is local; else artifact in a workflow, local on the command line',
  },
  path: {
    description: 'The place in the backend: s3://bucket/prefix, a folder or file, or the name of artifacts.',
    group: 'Storage',
    placeholder: 'path',
    default: 'transship',
  },
  snapshot: {
    description: 'Which snapshot to read: an id such as 26-01-31_12-00-00, or latest.',
    group: 'Storage',
    placeholder: 'id|latest',
    default: 'latest',
  },
  compression: {
    description: 'How the archive is compressed: zstd, xz, gzip or none.',
    group: 'Storage',
    placeholder: 'method',
    default: 'zstd',
  },
  layout: {
    description:
      'archive: one compressed file. tree: a folder of plain JSON files, <path>/<cluster>/backup/<id>/, for backends s3 and local.',
    group: 'Storage',
    placeholder: 'archive|tree',
    default: 'archive',
  },
  digest: {
    description:
      'The SHA-256 that the stored archive must have (sha256:…), as the export gave it; any other is refused.',
    group: 'Storage',
    placeholder: 'sha256:hex',
  },
  'run-id': {
    description: 'The workflow run whose artifacts to read; needs github-token with the permission actions: read.',
    group: 'Storage',
    placeholder: 'id',
    defaultNote: 'this run',
  },
  repository: {
    description: 'The repository of run-id, as owner/name.',
    group: 'Storage',
    placeholder: 'owner/name',
    defaultNote: 'this repository',
  },
  'retention-days': {
    description: 'Days until GitHub deletes the artifact.',
    group: 'Storage',
    placeholder: 'days',
    defaultNote: "the repository's setting",
  },
  's3-endpoint': {
    description: 'URL of an S3 service other than AWS.',
    group: 'Storage',
    placeholder: 'url',
    defaultNote: 'AWS',
  },
  's3-region': {
    description: 'Region of the bucket.',
    group: 'Storage',
    placeholder: 'region',
    defaultNote: 'from the AWS environment or profile',
  },
  's3-path-style': {
    description:
      'Put the bucket into the path of the URL and not into the host name, as most other S3 services want it.',
    group: 'Storage',
    defaultNote: 'true with s3-endpoint, else false',
  },
  kubeconfig: {
    description: 'The kubeconfig: its text, plain or base64, or the path of a file.',
    group: 'Cluster',
    placeholder: 'file|-',
    cliDescription: 'The kubeconfig file; - reads it from standard input.',
    secret: true,
    defaultNote: "$KUBECONFIG, ~/.kube/config, then the pod's service account",
  },
  context: {
    description: 'The context of the kubeconfig to use.',
    group: 'Cluster',
    placeholder: 'name',
    defaultNote: "the kubeconfig's current context",
  },
  'namespace-map': {
    description: 'Namespaces to rename on the way in, as from:to or from=to.',
    group: 'Import',
    placeholder: 'list',
    list: true,
  },
  replace: {
    description:
      'Upgrade releases and change objects that exist and differ. Without it, any of them stops the import before it changes anything.',
    group: 'Import',
    default: 'false',
  },
  recreate: {
    description:
      'With replace: delete and create objects whose change the cluster refuses because a field is immutable. Never done to namespaces, CRDs, volumes and their claims.',
    group: 'Import',
    default: 'false',
  },
  'no-hooks': {
    description: 'Do not run the hooks of the charts.',
    group: 'Import',
    default: 'false',
  },
  wait: {
    description: 'Wait until what each release brought is ready.',
    group: 'Import',
    default: 'false',
  },
  timeout: {
    description:
      'How long Helm may wait for hooks and, with wait, for readiness, for each release; and how long an object is tried again that a webhook or controller is not ready for.',
    group: 'Import',
    placeholder: 'duration',
    default: '5m',
  },
  'helm-version': {
    description: 'The version of Helm to use, downloaded and verified when it is not the one on PATH.',
    group: 'Import',
    placeholder: 'version',
    defaultNote: 'the helm on PATH',
  },
  concurrency: {
    description: 'How much runs at once: requests to the cluster on export, releases on import (objects: 16).',
    group: 'Run',
    placeholder: 'N',
    default: { export: '8', import: '4' },
  },
  'github-token': {
    description: 'Token to read artifacts of other runs and repositories with.',
    group: 'Run',
    placeholder: 'token',
    secret: true,
    actionDefault: '$' + '{{ github.token }}',
    cliInstead: 'Set the environment variable GITHUB_TOKEN: other processes can read a command line.',
  },
  summary: {
    description: 'Write a job summary.',
    group: 'Run',
    default: 'true',
    cliInstead: 'Leave it out: only a workflow step has a job summary.',
  },
} as const satisfies Readonly<Record<string, InputInfo>>;

export type InputName = keyof typeof inputTable;

/** Every input's name, in the order help and documents show them. */
export const inputNames: readonly InputName[] = Object.keys(inputTable).filter(isInputName);

export function isInputName(name: string): name is InputName {
  return Object.hasOwn(inputTable, name);
}

/** The text an input has when a mode is not given it. */
export function defaultOf(name: InputName, mode: Mode): string | undefined {
  return inMode(infoOf(name).default, mode);
}

/** What to tell a person that an input is when a mode is not given it: a text between backticks, or words. */
export function describeDefault(name: InputName, mode: Mode): string | undefined {
  const text = defaultOf(name, mode);
  return text === undefined ? inMode(infoOf(name).defaultNote, mode) : `\`${text}\``;
}

function inMode(value: string | Readonly<Partial<Record<Mode, string>>> | undefined, mode: Mode): string | undefined {
  return typeof value === 'object' ? value[mode] : value;
}

/** What is known of an input, with every optional field readable. */
export function infoOf(name: InputName): InputInfo {
  return inputTable[name];
}
