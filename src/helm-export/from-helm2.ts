import type { Entry } from '../archive/entry.ts';
import { TransshipError } from '../errors.ts';
import { recordObjectName } from '../releases/record.ts';
import { recordToEntry } from '../releases/record-entry.ts';
import { readYamlObject } from '../transforms/yaml-object.ts';
import type { Chart, Config, Metadata } from './generated/hapi/chart_pb.ts';
import type { Hook, Release, TestSuite } from './generated/hapi/release_pb.ts';
import { toGoTime } from './times.ts';
import { eventWords, phaseWords, policyWords, statusWords } from './words.ts';

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** Of Helm 3: https://github.com/helm/helm/blob/v3.22.0/pkg/chartutil/validate_name.go */
const MAX_NAME = 53;

/**
 * The record that Helm 3 would have of a release of Helm 2, made as its plugin 2to3 makes it:
 * https://github.com/helm/helm-2to3/blob/v0.10.3/pkg/v3/release.go. Subcharts are left behind, as Helm 3 stores none.
 *
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a release that Helm 3 can't hold
 */
export function convertRelease(release: Release): Entry {
  const { name, namespace, version: revision, info } = release;
  if (!NAME.test(name) || name.length > MAX_NAME) throw unsupported(release, `the name ${JSON.stringify(name)}`);
  if (!NAMESPACE.test(namespace)) throw unsupported(release, `the namespace ${JSON.stringify(namespace)}`);
  if (revision <= 0) throw unsupported(release, `the revision ${revision}`);
  const status = statusWords.toWord(info?.status?.code ?? 0) ?? 'unknown';
  const createdAt = info?.lastDeployed?.seconds;
  const stored = {
    name,
    info: {
      first_deployed: toGoTime(info?.firstDeployed),
      last_deployed: toGoTime(info?.lastDeployed),
      deleted: toGoTime(info?.deleted),
      description: info?.Description || undefined,
      status,
      notes: info?.status?.notes || undefined,
    },
    chart: release.chart && convertChart(release, release.chart),
    config: readValues(release, release.config),
    manifest: release.manifest || undefined,
    hooks: release.hooks.map((hook) => convertHook(hook, info?.status?.lastTestSuiteRun)),
    version: revision,
    namespace,
  };
  const labels = {
    ...(createdAt === undefined ? {} : { createdAt: String(createdAt) }),
    name,
    owner: 'helm',
    status,
    version: String(revision),
  };
  const objectName = recordObjectName(name, revision);
  const head = {
    driver: 'secret',
    namespace,
    release: name,
    revision,
    encoding: 'gzip',
    labels,
    objectName,
    status,
  } as const;
  return recordToEntry(head, Buffer.from(JSON.stringify(stored), 'utf8'));
}

function convertChart(release: Release, { metadata, templates, values, files }: Chart) {
  return {
    metadata: metadata && convertMetadata(metadata),
    lock: null,
    templates: templates.map(({ name, data }) => ({ name, data: toBase64(data) })),
    values: readValues(release, values) ?? {},
    schema: null,
    files: files.map(({ typeUrl, value }) => ({ name: typeUrl, data: toBase64(value) })),
  };
}

function convertMetadata(metadata: Metadata) {
  const { name, home, sources, version, description, keywords, maintainers, icon } = metadata;
  return {
    name: name || undefined,
    home: home || undefined,
    sources: some(sources),
    version: version || undefined,
    description: description || undefined,
    keywords: some(keywords),
    maintainers: some(
      maintainers.map((one) => ({ name: one.name, email: one.email || undefined, url: one.url || undefined })),
    ),
    icon: icon || undefined,
    apiVersion: metadata.apiVersion || 'v1',
    condition: metadata.condition || undefined,
    tags: metadata.tags || undefined,
    appVersion: metadata.appVersion || undefined,
    deprecated: metadata.deprecated || undefined,
    annotations: Object.keys(metadata.annotations).length === 0 ? undefined : metadata.annotations,
    kubeVersion: metadata.kubeVersion || undefined,
    type: 'application',
  };
}

function convertHook(hook: Hook, tests: TestSuite | undefined) {
  const run = tests?.results.find(({ name }) => name === hook.name);
  return {
    name: hook.name,
    kind: hook.kind,
    path: hook.path,
    manifest: hook.manifest,
    events: [...new Set(hook.events.flatMap((event) => eventWords.toWord(event) ?? []))],
    last_run: {
      started_at: toGoTime(run?.startedAt),
      completed_at: toGoTime(run?.completedAt),
      phase: run === undefined ? '' : (phaseWords.toWord(run.status) ?? 'Unknown'),
    },
    weight: hook.weight || undefined,
    delete_policies: some(hook.deletePolicies.flatMap((policy) => policyWords.toWord(policy) ?? [])),
  };
}

/** Values as Helm 2 parsed them; undefined where there are none. */
function readValues(release: Release, config: Config | undefined): unknown {
  if (config === undefined || config.raw.trim() === '') return undefined;
  try {
    return readYamlObject(config.raw).value() ?? undefined;
  } catch {
    // What the parser says could quote the text, which may hold secrets.
    throw unsupported(release, 'values that are no YAML');
  }
}

function some<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length === 0 ? undefined : items;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function unsupported({ name, version }: Release, what: string): TransshipError {
  return new TransshipError(
    'ARCHIVE_UNSUPPORTED',
    `Revision ${version} of release ${JSON.stringify(name)} of the helm-export file has ${what}, which Helm 3 can't hold.`,
    { hint: 'Make the file again without this release.' },
  );
}
