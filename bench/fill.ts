import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';
import type { Cluster, KubeObject } from '../src/cluster/cluster.ts';
import { openCluster } from '../src/cluster/connect.ts';
import { decodeRecord, type ReleaseRecord, recordObjectName, recordToObject } from '../src/releases/record.ts';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import { runTimed } from './process.ts';
import { writeProse } from './prose.ts';

export const RELEASES = 200;
export const REVISIONS = 5;
const OTHER_OBJECTS = 10_000;
const NAMESPACES = 20;
const WRITES_AT_ONCE = 16;

/** Bytes of the text that makes the smallest and the largest chart; packed, records then have 10 to 40 KB. */
const TEXT_BYTES = { least: 14_000, most: 80_000 };

const CHART = fileURLToPath(new URL('../examples/charts/shop', import.meta.url));

/** Words that occur nowhere else in the records of the release they name, and can be replaced in all of them. */
const MODEL = { release: 'zq-model-release', namespace: 'zq-model-namespace' } as const;

/**
 * Fills a cluster with 200 releases of five revisions each, and 10,000 ConfigMaps. One release is installed and upgraded
 * by Helm; the others are its records under other names, each with a README of its own, as charts have one, so that
 * they differ in size and do not compress against each other.
 */
export async function fillWithReleases(bed: Bed, cluster: TestCluster): Promise<void> {
  const api = await openCluster({ kubeconfig: cluster.kubeconfig, concurrency: WRITES_AT_ONCE });
  const write = pLimit(WRITES_AT_ONCE);
  try {
    const model = await makeModel(bed, cluster, api);
    bed.note(`Writing ${RELEASES} releases of ${REVISIONS} revisions and ${OTHER_OBJECTS} ConfigMaps`);
    const namespaces = Array.from({ length: NAMESPACES }, (_, index) => `team-${index}`);
    const path = '/api/v1/namespaces';
    const create = (name: string) =>
      api.json({ method: 'POST', path, body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } } });
    await write.map(namespaces, create);
    const names = Array.from({ length: RELEASES }, (_, index) => `app-${index}`);
    let bytes = 0;
    await write.map(names, async (release, index) => {
      const readme = writeProse(index + 1, textBytes(index)).toString('base64');
      for (const record of model) {
        const object = await recordToObject(derive(record, release, placeOf(namespaces, index), readme));
        await api.json({ method: 'POST', path: `${path}/${object.metadata.namespace}/secrets`, body: object });
        bytes += packedBytes(object);
      }
    });
    await write.map(Array.from({ length: OTHER_OBJECTS }), async (_, index) => {
      const namespace = placeOf(namespaces, index);
      const metadata = { name: `settings-${index}`, namespace, labels: { app: `app-${index % RELEASES}` } };
      const data = { 'settings.yaml': writeProse(index + 1, 600).toString('utf8') };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      await api.json({ method: 'POST', path: `${path}/${namespace}/configmaps`, body });
    });
    bed.note(`Records have ${(bytes / RELEASES / REVISIONS / 1000).toFixed(1)} KB packed on average`);
  } finally {
    await api.close();
  }
}

/** The records of a release that Helm really installed and upgraded; what it brought is gone again. */
async function makeModel(bed: Bed, cluster: TestCluster, api: Cluster): Promise<ReleaseRecord[]> {
  const env = bed.env(cluster);
  const { release, namespace } = MODEL;
  bed.note(`Making a release of ${REVISIONS} revisions with Helm`);
  for (let revision = 1; revision <= REVISIONS; revision++) {
    const verb = revision === 1 ? ['install', '--create-namespace'] : ['upgrade'];
    const args = [...verb, release, CHART, '-n', namespace, '--no-hooks', '--set', `replicas=${revision}`];
    await runTimed(bed.helm, args, { env });
  }
  const records: ReleaseRecord[] = [];
  for await (const object of api.list(`/api/v1/namespaces/${namespace}/secrets`, { labelSelector: 'owner=helm' })) {
    records.push(await decodeRecord(object));
  }
  await runTimed(bed.helm, ['uninstall', release, '-n', namespace, '--no-hooks'], { env });
  return records;
}

function derive(model: ReleaseRecord, release: string, namespace: string, readme: string): ReleaseRecord {
  const text = model.json.replaceAll(MODEL.release, release).replaceAll(MODEL.namespace, namespace);
  const parsed = JSON.parse(text);
  const files = [...(parsed.chart.files ?? []), { name: 'README.md', data: readme }];
  return {
    ...model,
    release,
    namespace,
    objectName: recordObjectName(release, model.revision),
    labels: { ...model.labels, name: release },
    json: JSON.stringify({ ...parsed, chart: { ...parsed.chart, files } }),
  };
}

function textBytes(index: number): number {
  const { least, most } = TEXT_BYTES;
  return Math.round(least + ((most - least) * index) / (RELEASES - 1));
}

function placeOf(namespaces: readonly string[], index: number): string {
  return namespaces[index % namespaces.length] ?? 'default';
}

function packedBytes({ data }: KubeObject): number {
  const twice = typeof data === 'object' && data !== null && 'release' in data ? String(data.release) : '';
  return (twice.length * 9) / 16;
}
