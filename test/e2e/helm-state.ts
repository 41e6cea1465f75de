import { gunzipSync } from 'node:zlib';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import type { ClusterUnderTest, FixtureRelease } from './fixtures.ts';
import type { Helm } from './helm.ts';
import { liveObject } from './live-object.ts';
import { capture } from './run-command.ts';

/** One stored revision, as it lies in the cluster. */
export interface StoredRecord {
  readonly object: 'Secret' | 'ConfigMap';
  readonly objectName: string;
  readonly type: string | undefined;
  readonly labels: Record<string, string>;
  /** The decoded JSON, byte for byte as Helm wrote it. */
  readonly json: string;
}

/** The fields of a record that the tests look into. */
export interface ParsedRecord {
  readonly name: string;
  readonly namespace: string;
  readonly version: number;
  readonly manifest: string;
  readonly apply_method?: string;
  readonly info: { readonly status: string; readonly description: string };
  readonly hooks?: readonly { name: string; manifest: string; events: string[]; last_run: object }[];
  readonly chart: { readonly metadata: { readonly name: string; readonly version: string } };
}

export const parseRecord = (record: StoredRecord): ParsedRecord => JSON.parse(record.json);

/** All records of a cluster: `namespace/release` to revision to record. */
export type Records = Map<string, Map<number, StoredRecord>>;

/** Reads every record of both drivers in all namespaces. */
export async function readRecords(cluster: ClusterUnderTest, kubectl: string): Promise<Records> {
  const list = [
    '--kubeconfig',
    cluster.kubeconfig,
    'get',
    'secrets,configmaps',
    '-A',
    '-l',
    'owner=helm',
    '-o',
    'json',
  ];
  const { items }: { items: KubeObject[] } = JSON.parse(await capture(kubectl, list));
  const records: Records = new Map();
  for (const item of items) {
    const labels = item.metadata.labels ?? {};
    const key = `${item.metadata.namespace}/${labels.name}`;
    const revisions = records.get(key) ?? new Map<number, StoredRecord>();
    revisions.set(Number(labels.version), {
      object: item.kind === 'Secret' ? 'Secret' : 'ConfigMap',
      objectName: item.metadata.name,
      type: typeof item.type === 'string' ? item.type : undefined,
      labels,
      json: decode(item),
    });
    records.set(key, new Map([...revisions].sort(([a], [b]) => a - b)));
  }
  return records;
}

function decode(object: KubeObject): string {
  const data = object.data;
  const stored = typeof data === 'object' && data !== null && 'release' in data ? String(data.release) : '';
  const text = object.kind === 'Secret' ? Buffer.from(stored, 'base64').toString('latin1') : stored;
  return gunzipSync(Buffer.from(text, 'base64')).toString('utf8');
}

/** The revisions of one release; fails when there is none. */
export function recordsOf(records: Records, namespace: string, name: string): Map<number, StoredRecord> {
  const found = records.get(`${namespace}/${name}`);
  if (found === undefined) throw new Error(`There is no record of ${namespace}/${name}.`);
  return found;
}

/** What the real Helm says of a release. */
export interface HelmView {
  readonly history: unknown;
  readonly all: string;
}

/** `helm history` and `helm get all` (values, computed values, hooks, manifest, notes) as they are printed. */
export async function readHelmView(helm: Helm, release: FixtureRelease): Promise<HelmView> {
  const env = { HELM_DRIVER: release.driver };
  const where = [release.name, '-n', release.namespace];
  const [history, all] = await Promise.all([
    helm.run(['history', ...where, '-o', 'json', '--max', '1000'], env),
    helm.run(['get', 'all', ...where], env),
  ]);
  return { history: JSON.parse(history), all };
}

/**
 * The live objects of a manifest, by kind and name, without what only the server, its controllers or the time of
 * creation decide. What does not exist is left out.
 */
export async function readLive(
  cluster: ClusterUnderTest,
  kubectl: string,
  namespace: string,
  manifest: string,
): Promise<Record<string, unknown>> {
  const get = ['get', '-n', namespace, '--ignore-not-found', '--show-managed-fields', '-o', 'json', '-f', '-'];
  const text = await capture(kubectl, ['--kubeconfig', cluster.kubeconfig, ...get], { input: manifest });
  if (text.trim() === '') return {};
  const answer: KubeObject & { items?: KubeObject[] } = JSON.parse(text);
  const objects = answer.kind === 'List' ? (answer.items ?? []) : [answer];
  return Object.fromEntries(objects.map((object) => [`${object.kind}/${object.metadata.name}`, liveObject(object)]));
}
