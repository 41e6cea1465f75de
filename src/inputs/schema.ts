import * as z from 'zod/mini';
import {
  type Parse,
  parseBoolean,
  parseChoice,
  parseDigest,
  parseDuration,
  parseEndpoint,
  parseExclude,
  parseHistory,
  parseInteger,
  parseKindName,
  parseList,
  parseNamespaceGlob,
  parseNamespaceMap,
  parsePattern,
  parseText,
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

const given = {
  storage: {
    backend: z.optional(text(parseChoice(...backendNames))),
    path: z.optional(text(parseText)),
    's3-endpoint': z.optional(text(parseEndpoint)),
    's3-region': z.optional(text(parsePattern(/^[a-z0-9-]+$/, 'is not a region. Give a name such as eu-central-1.'))),
    's3-path-style': z.optional(text(parseBoolean)),
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
  },
  selection: {
    namespace: z.optional(text(parseList(parseNamespaceGlob))),
    selector: z.optional(text(parseText)),
    exclude: z.optional(text(parseList(parseExclude))),
    'restore-status': z.optional(text(parseList(parseKindName))),
    history: z.prefault(text(parseHistory), inputTable.history.default),
  },
  cluster: {
    kubeconfig: z.optional(text(parseText)),
    context: z.optional(text(parseText)),
  },
  run: {
    'github-token': z.optional(text(parseText)),
    summary: z.prefault(text(parseBoolean), inputTable.summary.default),
  },
};

const include = text(parseList(parseChoice('releases', 'resources')));
const concurrency = text(parseInteger(1, 64));

/** The inputs of each mode; the names in it are the ones that belong to the mode. */
const shapes = {
  export: {
    mode: z.literal('export'),
    include: z.prefault(include, inputTable.include.default.export),
    ...given.selection,
    'cluster-resources': z.prefault(
      text(parseChoice('needed', 'all', 'none')),
      inputTable['cluster-resources'].default,
    ),
    strict: z.prefault(text(parseBoolean), inputTable.strict.default),
    ...given.storage,
    ...given.cluster,
    ...given.run,
    compression: z.prefault(text(parseChoice('zstd', 'xz', 'gzip', 'none')), inputTable.compression.default),
    layout: z.prefault(text(parseChoice('archive', 'tree')), inputTable.layout.default),
    'retention-days': z.optional(text(parseInteger(1, 400))),
    concurrency: z.prefault(concurrency, inputTable.concurrency.default.export),
  },
  import: {
    mode: z.literal('import'),
    include: z.optional(include),
    ...given.selection,
    ...given.storage,
    ...given.otherRun,
    ...given.reading,
    ...given.cluster,
    ...given.run,
    'namespace-map': z._default(text(parseNamespaceMap), {}),
    replace: z.prefault(text(parseBoolean), inputTable.replace.default),
    recreate: z.prefault(text(parseBoolean), inputTable.recreate.default),
    'no-hooks': z.prefault(text(parseBoolean), inputTable['no-hooks'].default),
    wait: z.prefault(text(parseBoolean), inputTable.wait.default),
    timeout: z.prefault(text(parseDuration), inputTable.timeout.default),
    'helm-version': z.optional(
      text(parsePattern(/^v?\d+\.\d+\.\d+(-[\w.]+)?$/, 'is not a version of Helm. Give it whole, such as v4.3.1.')),
    ),
    concurrency: z.prefault(concurrency, inputTable.concurrency.default.import),
  },
  list: { mode: z.literal('list'), ...given.storage, ...given.otherRun, ...given.run },
  verify: { mode: z.literal('verify'), ...given.storage, ...given.otherRun, ...given.reading, ...given.run },
};

/** Every mode's inputs, told apart by `mode`; a name that does not belong to the mode is refused. */
export const schema = z.discriminatedUnion('mode', [
  z.strictObject(shapes.export),
  z.strictObject(shapes.import),
  z.strictObject(shapes.list),
  z.strictObject(shapes.verify),
]);

/** The modes an input belongs to. */
export function modesOf(name: InputName): Mode[] {
  return modeNames.filter((mode) => Object.hasOwn(shapes[mode], name));
}
