import { daemonInputTable } from './daemon-table.ts';
import { vmInputTable } from './vm-table.ts';

/** The modes there are, in the order help and documents show them. */
export const modeNames = [
  'export',
  'plan',
  'import',
  'promote',
  'list',
  'verify',
  'clear',
  'teardown',
  'watch',
] as const;
export type Mode = (typeof modeNames)[number];

/** Modes that a workflow does not have: they run until they are stopped. */
export const cliModes: readonly Mode[] = ['watch'];

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
      'export -n shop --include vms --vms db --running-vms snapshot --path ./db.tar.xz',
    ],
  },
  plan: {
    description: 'Show what an import would change; never writes to the cluster.',
    examples: [
      'plan --context prod --path ./snapshots --namespace-map shop:shop-prod --replace',
      'plan --context prod --path s3://backups/stage --replace --plan-files plan.html,plan.json --exit-code',
    ],
  },
  import: {
    description: 'Bring a snapshot into the cluster.',
    examples: [
      'import --context prod --path ./snapshots --namespace-map shop:shop-prod',
      'import --path s3://backups/stage --snapshot 26-01-31_12-00-00 --replace --wait --timeout 10m',
      'import --context prod --path ./snapshots --replace --atomic --plan-id 26-01-31_12-05-00-9f86d081884c7d659a2feaa0c55ad015',
      'import --context prod --path ./db.tar.xz --name db-copy --storage-class-map fast:standard',
      'import --path ./snapshots --namespace-map shop:pr-42 --environment pr-42 --ttl 72h --replace-text stage.example.com=pr-42.example.com',
    ],
  },
  promote: {
    description: 'Export from one cluster and import into another in one step.',
    examples: [
      'promote --context stage --target-context prod --namespace shop --replace --atomic',
      'promote --context stage --target-context prod --namespace shop --dry-run',
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
  clear: {
    description: 'Delete stored snapshots: all of a path, or those that a retention does not keep.',
    examples: [
      'clear --path s3://backups/stage --retention last=7,daily=7,weekly=4,monthly=12 --dry-run',
      'clear --path ./snapshots --yes',
    ],
  },
  teardown: {
    description: 'Remove what imports with an environment have brought.',
    examples: ['teardown --environment pr-42', 'teardown --expired --dry-run'],
  },
  watch: {
    description: 'Keep the stored state up to date until it is stopped; not in a workflow.',
    examples: [
      "watch -n '*' --include releases,resources --path s3://backups/prod --layout tree --on-change --retention daily=14",
      'watch -n shop --path ./snapshots --interval 1h --listen 127.0.0.1:8080',
    ],
  },
};

/** The path that is used when none is given. */
export const DEFAULT_PATH = 'transship';

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
    description:
      'What to do: export, plan, import, promote, list, verify, clear or teardown; on the command line also watch.',
    group: 'What',
    placeholder: 'mode',
  },
  namespace: {
    description: 'Namespaces to take: names, globs, or * for all.',
    group: 'What',
    placeholder: 'list',
    list: true,
    defaultNote: {
      export: "the kubeconfig's current namespace",
      watch: "the kubeconfig's current namespace",
      promote: "the kubeconfig's current namespace",
      plan: 'all in the snapshot',
      import: 'all in the snapshot',
      teardown: 'all',
    },
  },
  include: {
    description:
      'What to take: releases (Helm releases with their history), resources (all other objects) and vms (virtual machines with their disks).',
    group: 'What',
    placeholder: 'list',
    list: true,
    default: { export: 'releases', promote: 'releases', watch: 'releases' },
    defaultNote: { plan: 'all in the snapshot', import: 'all in the snapshot' },
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
    default: {
      export: DEFAULT_PATH,
      plan: DEFAULT_PATH,
      import: DEFAULT_PATH,
      list: DEFAULT_PATH,
      verify: DEFAULT_PATH,
    },
    defaultNote: { promote: 'nothing is stored', clear: 'none: it has to be named', watch: 'none: it has to be named' },
  },
  snapshot: {
    description: 'Which snapshot to read: an id such as 26-01-31_12-00-00, or latest.',
    group: 'Storage',
    placeholder: 'id|latest',
    default: 'latest',
  },
  compression: {
    description: 'How archives are compressed: zstd, xz, gzip or none.',
    group: 'Storage',
    placeholder: 'method',
    defaultNote: 'zstd; for the archives of virtual machines xz',
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
  's3-sse': {
    description: 'How S3 encrypts what is written: AES256 (SSE-S3), aws:kms or aws:kms:dsse (SSE-KMS).',
    group: 'Storage',
    placeholder: 'method',
    defaultNote: "the bucket's setting",
  },
  's3-sse-kms-key-id': {
    description: 'The KMS key for s3-sse aws:kms and aws:kms:dsse: its id, ARN or alias.',
    group: 'Storage',
    placeholder: 'key',
    defaultNote: "the account's key for S3",
  },
  's3-sse-customer-key': {
    description: 'The key for S3 to encrypt and decrypt with, which it does not keep (SSE-C): 32 bytes in base64.',
    group: 'Storage',
    placeholder: 'base64',
    secret: true,
    cliInstead: 'Set the environment variable TRANSSHIP_S3_SSE_CUSTOMER_KEY: other processes can read a command line.',
  },
  'encrypt-to': {
    description: 'age public keys (age1…) that the snapshot is encrypted to; any one of their identities opens it.',
    group: 'Storage',
    placeholder: 'list',
    list: true,
    defaultNote: 'not encrypted',
  },
  identity: {
    description:
      'The age identities that open an encrypted snapshot: their text (AGE-SECRET-KEY-1…), or the path of a file.',
    group: 'Storage',
    placeholder: 'file',
    cliDescription: 'The file with the age identities that open an encrypted snapshot, as age-keygen writes it.',
    secret: true,
  },
  'allow-plaintext': {
    description:
      'Let an artifact of a public repository hold Secrets or release records without encryption, for all to read.',
    group: 'Storage',
    default: 'false',
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
  'target-kubeconfig': {
    description: 'The kubeconfig of the cluster to import into: its text, plain or base64, or the path of a file.',
    group: 'Cluster',
    placeholder: 'file',
    cliDescription: 'The kubeconfig file of the cluster to import into.',
    secret: true,
    defaultNote: 'kubeconfig',
  },
  'target-context': {
    description: 'The context of the cluster to import into.',
    group: 'Cluster',
    placeholder: 'name',
    defaultNote: "target-kubeconfig's current context",
  },
  'namespace-map': {
    description: 'Namespaces to rename on the way in, as from:to or from=to.',
    group: 'Import',
    placeholder: 'list',
    list: true,
  },
  'storage-class-map': {
    description: 'Storage classes to rename on the way in, as from:to or from=to.',
    group: 'Import',
    placeholder: 'list',
    list: true,
  },
  'image-map': {
    description:
      'Images to rename on the way in, as from=to: registries (registry.stage.example=registry.prod.example), repositories, or an image with its tag.',
    group: 'Import',
    placeholder: 'list',
    list: true,
  },
  'replace-text': {
    description:
      'Text to replace on the way in, everywhere but in names, as from=to, one a line; a transforms file can choose fields.',
    group: 'Import',
    placeholder: 'list',
    list: true,
  },
  transforms: {
    description: 'File of changes to make to objects on their way in; see docs/transforms.md.',
    group: 'Import',
    placeholder: 'file',
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
  prune: {
    description:
      'With replace and environment: delete what former imports for the environment brought and the snapshot no longer has. Never done to namespaces, CRDs, volumes and their claims.',
    group: 'Import',
    default: 'false',
  },
  atomic: {
    description: 'When the import fails, remove what it created and put back what it changed.',
    group: 'Import',
    default: 'false',
  },
  'plan-id': {
    description:
      'The plan to carry out, as mode plan gave it: when the snapshot, the inputs or anything the plan read has changed since, nothing is done.',
    group: 'Import',
    placeholder: 'id',
  },
  'dry-run': {
    description: 'Show what would be done and do nothing.',
    group: 'Import',
    default: 'false',
  },
  environment: {
    description:
      'The name of the environment that this is for, such as pr-42: what the import creates is labelled with it, for prune and teardown. Of teardown: the one to remove.',
    group: 'Import',
    placeholder: 'name',
  },
  ttl: {
    description: 'How long the environment is wanted, such as 72h or 7d: then teardown with expired removes it.',
    group: 'Import',
    placeholder: 'duration',
    defaultNote: 'for ever',
  },
  expired: {
    description: 'Remove all environments whose ttl has passed.',
    group: 'Import',
    default: 'false',
  },
  'plan-files': {
    description: 'Files to write the plan to; the ending chooses the form: .html, .json, .md or .txt.',
    group: 'Run',
    placeholder: 'list',
    list: true,
  },
  'exit-code': {
    description: 'Exit with status 3 (a workflow step: fail) when the plan has changes.',
    group: 'Run',
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
      'How long Helm may wait for hooks and, with wait, for readiness, for each release; how long an object is tried again that a webhook or controller is not ready for; and how long a virtual machine may show no progress.',
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
    description:
      'How much runs at once: requests to the cluster on export, releases on import, promote and teardown (objects: 16).',
    group: 'Run',
    placeholder: 'N',
    default: { export: '8', plan: '4', import: '4', promote: '4', teardown: '4', watch: '8' },
  },
  ...vmInputTable,
  ...daemonInputTable,
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
