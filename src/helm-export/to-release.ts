import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Node } from 'jsonc-parser';
import { TransshipError } from '../errors.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import { cutJson, jsonAt, parseNodes } from './cuts.ts';
import type { ConfigSchema, MetadataSchema } from './generated/hapi/chart_pb.ts';
import {
  Hook_Event,
  type HookSchema,
  type Release,
  ReleaseSchema,
  Status_Code,
  type TestSuiteSchema,
} from './generated/hapi/release_pb.ts';
import { RecordSchema } from './generated/transship/helm_export_pb.ts';
import { toTimestamp } from './times.ts';
import { eventWords, phaseWords, policyWords, statusWords } from './words.ts';

/** A record's file in an archive. */
export interface RecordFile {
  readonly path: string;
  /** Its first line: what is not in the payload. */
  readonly head: Uint8Array;
  /** The payload: a release's JSON as Helm stored it. */
  readonly json: string;
}

/** A schema is one of the chart's files to Helm 2. */
const SCHEMA_FILE = 'values.schema.json';
/** What Helm 2 gives a hook that says nothing else, in seconds: https://github.com/helm/helm/blob/v2.17.0/pkg/tiller/hooks.go */
const DELETE_TIMEOUT = 60n;
const MAX_INT32 = 2 ** 31 - 1;
/** What YAML may not hold as it is, or takes for a line break. */
const NOT_IN_YAML = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/**
 * The record as Helm 2 would have stored the release, with all that is needed to make its file again.
 *
 * @throws TransshipError `RECORD_INVALID` when its payload is no JSON
 */
export function toRelease({ path, head, json }: RecordFile): Release {
  try {
    const root = parseNodes(json);
    const release = fillRelease(json, root);
    release.transshipRecord = create(RecordSchema, { path, head, json: cutJson(json, root, release) });
    return release;
  } catch (error) {
    // The parser's message quotes the text, which may hold secrets.
    throw new TransshipError('RECORD_INVALID', `${path} can't be written: its release is no JSON.`, {
      hint: 'Delete or repair the record (helm history shows its release), or exclude the release.',
      cause: error instanceof SyntaxError ? undefined : error,
    });
  }
}

function fillRelease(json: string, root: Node): Release {
  const parsed: unknown = JSON.parse(json);
  const stored = isMap(parsed) ? parsed : {};
  const info = mapOf(stored.info);
  const chart = mapOf(stored.chart);
  const hooks = listOf(stored.hooks).map(mapOf);
  return create(ReleaseSchema, {
    name: textOf(stored.name),
    info: {
      status: {
        code: statusWords.toNumber(info.status) ?? Status_Code.UNKNOWN,
        notes: textOf(info.notes),
        ...some('lastTestSuiteRun', toTestSuite(hooks)),
      },
      ...some('firstDeployed', toTimestamp(info.first_deployed)),
      ...some('lastDeployed', toTimestamp(info.last_deployed)),
      ...some('deleted', toTimestamp(info.deleted)),
      Description: textOf(info.description),
    },
    chart: {
      metadata: toMetadata(mapOf(chart.metadata)),
      templates: listOf(chart.templates)
        .map(mapOf)
        .map(({ name, data }) => ({ name: textOf(name), data: bytesOf(data) })),
      ...some(
        'values',
        toConfig(chart.values, () => jsonAt(json, root, 'chart', 'values')),
      ),
      files: filesOf(chart).map(({ name, data }) => create(AnySchema, { typeUrl: textOf(name), value: bytesOf(data) })),
    },
    ...some(
      'config',
      toConfig(stored.config, () => jsonAt(json, root, 'config')),
    ),
    manifest: textOf(stored.manifest),
    hooks: hooks.map(toHook),
    version: int32Of(stored.version),
    namespace: textOf(stored.namespace),
  });
}

/** The lists keep their length: what is cut out is found by its place in them. */
function filesOf({ files, schema }: Record<string, unknown>): Record<string, unknown>[] {
  const own = listOf(files).map(mapOf);
  return typeof schema === 'string' && schema !== '' ? [...own, { name: SCHEMA_FILE, data: schema }] : own;
}

function toMetadata(metadata: Record<string, unknown>): MessageInitShape<typeof MetadataSchema> {
  const { annotations } = metadata;
  return {
    name: textOf(metadata.name),
    home: textOf(metadata.home),
    sources: stringsIn(metadata.sources).map(textOf),
    version: textOf(metadata.version),
    description: textOf(metadata.description),
    keywords: stringsIn(metadata.keywords).map(textOf),
    maintainers: mapsIn(metadata.maintainers).map(({ name, email, url }) => ({
      name: textOf(name),
      email: textOf(email),
      url: textOf(url),
    })),
    icon: textOf(metadata.icon),
    apiVersion: textOf(metadata.apiVersion),
    condition: textOf(metadata.condition),
    tags: textOf(metadata.tags),
    appVersion: textOf(metadata.appVersion),
    deprecated: metadata.deprecated === true,
    annotations: Object.fromEntries(
      Object.entries(mapOf(annotations)).map(([key, value]) => [textOf(key), textOf(value)]),
    ),
    kubeVersion: textOf(metadata.kubeVersion),
  };
}

/** JSON is YAML, so values are written as Helm stored them; none where there are none. */
function toConfig(value: unknown, text: () => string | undefined): MessageInitShape<typeof ConfigSchema> | undefined {
  if (!isMap(value)) return undefined;
  return {
    raw: (text() ?? '{}').replace(NOT_IN_YAML, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`),
  };
}

function toHook(hook: Record<string, unknown>): MessageInitShape<typeof HookSchema> {
  return {
    name: textOf(hook.name),
    kind: textOf(hook.kind),
    path: textOf(hook.path),
    manifest: textOf(hook.manifest),
    events: stringsIn(hook.events).map((event) => eventWords.toNumber(event) ?? Hook_Event.UNKNOWN),
    ...some('lastRun', toTimestamp(mapOf(hook.last_run).completed_at)),
    weight: int32Of(hook.weight),
    // Of a policy that Helm 2 did not have, any number would stand for another one.
    deletePolicies: stringsIn(hook.delete_policies).flatMap((policy) => policyWords.toNumber(policy) ?? []),
    deleteTimeout: DELETE_TIMEOUT,
  };
}

/** Helm 2 kept how tests went apart from the hooks. */
function toTestSuite(hooks: readonly Record<string, unknown>[]): MessageInitShape<typeof TestSuiteSchema> | undefined {
  const results = hooks.flatMap(({ name, events, last_run }) => {
    const { phase, started_at, completed_at } = mapOf(last_run);
    const status = phaseWords.toNumber(phase);
    const isTest = stringsIn(events).some((event) => /^test(-|$)/.test(event));
    if (!isTest || status === undefined) return [];
    const [startedAt, completedAt] = [toTimestamp(started_at), toTimestamp(completed_at)];
    return [{ name: textOf(name), status, ...some('startedAt', startedAt), ...some('completedAt', completedAt) }];
  });
  const [first, last] = [results[0], results.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  return { results, ...some('startedAt', first.startedAt), ...some('completedAt', last.completedAt) };
}

/** A field that is left out where it has no value. */
function some<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const field: { [P in K]?: V } = {};
  if (value !== undefined) field[key] = value;
  return field;
}

function mapOf(value: unknown): Record<string, unknown> {
  return isMap(value) ? value : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Protobuf takes no lone surrogates. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value.toWellFormed() : '';
}

function bytesOf(value: unknown): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : new Uint8Array();
}

function int32Of(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value)
    ? Math.max(-MAX_INT32, Math.min(MAX_INT32, Math.trunc(value)))
    : 0;
}
