import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { type Api, openApi } from './api.ts';
import { objectFiles, readArchiveFiles, readTreeFiles, type SnapshotFiles } from './archive-files.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { expectSameText } from './expect-same.ts';
import { fingerprint } from './fingerprint.ts';
import { asList, asMap } from './live-object.ts';
import { rowOf, rowsOf } from './resource-rows.ts';
import { runTransship, type TransshipRun, transship } from './run-transship.ts';
import { fillZoo, untilSettled } from './zoo.ts';

/** Everything there is, in all namespaces and outside of them. */
const EVERYTHING = ['-n', '*', '--include', 'resources', '--cluster-resources', 'all'];

/** Every file that a snapshot of the zoo has, and how many objects are in it. */
const FILES: Record<string, number> = {
  'clusterrolebindings.json': 1,
  'clusterroles.json': 2,
  'csidrivers.json': 1,
  'customresourcedefinitions.json': 3,
  'deviceclasses.json': 1,
  'flowschemas.json': 1,
  'ingressclasses.json': 1,
  'mutatingwebhookconfigurations.json': 1,
  'namespaces.json': 6,
  'persistentvolumes.json': 3,
  'priorityclasses.json': 1,
  'prioritylevelconfigurations.json': 1,
  'runtimeclasses.json': 1,
  'servicecidrs.json': 1,
  'sites.json': 1,
  'storageclasses.json': 2,
  'validatingadmissionpolicies.json': 1,
  'validatingadmissionpolicybindings.json': 1,
  'validatingwebhookconfigurations.json': 1,
  'volumeattributesclasses.json': 1,
  'bank/configmaps.json': 1,
  'bank/controllerrevisions.json': 1,
  'bank/cronjobs.json': 1,
  'bank/endpoints.json': 1,
  'bank/endpointslices.json': 1,
  'bank/jobs.json': 2,
  'bank/limitranges.json': 1,
  'bank/persistentvolumeclaims.json': 3,
  'bank/pods.json': 1,
  'bank/resourceclaims.json': 1,
  'bank/resourcequotas.json': 1,
  'bank/serviceaccounts.json': 2,
  'bank/services.example.com.json': 1,
  'bank/services.json': 3,
  'default/serviceaccounts.json': 1,
  'kube-node-lease/serviceaccounts.json': 1,
  'kube-public/serviceaccounts.json': 1,
  'kube-system/serviceaccounts.json': 1,
  'shop/configmaps.json': 5,
  'shop/daemonsets.json': 1,
  'shop/deployments.json': 1,
  'shop/horizontalpodautoscalers.json': 1,
  'shop/ingresses.json': 1,
  'shop/networkpolicies.json': 1,
  'shop/persistentvolumeclaims.json': 2,
  'shop/poddisruptionbudgets.json': 1,
  'shop/pods.json': 1,
  'shop/podtemplates.json': 1,
  'shop/replicasets.json': 1,
  'shop/replicationcontrollers.json': 1,
  'shop/resourceclaimtemplates.json': 1,
  'shop/rolebindings.json': 1,
  'shop/roles.json': 1,
  'shop/secrets.json': 8,
  'shop/serviceaccounts.json': 2,
  'shop/services.json': 7,
  'shop/statefulsets.json': 1,
  'shop/widgets.json': 1,
};

describe('a whole cluster, exported and imported into an empty one', () => {
  let bed: Bed;
  let stage: RunningCluster;
  let prod: RunningCluster;
  let s3: TestS3;
  let stageApi: Api;
  let prodApi: Api;
  let exported: TransshipRun;
  let imported: TransshipRun;
  let fromStage: SnapshotFiles;
  let fromProd: SnapshotFiles;
  let exports = 0;

  beforeAll(async () => {
    bed = await prepareBed();
    [stage, prod, s3] = await Promise.all([bed.start('stage'), bed.start('prod'), startS3()]);
    [stageApi, prodApi] = [openApi(stage), openApi(prod)];
    await fillZoo(stage, stageApi);
    exported = await transship(['export', ...EVERYTHING, '--path', bed.scratch], { env: user(stage) });
    fromStage = await readArchiveFiles(String(exported.output.location));
    imported = await transship(['import', '--path', bed.scratch, '--timeout', '1m'], { env: user(prod) });
    await untilSettled(prodApi);
    fromProd = await exportAgain();
  });

  afterAll(async () => {
    stageApi?.close();
    prodApi?.close();
    await Promise.all([bed?.close(), s3?.stop()]);
  });

  const user = (cluster: RunningCluster) => ({ ...bed.environment(cluster, 'none'), ...s3.env });
  const exportAgain = async () => {
    exports += 1;
    const path = join(bed.scratch, `again-${exports}`);
    const run = await transship(['export', ...EVERYTHING, '--path', path], { env: user(prod) });
    return readArchiveFiles(String(run.output.location));
  };

  it('has every kind of object that is nobody else’s work, and no other', () => {
    const counts = Object.entries(objectFiles(fromStage)).map(([path, text]) => [path, JSON.parse(text).items.length]);
    expect(Object.fromEntries(counts)).toEqual(FILES);
  });

  it('says so, kind by kind', () => {
    const counts = new Map<string, number>();
    for (const [path, count] of Object.entries(FILES)) {
      const file = path.slice(path.indexOf('/') + 1, -'.json'.length);
      counts.set(file, (counts.get(file) ?? 0) + count);
    }
    const rows = rowsOf(exported)
      .filter((row) => row.exported > 0)
      .map(({ resource, apiVersion, exported: count }) => {
        const isOther = resource === 'services' && apiVersion === 'example.com/v1';
        return [isOther ? 'services.example.com' : resource, count];
      });
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(counts));
  });

  it('comes out of the other cluster as it went in', () => {
    const [before, after] = [objectFiles(fromStage), objectFiles(fromProd)];
    expect(Object.keys(after)).toEqual(Object.keys(before));
    for (const [path, text] of Object.entries(before)) expectSameText(after[path] ?? '', text, path);
  });

  it('brings what the other cluster lacked, and says so', () => {
    const total = Object.values(FILES).reduce((sum, count) => sum + count, 0);
    expect(imported.output).toMatchObject({
      changed: true,
      counts: { deleted: 0, skipped: 0, failed: 0 },
      failures: [],
    });
    // default and the three kube-*, and the StorageClass of every test cluster.
    const others = rowsOf(imported).filter(({ kind }) => kind !== 'ServiceAccount');
    const sum = (field: 'created' | 'updated' | 'unchanged') => others.reduce((all, row) => all + row[field], 0);
    expect([sum('created'), sum('updated'), sum('unchanged')]).toEqual([total - 8 - 5, 0, 5]);
    // The accounts that each namespace gets by itself may be there first.
    const { created, updated, unchanged } = rowOf(imported, 'ServiceAccount');
    expect(created + updated + unchanged).toBe(8);
  });

  it('changes nothing when it is imported a second time', async () => {
    const before = await fingerprint(prod);
    const again = await transship(['import', '--path', bed.scratch], { env: user(prod) });
    expect(again.output).toMatchObject({
      changed: false,
      counts: { created: 0, updated: 0, deleted: 0, skipped: 0, failed: 0 },
    });
    expect(await fingerprint(prod)).toEqual(before);
    expect(objectFiles(await exportAgain())).toEqual(objectFiles(fromStage));
  });

  describe('that changes afterwards, kind by kind', () => {
    // Of these the target has its own answer to the name, or nothing can be changed as its webhook is down.
    const left = [
      ...['storageclasses', 'ingressclasses', 'priorityclasses', 'runtimeclasses', 'csidrivers'],
      ...['volumeattributesclasses', 'deviceclasses', 'servicecidrs', 'flowschemas', 'prioritylevelconfigurations'],
      'services.example.com',
    ];
    const changing = () =>
      Object.entries(objectFiles(fromStage)).flatMap(([path, text]) => {
        const [file = '', namespace] = path.slice(0, -'.json'.length).split('/').reverse();
        if (left.includes(file)) return [];
        const [plural = ''] = file.split('.');
        return asList(asMap(JSON.parse(text))?.items).map((item) => {
          const { apiVersion, metadata } = item as KubeObject;
          const base = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
          const place = namespace === undefined ? base : `${base}/namespaces/${namespace}`;
          return `${place}/${plural}/${encodeURIComponent(metadata.name)}`;
        });
      });

    /** Labels all objects of the source, and brings it to the target once more. */
    async function follow(era: string | null): Promise<TransshipRun> {
      const paths = changing();
      await Promise.all(paths.map((path) => stageApi.patch(path, { metadata: { labels: { era } } })));
      const path = join(bed.scratch, `era-${era}`);
      await transship(['export', ...EVERYTHING, '--path', path], { env: user(stage) });
      const run = await transship(['import', '--path', path, '--replace'], { env: user(prod) });
      expect(run.output).toMatchObject({ counts: { created: 0, updated: paths.length, deleted: 0, failed: 0 } });
      return run;
    }

    it('is followed by the target with replace', async () => {
      await follow('two');
      for (const path of changing()) expect((await prodApi.get(path)).metadata.labels?.era, path).toBe('two');
    });

    it('is followed also where something is there no more', async () => {
      await follow(null);
      expect(objectFiles(await exportAgain())).toEqual(objectFiles(fromStage));
    });
  });

  describe('as separate files', () => {
    const tree = ['-n', 'shop', '-n', 'bank', '--include', 'resources', '--layout', 'tree'];

    it('lies in folders by namespace on a disk, and is imported from there', async () => {
      const path = join(bed.scratch, 'tree');
      const run = await transship(['export', ...tree, '--path', path], { env: user(stage) });
      const files = await readTreeFiles(join(path, 'stage', 'backup', String(run.output.snapshot)));
      expectSameNamespaces(files);
      const again = await transship(['import', '--path', path], { env: user(prod) });
      expect(again.output).toMatchObject({ changed: false, snapshot: run.output.snapshot });
    });

    it('lies under a prefix by namespace in S3, and is imported from there', async () => {
      const path = `s3://${s3.bucket}/autosave`;
      const run = await transship(['export', ...tree, '--path', path], { env: user(stage) });
      const folder = ['buckets', s3.bucket, 'autosave', 'stage', 'backup', String(run.output.snapshot)];
      expectSameNamespaces(await readTreeFiles(join(s3.folder, ...folder)));
      const again = await transship(['import', '--path', path], { env: user(prod) });
      expect(again.output).toMatchObject({ changed: false, snapshot: run.output.snapshot });
    });

    it('is no snapshot as long as a file of it is missing', async () => {
      const path = join(bed.scratch, 'broken');
      const run = await transship(['export', ...tree, '--path', path], { env: user(stage) });
      const folder = join(path, 'stage', 'backup', String(run.output.snapshot));
      await rm(join(folder, 'shop', 'secrets.json'));
      const before = await fingerprint(prod);
      const again = await runTransship(['import', '--path', path], { env: user(prod) });
      expect(again.exitCode).toBe(1);
      expect(again.stderr).toContain('shop/secrets.json');
      expect(await fingerprint(prod)).toEqual(before);
    });

    function expectSameNamespaces(files: SnapshotFiles): void {
      const namespaced = ([path]: [string, string]) => path.startsWith('shop/') || path.startsWith('bank/');
      expect(Object.fromEntries([...files].filter(namespaced))).toEqual(
        Object.fromEntries(Object.entries(objectFiles(fromStage)).filter(namespaced)),
      );
    }
  });
});
