import * as z from 'zod/mini';
import { parseRetention } from './parse-retention.ts';
import {
  type Parse,
  parseBoolean,
  parseChoice,
  parseClassMap,
  parseCustomerKey,
  parseDigest,
  parseDuration,
  parseEndpoint,
  parseExclude,
  parseHistory,
  parseImageMap,
  parseInteger,
  parseKindName,
  parseList,
  parseNamespaceGlob,
  parseNamespaceMap,
  parsePattern,
  parseReplaceText,
  parseText,
  parseTtl,
  parseVmPattern,
} from './parsers.ts';
import { type InputName, inputTable, type Mode, modeNames } from './table.ts';

export const backendNames = ['artifact', 's3', 'local'] as const;
export type BackendName = (typeof backendNames)[number];

/** A schema from the text a user gives to the value the program works with. */
function text<T>(parse: Parse<T>) {
  return z.pipe(
    z.string(),
    z.transform((given: string, context) => {
      const parsed = parse(given);
      if ('value' in parsed) return parsed.value;
      context.issues.push({ code: 'custom', message: parsed.problem, input: given });
      return z.NEVER;
    }),
  );
}

/** What most inputs are: a boolean that is false unless given. */
const no = z.prefault(text(parseBoolean), 'false');

const given = {
  storage: {
    backend: z.optional(text(parseChoice(...backendNames))),
    path: z.optional(text(parseText)),
    's3-endpoint': z.optional(text(parseEndpoint)),
    's3-region': z.optional(text(parsePattern(/^[a-z0-9-]+$/, 'is not a region. Give a name such as eu-central-1.'))),
    's3-path-style': z.optional(text(parseBoolean)),
    's3-sse-customer-key': z.optional(text(parseCustomerKey)),
  },
  writing: {
    compression: z.optional(text(parseChoice('zstd', 'xz', 'gzip', 'none'))),
    layout: z.prefault(text(parseChoice('archive', 'tree')), inputTable.layout.default),
    'retention-days': z.optional(text(parseInteger(1, 400))),
    's3-sse': z.optional(text(parseChoice('AES256', 'aws:kms', 'aws:kms:dsse'))),
    's3-sse-kms-key-id': z.optional(text(parseText)),
    'encrypt-to': z.optional(
      text(
        parseList(
          parsePattern(
            /^age1[a-z0-9]{8,4000}$/,
            'is not an age public key. Give one that begins with age1, as age-keygen prints it.',
          ),
        ),
      ),
    ),
    'allow-plaintext': no,
  },
  otherRun: {
    'run-id': z.optional(text(parseInteger(1, Number.MAX_SAFE_INTEGER))),
    repository: z.optional(
      text(parsePattern(/^[\w.-]+\/[\w.-]+$/, 'is not a repository. Give owner/name, such as octo-org/shop.')),
    ),
  },
  reading: {
    snapshot: z.prefault(
      text(
        parsePattern(
          /^(latest|\d\d-\d\d-\d\d_\d\d-\d\d-\d\d)$/,
          'is not a snapshot. Give latest, or an id such as 26-01-31_12-00-00; mode list shows them.',
        ),
      ),
      inputTable.snapshot.default,
    ),
    digest: z.optional(text(parseDigest)),
    identity: z.optional(text(parseText)),
  },
  format: z.prefault(text(parseChoice('archive', 'helm-export')), inputTable.format.default),
  managing: {
    manager: z.optional(
      text(
        parsePattern(
          /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9]([a-z0-9.-]{0,51}[a-z0-9])?$/,
          'is not a manager. Give namespace/release, such as transship/transship.',
        ),
      ),
    ),
    'take-over': no,
    retention: z.optional(text(parseRetention)),
  },
  selection: {
    namespace: z.optional(text(parseList(parseNamespaceGlob))),
    selector: z.optional(text(parseText)),
    exclude: z.optional(text(parseList(parseExclude))),
    'restore-status': z.optional(text(parseList(parseKindName))),
    history: z.prefault(text(parseHistory), inputTable.history.default),
    vms: z.optional(text(parseList(parseVmPattern))),
  },
  gathering: {
    'cluster-resources': z.prefault(
      text(parseChoice('needed', 'all', 'none')),
      inputTable['cluster-resources'].default,
    ),
    strict: no,
  },
  collectingVms: {
    'vm-snapshots': z.optional(text(parseList(parseVmPattern))),
    pvcs: z.optional(text(parseList(parseVmPattern))),
    'running-vms': z.prefault(text(parseChoice('error', 'snapshot', 'stop')), inputTable['running-vms'].default),
    'vm-links': z.prefault(
      text(parseChoice('auto', 'internal', 'external', 'port-forward')),
      inputTable['vm-links'].default,
    ),
    'vm-export-ttl': z.prefault(text(parseTtl), inputTable['vm-export-ttl'].default),
  },
  cluster: {
    kubeconfig: z.optional(text(parseText)),
    context: z.optional(text(parseText)),
  },
  environment: z.optional(
    text(
      parsePattern(
        /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/,
        "is not an environment's name. Give at most 63 letters, digits, -, _ and ., such as pr-42.",
      ),
    ),
  ),
  helm: {
    'no-hooks': no,
    timeout: z.prefault(text(parseDuration), inputTable.timeout.default),
    'helm-version': z.optional(
      text(parsePattern(/^v?\d+\.\d+\.\d+(-[\w.]+)?$/, 'is not a version of Helm. Give it whole, such as v4.3.1.')),
    ),
  },
  run: {
    'github-token': z.optional(text(parseText)),
    summary: z.prefault(text(parseBoolean), inputTable.summary.default),
  },
};

const include = text(parseList(parseChoice('releases', 'resources', 'vms')));
const watchInclude = text(
  parseList((what) =>
    what === 'vms'
      ? {
          problem:
            '"vms" is not for mode watch: changes of disks cannot be watched. Export virtual machines on a schedule, with mode export.',
        }
      : parseChoice('releases', 'resources')(what),
  ),
);
const { vms: _vms, ...watchedSelection } = given.selection;
/** Artifacts are not for it. */
const { 'retention-days': _days, 'allow-plaintext': _plain, ...watchedWriting } = given.writing;
const concurrency = text(parseInteger(1, 64));

/** What the modes that bring things into a cluster have in common; `plan` takes all of it, so that it can be given the same. */
const importing = {
  ...given.helm,
  'namespace-map': z._default(text(parseNamespaceMap), {}),
  'storage-class-map': z._default(text(parseClassMap), {}),
  'image-map': z._default(text(parseImageMap), {}),
  'replace-text': z._default(text(parseReplaceText), {}),
  transforms: z.optional(text(parseText)),
  replace: no,
  recreate: no,
  prune: no,
  atomic: no,
  environment: given.environment,
  ttl: z.optional(text(parseTtl)),
  wait: no,
  name: z.optional(
    text(
      parsePattern(
        /^(?=.{1,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/,
        "is not a virtual machine's name. Give at most 63 lower-case letters, digits, - and ., such as db-copy.",
      ),
    ),
  ),
  'vm-identity': z.prefault(text(parseChoice('new', 'keep')), inputTable['vm-identity'].default),
  'run-strategy': z.optional(text(parseChoice('Always', 'Halted', 'Manual', 'RerunOnFailure', 'Once'))),
  'manager-path': z.optional(text(parseText)),
  concurrency: z.prefault(concurrency, inputTable.concurrency.default.import),
};

const planFiles = z.optional(
  text(
    parseList(
      parsePattern(
        /\.(html|json|md|txt)$/,
        'is no file for a plan. Give a path that ends in .html, .json, .md or .txt.',
      ),
    ),
  ),
);

/** The inputs of each mode; the names in it are the ones that belong to the mode. */
const shapes = {
  export: {
    mode: z.literal('export'),
    include: z.prefault(include, inputTable.include.default.export),
    ...given.selection,
    ...given.gathering,
    ...given.collectingVms,
    ...given.storage,
    ...given.writing,
    format: given.format,
    ...given.managing,
    ...given.cluster,
    ...given.run,
    timeout: given.helm.timeout,
    concurrency: z.prefault(concurrency, inputTable.concurrency.default.export),
  },
  plan: {
    mode: z.literal('plan'),
    include: z.optional(include),
    ...given.selection,
    ...given.storage,
    ...given.otherRun,
    ...given.reading,
    ...given.cluster,
    ...importing,
    ...given.run,
    'plan-files': planFiles,
    'exit-code': no,
  },
  import: {
    mode: z.literal('import'),
    include: z.optional(include),
    ...given.selection,
    ...given.storage,
    ...given.otherRun,
    ...given.reading,
    ...given.cluster,
    ...importing,
    ...given.run,
    'plan-id': z.optional(
      text(
        parsePattern(
          /^\d\d-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{32}$/,
          "is not a plan's id. Give the output plan-id of mode plan, such as 26-01-31_12-05-00-9f86d081884c7d659a2feaa0c55ad015.",
        ),
      ),
    ),
    'dry-run': no,
    'plan-files': planFiles,
  },
  promote: {
    mode: z.literal('promote'),
    include: z.prefault(include, inputTable.include.default.promote),
    ...given.selection,
    ...given.gathering,
    ...given.collectingVms,
    ...given.storage,
    ...given.writing,
    format: given.format,
    ...given.cluster,
    'target-kubeconfig': z.optional(text(parseText)),
    'target-context': z.optional(text(parseText)),
    ...importing,
    ...given.run,
    'dry-run': no,
    'plan-files': planFiles,
  },
  list: { mode: z.literal('list'), ...given.storage, ...given.otherRun, ...given.run },
  verify: { mode: z.literal('verify'), ...given.storage, ...given.otherRun, ...given.reading, ...given.run },
  clear: {
    mode: z.literal('clear'),
    ...given.storage,
    ...given.otherRun,
    retention: given.managing.retention,
    'dry-run': no,
    yes: no,
    ...given.run,
  },
  watch: {
    mode: z.literal('watch'),
    include: z.prefault(watchInclude, inputTable.include.default.watch),
    ...watchedSelection,
    ...given.gathering,
    ...given.storage,
    ...watchedWriting,
    ...given.managing,
    ...given.cluster,
    interval: z.prefault(text(parseTtl), inputTable.interval.default),
    'on-change': no,
    settle: z.prefault(text(parseDuration), inputTable.settle.default),
    'push-retry': z.prefault(text(parseDuration), inputTable['push-retry'].default),
    listen: z.optional(
      text(
        parsePattern(
          /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]*):\d{1,5}$/,
          'is no place to listen. Give host:port, such as 127.0.0.1:8080, or :8080.',
        ),
      ),
    ),
    concurrency: z.prefault(concurrency, inputTable.concurrency.default.watch),
    ...given.run,
  },
  teardown: {
    mode: z.literal('teardown'),
    environment: given.environment,
    expired: no,
    namespace: given.selection.namespace,
    ...given.cluster,
    ...given.helm,
    'dry-run': no,
    concurrency: z.prefault(concurrency, inputTable.concurrency.default.teardown),
    ...given.run,
  },
};

/** Every mode's inputs, told apart by `mode`; a name that does not belong to the mode is refused. */
export const schema = z.discriminatedUnion('mode', [
  z.strictObject(shapes.export),
  z.strictObject(shapes.plan),
  z.strictObject(shapes.import),
  z.strictObject(shapes.promote),
  z.strictObject(shapes.list),
  z.strictObject(shapes.verify),
  z.strictObject(shapes.clear),
  z.strictObject(shapes.teardown),
  z.strictObject(shapes.watch),
]);

/** The modes an input belongs to. */
export function modesOf(name: InputName): Mode[] {
  return modeNames.filter((mode) => Object.hasOwn(shapes[mode], name));
}
